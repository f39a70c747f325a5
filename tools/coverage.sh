#!/bin/sh
# SPDX-License-Identifier: MIT
# Lists the requirement ids of tools/requirements.txt that no test names; exit code 1 when there is one.
# coverage.sh -v also shows where each is tested.
set -u
cd "$(dirname "$0")/.."
named=$(mktemp)
trap 'rm -f "$named"' EXIT
# In a C function's name an id is written with underscores: ..._RAG_020.
grep -rnoE '(FIT|CRE|TEN|RAG|ARC)[-_][0-9]{3}' test web/test 2>/dev/null --include='*.c' --include='*.test' --include='*.py' --include='*.sh' --include='*.ts' | sed 's/_\([0-9]*\)$/-\1/' >"$named"
missing=0
while read -r id; do
    where=$(grep -F ":$id" "$named" | cut -d: -f1 | sort -u | tr '\n' ' ')
    if [ -z "$where" ]; then
        echo "$id: no test names it"
        missing=$((missing + 1))
    elif [ "${1:-}" = -v ]; then
        echo "$id: $where"
    fi
done <tools/requirements.txt
[ "$missing" = 0 ]
