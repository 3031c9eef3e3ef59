#!/bin/sh
# Configures a build directory if it is not there yet, and builds it.
#
#   tools/build.sh DIRECTORY [MESON-OPTION...]      e.g. tools/build.sh build -Dtests=true
#
# Options are applied to a directory that exists too. CC chooses the compiler of a new directory.
# NINJA_TARGETS names targets; all by default. The programs are reachable as DIRECTORY/holdfast,
# DIRECTORY/holdfast-sim, DIRECTORY/holdfast-bench, wherever their folder is.
set -eu
cd "$(dirname "$0")/.."
directory=$1
shift

if [ ! -f "$directory/build.ninja" ]; then
    log=$(mktemp)
    if ! meson setup "$directory" "$@" >"$log" 2>&1 </dev/null; then
        cat "$log" >&2
        rm -f "$log"
        rm -rf "$directory"
        exit 1
    fi
    rm -f "$log"
elif [ $# -gt 0 ] && [ "$*" != "$(cat "$directory/options-applied" 2>/dev/null)" ]; then
    meson configure "$directory" "$@" >/dev/null </dev/null
fi
[ $# -eq 0 ] || printf '%s' "$*" >"$directory/options-applied"

# Ninja's status lines only for a person: in a pipe the errors and warnings are enough.
quiet=
[ -t 1 ] || quiet=--quiet
# shellcheck disable=SC2086
ninja -C "$directory" -j "${JOBS:-2}" $quiet ${NINJA_TARGETS:-all} </dev/null

for program in holdfast holdfast-sim holdfast-bench; do
    [ ! -L "$directory/$program" ] || rm -f "$directory/$program"
    [ ! -e "$directory/$program" ] || continue
    found=$(cd "$directory" && find . -mindepth 2 -maxdepth 4 -type f -name "$program" -perm -u+x |
        head -n 1)
    [ -z "$found" ] || ln -s "$found" "$directory/$program"
done
