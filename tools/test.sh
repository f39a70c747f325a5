#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: test.sh BUILD [all|unit|api|quality|web|live|race|fuzz]
#   unit     test/unit/* and the fuzz corpora under address and undefined-behaviour sanitizer
#   api      test/api/*.test against BUILD/chiron          quality  test/quality/*, each run as: FILE BUILD/chiron
#   web      the page's Playwright tests                   live     test/live/*, as quality, against real servers
#   race     unit and api under thread sanitizer           fuzz     each target FUZZ_SECONDS (60) with libFuzzer
# A program that exits 77 was skipped and says why. The last line is the count; the exit code is 1 when anything failed.
# Everything runs in process groups of its own that are ended here, whatever happens.
set -u
cd "$(dirname "$0")/.."
b=${1:-build} mode=${2:-all}
unit_seconds=180 file_seconds=900 cores=$(nproc)
passed=0 failed=0 skipped=0 child=
work=$(mktemp -d) || exit 1

finish() {
    if [ -n "$child" ]; then kill -TERM -- "-$child" 2>/dev/null; sleep 1; kill -KILL -- "-$child" 2>/dev/null; fi
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() { printf '%s\n' "$*"; }
count() { passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3)); }

# group SECONDS LOG COMMAND…: in a session of its own, ended as a whole when its time is over or this script ends.
group() {
    seconds=$1 log=$2
    shift 2
    setsid timeout -k 10 "$seconds" "$@" >"$log" 2>&1 </dev/null &
    child=$!
    wait "$child"
    code=$?
    kill -KILL -- "-$child" 2>/dev/null
    child=
    return "$code"
}

# One program, one result; its output is shown when it failed.
program() {
    name=$1
    shift
    begun=$(date +%s)
    group "$file_seconds" "$work/log" "$@"
    code=$?
    case $code in
    0) count 1 0 0; say "ok   $name ($(($(date +%s) - begun)) s)" ;;
    77) count 0 0 1; say "skip $name: $(tail -1 "$work/log")" ;;
    *) count 0 1 0; say "FAIL $name (exit $code)"; tail -200 "$work/log" | sed 's/^/    /' ;;
    esac
}

# cmocka counts its own test functions; a program that dies before its summary is one failure.
unit_result() {
    name=$1 log=$2 code=$3
    p=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) test(s).*/\1/p' "$log" | tail -1)
    f=$(sed -n 's/^\[  FAILED  \] \([0-9]*\) test(s).*/\1/p' "$log" | tail -1)
    s=$(sed -n 's/^\[  SKIPPED \] \([0-9]*\) test(s).*/\1/p' "$log" | tail -1)
    if [ "$code" != 0 ] && [ -z "$f" ]; then f=1; fi
    if [ "$code" = 0 ] && [ -z "$p$f$s" ]; then f=1; echo "no test ran" >>"$log"; fi
    count "${p:-0}" "${f:-0}" "${s:-0}"
    if [ "${f:-0}" = 0 ]; then
        say "ok   $name: ${p:-0} passed${s:+, $s skipped}"
        if [ -n "$s" ]; then grep -hi 'skip' "$log" | grep -v '^\[' | sort -u | sed 's/^/    /' | head -5; fi
    else
        say "FAIL $name (exit $code)"
        grep -v -e '^\[ RUN ' -e '^\[       OK ' "$log" | tail -120 | sed 's/^/    /'
    fi
}

unit() {
    kind=$1
    say "-- building with $kind"
    group 1800 "$work/log" make --no-print-directory -k -j"$cores" B="$b" "$kind" || {
        count 0 1 0; say "FAIL build with $kind"; grep -E 'error:|undefined|multiple|\*\*\*' "$work/log" | sort -u | head -40 | sed 's/^/    /'; }
    say "-- unit tests with $kind"
    ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:detect_stack_use_after_return=1}
    LSAN_OPTIONS=suppressions=$PWD/tools/lsan.supp:print_suppressions=0
    UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
    TSAN_OPTIONS=halt_on_error=0:exitcode=66:suppressions=$PWD/tools/tsan.supp
    export ASAN_OPTIONS LSAN_OPTIONS UBSAN_OPTIONS TSAN_OPTIONS
    find test/unit -name '*_test.c' | sort | sed 's|^test/unit/||; s|\.c$||' >"$work/names"
    mkdir -p "$work/unit"
    # The programs share nothing, so as many run at once as there are cores.
    cat >"$work/one" <<EOF
n=\$(echo "\$1" | tr / -)
timeout -k 10 $unit_seconds "$b/$kind/unit/\$1" >"$work/unit/\$n.log" 2>&1 </dev/null
echo \$? >"$work/unit/\$n.code"
EOF
    group 1800 "$work/log" xargs -a "$work/names" -P "$cores" -n 1 sh "$work/one"
    while read -r name; do
        n=$(echo "$name" | tr / -)
        if [ ! -x "$b/$kind/unit/$name" ]; then count 0 1 0; say "FAIL $name was not built"; continue; fi
        unit_result "$name" "$work/unit/$n.log" "$(cat "$work/unit/$n.code" 2>/dev/null || echo lost)"
    done <"$work/names"
}

corpora() {
    for f in test/fuzz/*_fuzz.c; do
        [ -f "$f" ] || continue
        x=$(basename "$f" _fuzz.c)
        program "fuzz corpus $x" "$b/asan/fuzz/${x}_fuzz" "test/fuzz/corpus/$x"
    done
}

api() {
    set -- test/api/*.test
    [ -f "$1" ] || return 0
    say "-- API scenarios"
    group 1800 "$work/log" tools/api_test.py "${binary:-$b/chiron}" "$@"
    grep -v '^api: ' "$work/log"
    n=$(sed -n 's/^api: \([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped$/\1 \2 \3/p' "$work/log")
    # shellcheck disable=SC2086
    if [ -n "$n" ]; then count $n; else count 0 1 0; say "FAIL the API runner ended early"; fi
}

# Programs of a folder: FILE BINARY; what is not executable is their data.
folder() {
    say "-- $1"
    for f in test/"$1"/*; do
        if [ -f "$f" ] && [ -x "$f" ]; then program "$1/$(basename "$f")" "$f" "$b/chiron"; fi
    done
}

web() {
    if [ -n "${NO_WEB:-}" ] || [ ! -d web ]; then return 0; fi
    say "-- the page"
    # The address and the token come from the server that is started beside it.
    # shellcheck disable=SC2016
    program "web" tools/with_server.py "$b/chiron" sh -c 'exec tools/web.sh test "$CHIRON_URL" "$CHIRON_TOKEN"'
}

fuzz() {
    say "-- building with libFuzzer"
    group 1800 "$work/log" make --no-print-directory -j"$cores" B="$b" fuzzers || {
        count 0 1 0; say "FAIL build with libFuzzer"; grep -E 'error|undefined|\*\*\*' "$work/log" | head -40; return; }
    for f in test/fuzz/*_fuzz.c; do
        [ -f "$f" ] || continue
        x=$(basename "$f" _fuzz.c)
        mkdir -p "$b/fuzz-found/$x" "test/fuzz/corpus/$x"
        program "fuzz $x" "$b/fuzzer/fuzz/${x}_fuzz" -max_total_time="${FUZZ_SECONDS:-60}" -timeout=10 -rss_limit_mb=2048 -max_len=65536 \
            -print_final_stats=1 -artifact_prefix="$b/fuzz-found/$x-" "$b/fuzz-found/$x" "test/fuzz/corpus/$x"
    done
}

# shellcheck disable=SC2046
tools/setup.sh test $([ -z "${NO_WEB:-}" ] || echo noweb) $([ "$mode" != live ] || echo live) || exit 1
case $mode in
all) unit asan; corpora; program "the encoder's kernels on arm64" tools/arm64.sh; api; folder quality; web ;;
unit) unit asan; corpora ;;
race) unit tsan; binary=$b/tsan/chiron; CHIRON_SLOW=10; export CHIRON_SLOW; if make --no-print-directory -s B="$b" tsan-binary; then api; else count 0 1 0; fi ;;
api | web | fuzz) "$mode" ;;
quality) folder quality ;;
live)
    # The first run builds a llama-server: 15 to 30 minutes on one core, as busy as it is.
    LLAMA_BUILD=${LLAMA_BUILD:-1} file_seconds=5400
    export LLAMA_BUILD
    [ "$LLAMA_BUILD" != 1 ] || say "-- what is missing is fetched and built first; a llama-server takes 15 to 30 minutes on one core, once"
    folder live ;;
*) say "usage: test.sh BUILD [all|unit|api|quality|web|live|race|fuzz]" >&2; exit 2 ;;
esac
say "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
