#!/bin/sh
# Each header compiles alone, twice in a row, and has a guard named after its path.
cd "$(dirname "$0")/.." || exit 1
status=0
flags="-std=gnu17 -D_GNU_SOURCE -fsyntax-only -Wall -Wextra -Werror -Isrc -Iinclude -Itests $(pkg-config --cflags libpq)"
for header in $(git ls-files --cached --others --exclude-standard 'src/*.h' 'include/*.h' |
    LC_ALL=C sort -u); do
    [ -f "$header" ] || continue
    path=${header#src/}
    path=${path#include/}
    # shellcheck disable=SC2086
    if ! printf '#include "%s"\n#include "%s"\n' "$path" "$path" |
        "${CC:-gcc}" $flags -x c -; then
        echo "$header: does not compile alone (or not twice)"
        status=1
    fi
    guard=$(printf '%s' "${path%.h}" | tr 'a-z/.-' 'A-Z___')_H
    case $guard in HOLDFAST*) ;; *) guard=HF_$guard ;; esac
    if ! grep -qx "#ifndef $guard" "$header" || ! grep -qx "#define $guard" "$header"; then
        echo "$header: its guard should be $guard"
        status=1
    fi
done
exit $status
