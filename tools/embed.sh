#!/bin/sh
# SPDX-License-Identifier: MIT
# Files that become part of the binary. `list` names the sources for make; `build DIR [noweb]` writes DIR/gen/assets.S:
# every file by .incbin, followed by a NUL, and a table sorted by path that base/assets.c searches. The page's texts are
# there a second time as webgz/…, compressed, for browsers that take gzip.
set -eu
LC_ALL=C; export LC_ALL
sources() { find schema prompts mails models src/knowledge/words -type f 2>/dev/null | sort; }
case "${1:-}" in
list) sources ;;
build)
    b=$2; out=$b/gen/assets.S; tmp=$out.new
    {
        sources | while read -r f; do printf '%s %s\n' "${f#src/knowledge/}" "$f"; done
        find "$b/demo" -type f 2>/dev/null | while read -r f; do printf 'demo/%s %s\n' "${f#"$b"/demo/}" "$f"; done
        if [ "${3:-}" != noweb ] && [ -d web/dist ]; then
            find web/dist -type f | while read -r f; do printf 'web/%s %s\n' "${f#web/dist/}" "$f"; done
            rm -rf "$b/gen/gz"
            find web/dist -type f -size +1k | grep -E '\.(js|css|html|svg|txt|webmanifest)$' | while read -r f; do
                z=$b/gen/gz/${f#web/dist/}
                mkdir -p "$(dirname "$z")"
                gzip -9nc "$f" >"$z"
                printf 'webgz/%s %s\n' "${f#web/dist/}" "$z"
            done
        fi
    } | sort >"$b/gen/assets.list"
    awk -v q='"' '
        BEGIN { print "\t.section .note.GNU-stack,\"\",%progbits\n\t.section .rodata" }
        { n++; printf "a%d:\t.incbin %s%s%s\nb%d:\t.byte 0\np%d:\t.asciz %s%s%s\n", n, q, $2, q, n, n, q, $1, q }
        END {
            print "\t.section .data.rel.ro,\"aw\"\n\t.balign 8\n\t.globl asset_table\nasset_table:"
            for (i = 1; i <= n; i++) printf "\t.quad p%d, a%d, b%d - a%d\n", i, i, i, i
            printf "\t.globl asset_table_count\n\t.balign 4\nasset_table_count:\t.long %d\n", n
        }' "$b/gen/assets.list" >"$tmp"
    mv "$tmp" "$out" ;;
*) echo "usage: embed.sh list | build DIR [noweb]" >&2; exit 2 ;;
esac
