#!/bin/sh
# SPDX-License-Identifier: MIT
# The house's directions: a file includes only from folders above its own in src/ORDER (or its own), and four doors have one
# user each. Prints each breach as FILE: words; exit code 1 when there is one.
set -u
cd "$(dirname "$0")/.."
found=$(mktemp)
trap 'rm -f "$found"' EXIT
bad() { echo "$*" >>"$found"; }

rank() { grep -nx -- "$1" src/ORDER | cut -d: -f1; }

for folder in src/*/; do
    f=$(basename "$folder")
    own=$(rank "$f")
    [ "$own" ] || { bad "src/$f: the folder is not in src/ORDER"; continue; }
    grep -Hno '^ *# *include "[^"/]*/' "$folder"*.[ch] 2>/dev/null | while IFS=: read -r file line what; do
        target=${what##*\"}
        target=${target%/}
        there=$(rank "$target")
        if [ -z "$there" ]; then bad "$file:$line: includes $target/, which is not in src/ORDER"
        elif [ "$there" -gt "$own" ]; then bad "$file:$line: $f/ may not include $target/, which comes later in src/ORDER"; fi
    done
done

# door PATTERN ALLOWED WORDS: files whose text matches PATTERN but whose path does not match ALLOWED.
door() {
    grep -rlE --include='*.[ch]' -- "$1" src | grep -vE "$2" | while read -r file; do bad "$file: $3"; done
}
door '^ *# *include "http/'        '^src/(http/|[a-z]+/[a-z_]*_http\.[ch]$|tables\.c$|main\.c$|verb_[a-z_]+\.c$)' 'only *_http.c, tables.c, main.c, verb_*.c and http/ include http/'
door '^ *# *include "store/db.h"'  '^src/(store/|[a-z]+/[a-z_]*_store\.[ch]$)'   'only *_store.c and store/ include store/db.h'
door '"(SELECT|INSERT|UPDATE|DELETE|REPLACE|CREATE|DROP|ALTER|PRAGMA|WITH|BEGIN|VACUUM|ATTACH) ' '^src/(store/|[a-z]+/[a-z_]*_store\.c$)' 'only *_store.c and store/ hold SQL'
door '^ *# *include *<curl/'       '^src/base/fetch\.c$'                         'only base/fetch.c uses libcurl'
door '^ *# *include *<libwebsockets' '^src/http/'                                'only http/ uses libwebsockets'
door '^ *# *include *<sqlite3'     '^src/store/'                                 'only store/ uses SQLite'

sort -u "$found"
[ ! -s "$found" ]
