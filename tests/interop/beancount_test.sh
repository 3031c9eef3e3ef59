#!/bin/sh
# Statements that bean-check accepts: the unit test of statements, which calls it, must not have skipped.
#
#   HOLDFAST_BUILD=build tests/interop/beancount_test.sh        prints TAP
set -u

build=${HOLDFAST_BUILD:-build}
program=$build/tests/unit/statement_test
echo 1..1
if ! command -v bean-check >/dev/null 2>&1; then
    echo "ok 1 - bean-check # SKIP it is not installed (Debian package beancount)"
elif [ ! -x "$program" ]; then
    echo "ok 1 - bean-check # SKIP $program is not built (tools/build.sh $build -Dtests=true)"
elif CMOCKA_MESSAGE_OUTPUT=TAP "$program" 2>/dev/null | grep -q '^ok [0-9]* - test_bean_check$'; then
    echo "ok 1 - bean-check accepts every statement"
else
    echo "not ok 1 - bean-check accepts every statement"
    exit 1
fi
