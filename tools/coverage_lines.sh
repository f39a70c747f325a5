#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: coverage_lines.sh BUILD [all|unit|report]
# Runs the unit tests, the API scenarios and what re-ranks and embeds of test/quality with a build with --coverage, and prints
# which share of the source's lines ran, by folder, and which lines of the core algorithms did not (RAG-037). `make coverage`
# builds first. unit: nothing but the unit tests; report: what earlier runs left. Ends with 1 below 80 % overall or when a line of
# the core did not run, 2 when nothing can be counted. A test that fails is said and does not stop the count. What a child
# behind seccomp runs is not counted: it may not write the counters.
set -u
cd "$(dirname "$0")/.."
b=${1:?a build folder} mode=${2:-all}
least=80
core="knowledge/combine.c knowledge/rerank.c knowledge/rerank_hybrid.c knowledge/lru.c"
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

[ -n "$(find "$b/obj" -name '*.gcno' 2>/dev/null | head -1)" ] || { echo "there is no build with --coverage in $b; run make coverage" >&2; exit 2; }
if [ "$mode" != report ]; then
    find "$b" -name '*.gcda' -exec rm -f {} +
    find test/unit -name '*_test.c' | sort | sed 's|^test/unit/||; s|\.c$||' >"$work/names"
    cat >"$work/one" <<EOF
log=$work/\$(echo "\$1" | tr / -)
timeout -k 10 400 "$b/unit/\$1" >"\$log" 2>&1 </dev/null || { echo "failed: \$1"; tail -5 "\$log" | sed 's/^/    /'; }
EOF
    xargs -a "$work/names" -P "$(nproc)" -n 1 sh "$work/one"
fi
if [ "$mode" = all ]; then
    CHIRON_SLOW=10 tools/api_test.py "$b/chiron" test/api/*.test >"$work/log" 2>&1 || grep '^FAIL' "$work/log"
    tail -1 "$work/log"
    for name in reranking cross_encoder embedding_reuse prefixes; do
        timeout -k 10 400 "test/quality/$name.py" "$b/chiron" >"$work/log" 2>&1 || { echo "failed: $name"; tail -5 "$work/log" | sed 's/^/    /'; }
    done
fi

# One line a source file: share, lines, name. A file whose object no program ran has no counters and counts as not run.
find "$b/obj" -name '*.gcno' | sort | while read -r note; do
    name=${note#"$b/obj/"}
    name=src/${name%.gcno}.c
    gcov -n "$note" 2>/dev/null | awk -v want="$name" '
        /^File / { here = ($0 == "File \047" want "\047") }
        here && /^Lines executed:/ { split($0, p, /[:%]| of /); printf "%.2f %d %s\n", p[2], p[4], want; exit }'
done >"$work/files"
[ -s "$work/files" ] || { echo "gcov counted nothing" >&2; exit 2; }
awk '{ split($3, p, "/"); folder = p[3] == "" ? "src" : "src/" p[2]; lines[folder] += $2; ran[folder] += $1 * $2 / 100; all += $2; run += $1 * $2 / 100 }
     END { for (f in lines) printf "%6.1f %% of %6d  %s\n", 100 * ran[f] / lines[f], lines[f], f | "sort -k5"; close("sort -k5")
           printf "%6.1f %% of %6d  overall\n", 100 * run / all, all }' "$work/files"
echo "least covered:"
sort -n "$work/files" | head -12 | awk '{ printf "%6.1f %% of %6d  %s\n", $1, $2, $3 }'
echo "core:"
wrong=0
for f in $core; do
    awk -v f="src/$f" '$3 == f { printf "%6.1f %% of %6d  %s\n", $1, $2, $3 }' "$work/files"
    gcov -t "$b/obj/${f%.c}.gcno" 2>/dev/null | awk -v f="src/$f" '/^ *-: *0:Source:/ { here = index($0, "Source:" f) > 0 } here && /^ *#####:/ { sub(/^ *#####: */, ""); print "        not run: " $0 }' >"$work/missing"
    cat "$work/missing"
    [ ! -s "$work/missing" ] || wrong=1
done
[ "$wrong" = 0 ] || echo "FAIL a line of the core did not run"
awk -v least=$least '{ all += $2; run += $1 * $2 / 100 } END { exit 100 * run / all < least }' "$work/files" || { echo "FAIL below $least % overall"; wrong=1; }
exit $wrong
