#!/bin/sh
# Words and paths that must not stand in the tree: notes for later instead of an issue, the paths
# of one machine, and files that are too long to read.
cd "$(dirname "$0")/.." || exit 1
status=0
if git grep -nIwE 'TOD[O]|FIXM[E]|XX[X]|HAC[K]' -- .; then
    echo "the lines above leave work for later: do it, or write an issue"
    status=1
fi
if git grep -nIE '(^|[^A-Za-z0-9_.])/(work|home|root|tmp/[a-z]+)/' -- . ':!tools/check-words.sh'; then
    echo "the lines above name a path of one machine"
    status=1
fi
for file in $(git ls-files 'src/*.c' 'src/*.h' 'include/*.h'); do
    lines=$(wc -l <"$file")
    if [ "$lines" -gt 800 ]; then
        echo "$file: $lines lines; split it at 800"
        status=1
    fi
done
exit $status
