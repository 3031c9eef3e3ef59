#!/bin/sh
# Runs the benchmark on the disk that the build directory is on.
set -eu
cd "$(dirname "$0")/.."
build=${BUILD:-build}
if [ ! -x "$build/holdfast-bench" ]; then
    echo "bench: $build/holdfast-bench was not built" >&2
    exit 1
fi
rm -rf "$build/bench-data"
mkdir -p "$build/bench-data"
# BENCH_OPTIONS is a list of words.
# shellcheck disable=SC2086
exec "$build/holdfast-bench" --directory "$build/bench-data" ${BENCH_OPTIONS:-} </dev/null
