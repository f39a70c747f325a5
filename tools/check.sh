#!/bin/sh
# SPDX-License-Identifier: MIT
# `make check`: the house's rules, read by scripts. Each line is one rule; a breach is shown below it. Ends with 1 when one fails.
set -u
cd "$(dirname "$0")/.."
b=${1:-build}
failures=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

check() {
    name=$1
    shift
    if "$@" >"$log" 2>&1; then
        echo "ok   $name"
        grep '^note:' "$log" | sed 's/^/     /'
    else
        echo "FAIL $name"
        sed 's/^/     /' "$log" | head -60
        failures=$((failures + 1))
    fi
}

scripts() { git ls-files --cached --others --exclude-standard -- '*.sh' .ci/run | while read -r f; do if [ -f "$f" ]; then echo "$f"; fi; done; }
shell_syntax() {
    for f in $(scripts); do
        case $(head -1 "$f") in *bash*) bash -n "$f" ;; *) sh -n "$f" ;; esac || return 1
        [ -x "$f" ] || { echo "$f is not executable"; return 1; }
    done
    bash -n docs/completions/chiron.bash
}
python_syntax() {
    for f in $(git ls-files --cached --others --exclude-standard -- '*.py'); do
        /usr/bin/python3 -c 'import ast, sys; ast.parse(open(sys.argv[1]).read(), sys.argv[1])' "$f" || return 1
    done
}
build_gcc() { make --no-print-directory -j"$(nproc)" B="$b" CC=gcc all; }
flags() { echo -std=c11 -D_GNU_SOURCE -Isrc -Itest -I"$b/gen"; pkg-config --cflags libxml-2.0 libwebsockets libzip jansson 2>/dev/null; }
syntax_clang() {
    # libseccomp's own macros leave fields out; gcc, which sees through them, asks for the rest of the tree.
    # shellcheck disable=SC2046
    git ls-files --cached --others --exclude-standard -- 'src/*.c' 'src/*/*.c' | while read -r f; do if [ -f "$f" ]; then echo "$f"; fi; done |
        xargs -P "$(nproc)" -n 8 clang-14 -fsyntax-only $(flags) -Wall -Wextra -Wshadow -Wvla -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes -Wno-missing-field-initializers -Werror
}
syntax_tests() {
    # shellcheck disable=SC2046
    git ls-files --cached --others --exclude-standard -- 'test/*.c' | while read -r f; do if [ -f "$f" ]; then echo "$f"; fi; done |
        xargs -r -P "$(nproc)" -n 8 gcc -fsyntax-only $(flags) -Wall -Wextra -Wshadow -Wvla -Werror
}
tables() { "$b/chiron" __check; }

verbs() { "$b/chiron" --help | sed -n 's/^  \([a-z]*\)  *[a-z].*/\1/p'; }
verbs_documented() {
    wrong=0
    for v in $(verbs); do
        for f in docs/chiron.1 docs/completions/chiron.bash docs/completions/_chiron docs/completions/chiron.fish; do
            grep -qw -- "$v" "$f" || { echo "$f does not name the verb $v"; wrong=1; }
        done
        if [ "$v" != version ]; then
            "$b/chiron" "$v" --help | grep -q '^examples:' || { echo "chiron $v --help has no examples"; wrong=1; }
            # Every flag a verb has is in the man page and in each completion.
            for flag in $("$b/chiron" "$v" --help | grep -oE '^  [^ ].*' | grep -oE -- '--[a-z][a-z0-9-]*' | sort -u); do
                grep -q -- "$(echo "$flag" | sed 's/-/\\\\*-/g')" docs/chiron.1 || { echo "docs/chiron.1 does not name $flag of $v"; wrong=1; }
            done
        fi
    done
    return $wrong
}
# What docs/privacy.md says is kept is what the program says.
tables_documented() {
    wrong=0
    "$b/chiron" privacy tables >"$log.tables" || return 1
    while IFS= read -r line; do
        grep -qF -- "$line" docs/privacy.md || { echo "docs/privacy.md lacks: $line"; wrong=1; }
    done <"$log.tables"
    rm -f "$log.tables"
    return $wrong
}
settings_documented() {
    wrong=0
    for s in $("$b/chiron" config -o json | grep -oE '"name":"[A-Z0-9_]*"' | cut -d'"' -f4); do
        grep -qE "^#? *$s=" .env.example || { echo ".env.example does not name $s"; wrong=1; }
    done
    return $wrong
}
links() {
    wrong=0
    for f in $(git ls-files -- '*.md'); do
        for target in $(grep -oE '\]\([^)#]+' "$f" | cut -c3- | grep -vE '^(https?|mailto):'); do
            [ -e "$(dirname "$f")/$target" ] || { echo "$f links to $target, which is not there"; wrong=1; }
        done
    done
    return $wrong
}
# What was used to make the thing is not part of it.
foreign_paths() {
    if git grep -nE '(^|[^a-z])/(work|home/[a-z]+|root)/' -- ':!docs/*.md' ':!tools/check.sh' ':!web/package-lock.json' | grep -vE 'home/(ann|USER|user)/' ; then return 1; fi
    return 0
}

check "every folder includes only what comes before it (tools/order.sh)" tools/order.sh
check "no banned function, name, length or SQL (tools/banned.sh)" tools/banned.sh
check "every requirement of tools/requirements.txt is named by a test (tools/coverage.sh)" tools/coverage.sh
check "shell scripts parse" shell_syntax
check "python scripts parse" python_syntax
check "gcc builds it without a warning" build_gcc
if command -v clang-14 >/dev/null; then check "clang reads it without a warning" syntax_clang; else echo "skip clang is not installed (make test installs it)"; fi
if [ -e /usr/include/cmocka.h ]; then check "the tests compile without a warning" syntax_tests; else echo "skip cmocka is not installed (make test installs it)"; fi
check "route tables are whole (chiron __check)" tables
check "man page and completions name every verb and flag" verbs_documented
check "docs/privacy.md lists every table" tables_documented
check ".env.example names every setting" settings_documented
check "links in the documents lead somewhere" links
check "no path of somebody's machine" foreign_paths
if [ -e bench/results.json ]; then check "RESULTS.md, its plots and README's figures are those of bench/results.json" python3 -B bench/report.py --check; fi
if [ "$failures" = 0 ]; then echo "all checks passed"; else echo "$failures checks failed"; fi
[ "$failures" = 0 ]
