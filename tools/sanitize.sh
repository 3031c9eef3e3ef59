#!/bin/sh
# The tests under AddressSanitizer + UndefinedBehaviorSanitizer, then under ThreadSanitizer.
#
#   tools/sanitize.sh [asan] [tsan]      both by default
#
# CC chooses the compiler (gcc). SIM_RUNS limits the simulator, which is slower here (50).
cd "$(dirname "$0")/.." || exit 1
export CC="${CC:-gcc}" SIM_RUNS="${SIM_RUNS:-50}"
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_stack_use_after_return=1:strict_string_checks=1}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-halt_on_error=1:print_stacktrace=1}"
export TSAN_OPTIONS="${TSAN_OPTIONS:-halt_on_error=1:second_deadlock_stack=1}"
[ $# -gt 0 ] || set -- asan tsan
status=0
for kind in "$@"; do
    case $kind in
    asan) sanitizers=address,undefined ;;
    tsan) sanitizers=thread ;;
    *)
        echo "sanitize: asan or tsan, not $kind" >&2
        exit 2
        ;;
    esac
    echo "== build-$kind ($CC, $sanitizers)"
    # Thread sanitizer needs a memory layout without much randomness.
    fixed=
    if [ "$kind" = tsan ] && setarch "$(uname -m)" -R true 2>/dev/null; then
        fixed="setarch $(uname -m) -R"
    fi
    # shellcheck disable=SC2086
    tools/build.sh "build-$kind" "-Db_sanitize=$sanitizers" -Db_lundef=false -Dslow_checks=true &&
        $fixed python3 tools/check.py --build "build-$kind" unit sim integration || status=1
done
exit $status
