#!/bin/sh
# SPDX-License-Identifier: MIT
# What the house does not have: dangerous functions, vague names, long files, missing licences, SQL put together from strings.
# Prints each breach as FILE: words; exit code 1 when there is one. A file past 600 lines is a question (a note on stderr).
set -u
cd "$(dirname "$0")/.."
found=$(mktemp)
trap 'rm -f "$found"' EXIT
bad() { echo "$*" >>"$found"; }
hits() { while IFS= read -r hit; do bad "$hit: $1"; done; }
sources() { git ls-files --cached --others --exclude-standard -- "$@" | while read -r f; do [ -f "$f" ] && echo "$f"; done; }

# Comments and strings may name them; code may not.
strip() { sed -E 's|"([^"\\]\|\\.)*"|""|g; s|/\*[^*]*\*/||g; s|//.*||; /^ *\*/d; /^\/\*/,/\*\//d' "$1"; }
names='strcpy|strcat|sprintf|vsprintf|gets|atoi|atol|atof|strtok|rand|system|popen|tmpnam|alloca|setjmp'
for f in $(sources 'src/*.[ch]' 'src/*/*.[ch]'); do
    strip "$f" | grep -oE "(^|[^A-Za-z0-9_])($names) *\(" | grep -oE "($names)" | sort -u | while read -r name; do bad "$f: $name() is banned"; done
done

for f in $(sources 'src/*' 'test/*' 'tools/*' 'schema/*' 'web/src/*' 'bench/*'); do
    base=$(basename "$f")
    echo "${base%.*}" | grep -qE '(^|_|-)(util|utils|helper|helpers|common|misc|manager)(_|-|$)|_v[2-9]$' && bad "$f: this name says nothing (util, helper, common, misc, manager, _v2)"
done

sources 'src/*.[ch]' 'src/*/*.[ch]' | xargs -n1 basename | sort | uniq -d | while read -r name; do bad "src: the file name $name is there twice"; done

for f in $(sources 'src/*.[ch]' 'src/*/*.[ch]' 'test/*.[ch]' 'test/*/*.[ch]' 'test/*/*/*.[ch]'); do
    n=$(wc -l <"$f")
    if [ "$n" -gt 900 ] && ! grep -qx "$f .*" tools/long-files.txt 2>/dev/null; then bad "$f: $n lines; 900 is the most (or a reason in tools/long-files.txt)"; fi
    if [ "$n" -gt 600 ] && [ "$n" -le 900 ]; then echo "note: $f has $n lines: is it one idea?" >&2; fi
    head -20 "$f" | grep -q 'SPDX-License-Identifier: MIT' || bad "$f: no SPDX line"
done
for f in $(sources 'tools/*.sh' 'tools/*.py' 'web/src/*.ts' 'web/src/*.tsx' 'bench/*.sh'); do
    head -5 "$f" | grep -q 'SPDX-License-Identifier: MIT' || bad "$f: no SPDX line"
done
for f in $(sources 'src/*.c' 'src/*/*.c'); do
    head -3 "$f" | grep -q '^/\*' || bad "$f: does not open with a comment"
done

grep -nE '(printf|buf_add[a-z]*|buf_printf|arena_printf)\([^;]*"[^"]*\b(SELECT .* FROM|INSERT INTO|UPDATE [a-z_]+ SET|DELETE FROM)\b' -r src --include='*.c' | cut -d: -f1,2 | hits 'SQL put together from strings'
grep -nE 'db_(run|select|get_int|get_text)\([^"]*, *[a-z_]+(\.[a-z]+)?(, *[^"]*)?\);' -r src --include='*_store.c' | grep -v '"' | cut -d: -f1,2 | hits 'SQL must be a literal in the call'
grep -nE '\b(TODO|FIXME|XXX|HACK)\b' -r src test/unit test/fuzz tools web/src --include='*.[ch]' --include='*.sh' --include='*.py' --include='*.ts' --include='*.tsx' 2>/dev/null | grep -v '^tools/banned.sh' | cut -d: -f1,2 | hits 'finish it or write an issue'

sort -u "$found"
[ ! -s "$found" ]
