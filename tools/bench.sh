#!/bin/sh
# Runs the benchmarks on the disk that the build directory is on.
#
#   tools/bench.sh [engine|http|queue|feed|saga|peers|scale]...      all but scale by default
#
# scale takes long and much disk (100 million transfers; `bench/scale/scale_bench.py --help`), so it must be named.
# BENCH_OPTIONS goes to each of them ("--rounds 3 --json"). nginx, which the server is measured
# beside, is unpacked below the build directory and not installed: nothing starts a service.
set -eu
cd "$(dirname "$0")/.."
build=${BUILD:-build}

fetch_nginx() {
    command -v nginx >/dev/null 2>&1 && return
    peers=$build/peers
    if [ ! -x "$peers/usr/sbin/nginx" ]; then
        mkdir -p "$peers"
        (cd "$peers" && apt-get -qq download nginx && dpkg-deb -x nginx_*.deb .) >/dev/null 2>&1 || true
    fi
    PATH=$PATH:$(cd "$peers" && pwd)/usr/sbin
}

run_engine() {
    rm -rf "$build/bench-data"
    mkdir -p "$build/bench-data"
    # BENCH_OPTIONS is a list of words.
    # shellcheck disable=SC2086
    "$build/holdfast-bench" --directory "$build/bench-data" ${BENCH_OPTIONS:-} </dev/null
    rm -rf "$build/bench-data"
}

run_http() {
    fetch_nginx
    # shellcheck disable=SC2086
    python3 bench/http/http_bench.py --build "$build" ${BENCH_OPTIONS:-}
}

run_queue() {
    tools/install-packages.sh peers
    # shellcheck disable=SC2086
    python3 bench/queue/queue_bench.py --build "$build" ${BENCH_OPTIONS:-}
}

run_saga() {
    # shellcheck disable=SC2086
    python3 bench/saga/saga_bench.py --build "$build" ${BENCH_OPTIONS:-}
}

run_peers() {
    tools/install-packages.sh peers
    # shellcheck disable=SC2086
    python3 bench/peers/peers_bench.py --build "$build" ${BENCH_OPTIONS:-}
}

# SCALE: which of its programs, "hot crowd scale" by default; their options differ.
run_scale() {
    status=0
    for program in ${SCALE:-hot crowd scale}; do
        # shellcheck disable=SC2086
        python3 "bench/scale/${program}_bench.py" --build "$build" ${BENCH_OPTIONS:-} || status=$?
    done
    return "$status"
}

run_feed() {
    # shellcheck disable=SC2086
    python3 bench/feed/feed_bench.py --build "$build" ${BENCH_OPTIONS:-}
}

if [ ! -x "$build/holdfast-bench" ]; then
    echo "bench: $build/holdfast-bench was not built" >&2
    exit 1
fi
for part in "${@:-engine http queue feed saga peers}"; do
    for one in $part; do
        case $one in
        engine) run_engine ;;
        http) run_http ;;
        queue) run_queue ;;
        feed) run_feed ;;
        saga) run_saga ;;
        peers) run_peers ;;
        scale) run_scale ;;
        *)
            echo "bench: no such part: $one (engine http queue feed saga peers scale)" >&2
            exit 2
            ;;
        esac
    done
done
