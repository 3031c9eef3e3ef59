#!/bin/sh
# The main job on real input over HTTP, everything compared with what is not our code, then the scenarios.
#
#   tools/demo.sh [FILE]      FILE: a bank's transactions; ../shared/data/trans.asc if it is there,
#                             else a generated set of the same shape
#
# `holdfast demo` starts a server, imports the file under duplicates and kill -9 and leaves sums.tsv (first pass) and
# refusals.tsv (second pass). awk sums the file by itself; tests/model/bank_model.py replays the
# second pass by itself. Exit status 1 if anything differs.
set -eu
cd "$(dirname "$0")/.."
export LC_ALL=C
build=${BUILD:-build}
work=$build/demo
file=${1:-../shared/data/trans.asc}

rm -rf "$work"
mkdir -p "$work/model"
if [ ! -f "$file" ]; then
    [ $# -eq 0 ] || { echo "demo: no such file: $file" >&2 && exit 1; }
    file=$work/generated.asc
    python3 tools/make-bank-sample.py --rows 20000 --seed 1 --output "$file"
    echo "No ../shared/data/trans.asc here: a generated set of the same shape is used."
fi

failed=0
"$build/holdfast" demo "$file" --directory "$work/data" </dev/null || {
    echo "demo: holdfast demo failed (exit status $?)"
    failed=1
}

# compare NAME EXPECTED ACTUAL
compare() {
    if [ ! -s "$3" ]; then
        echo "$1: NOT EQUAL ($3 is missing or empty)"
        failed=1
    elif cmp -s "$2" "$3"; then
        echo "$1: equal ($(wc -l <"$2" | tr -d ' ') lines)"
    else
        echo "$1: NOT EQUAL (< independent, > holdfast)"
        diff "$2" "$3" | head -n 20
        failed=1
    fi
}

awk -f tools/bank-sums.awk "$file" | sort -n >"$work/awk-sums.tsv"
model=$(python3 tests/model/bank_model.py "$file" --directory "$work/model")
echo "Independent model: $model"
compare "Sums per account against awk, to the cent" "$work/awk-sums.tsv" "$work/data/sums.tsv"
compare "Refusals with floor 0 against the model" "$work/model/refusals.tsv" \
    "$work/data/refusals.tsv"
echo
echo "The failures that everybody knows, naive and with Holdfast (docs/scenarios.md):"
python3 tools/scenarios.py --build "$build" || failed=1
if [ "$failed" -ne 0 ]; then
    echo "demo: something is off (see above)"
    exit 1
fi
echo "demo: all equal, every row holds"
