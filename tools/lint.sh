#!/bin/sh
# Formatting, warnings of gcc and clang as errors, clang-tidy, shellcheck, include arrows.
# Runs all of them, then fails if one did. LINT_FILES limits clang-tidy to some sources.
# The functions below are called through step.
# shellcheck disable=SC2317
cd "$(dirname "$0")/.." || exit 1
jobs=${JOBS:-2}
status=0
step() {
    name=$1
    shift
    if "$@"; then
        echo "lint: $name: clean"
    else
        echo "lint: $name: FAILED"
        status=1
    fi
}

format() {
    git ls-files -z '*.c' '*.h' | xargs -0 -r clang-format --dry-run -Werror
}

# Every source of ours that the clang build compiles; headers are seen through them.
tidy() {
    sources=${LINT_FILES:-$(git ls-files 'src/*.c' 'tests/*.c' 'bench/*.c' 'examples/*.c')}
    list=$(mktemp)
    for source in $sources; do
        ! grep -q "/$source\"" build-lint-clang/compile_commands.json || echo "$source"
    done >"$list"
    xargs -r -P "$jobs" -n 1 clang-tidy --quiet -p build-lint-clang <"$list" 2>/dev/null
    tidy_status=$?
    echo "lint: clang-tidy looked at $(wc -l <"$list") sources"
    [ -s "$list" ] || tidy_status=1
    rm -f "$list"
    return "$tidy_status"
}

shell_scripts() {
    # shellcheck disable=SC2046
    shellcheck -s sh .ci/run $(git ls-files '*.sh')
}

step "clang-format" format
step "gcc -Werror" env CC=gcc tools/build.sh build-lint-gcc -Dwerror=true
step "clang -Werror" env CC=clang tools/build.sh build-lint-clang -Dwerror=true
step "clang-tidy" tidy
if command -v shellcheck >/dev/null 2>&1; then
    step "shellcheck" shell_scripts
fi
step "include arrows" python3 tools/check-includes.py
exit $status
