#!/bin/sh
# `make bench`: the engine's own figures, then the server under 8 clients on the demo, all in one run on one machine.
# Needs wrk. Nothing here passes or fails; it prints figures.
# SPDX-License-Identifier: MIT
set -eu
build=${1:-build}
here=$(dirname "$0")
seconds=${BENCH_SECONDS:-10}
clients=${BENCH_CLIENTS:-8}
command -v wrk >/dev/null || { echo "bench: wrk is missing (apt-get install wrk)" >&2; exit 1; }
dir=$(mktemp -d)
server=
stop() {
    if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; fi
    rm -rf "$dir"
}
trap stop EXIT
trap 'exit 130' INT TERM

echo "== machine"
grep -m1 'model name' /proc/cpuinfo | sed 's/.*: //' || true
echo "$(nproc) cores"

echo "== engine"
"$build/chiron" bench

echo "== server on the demo, $clients clients, $seconds s each"
port=$("${PYTHON:-python3}" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
base=http://127.0.0.1:$port
began=$(date +%s%N)
"$build/chiron" serve --demo --data "$dir/data" --listen "127.0.0.1:$port" >"$dir/out" 2>"$dir/log" &
server=$!
tries=0
until curl -sf -o "$dir/health" "$base/health"; do
    tries=$((tries + 1))
    [ $tries -lt 1000 ] || { echo "bench: the server did not start" >&2; tail -5 "$dir/log" >&2; exit 1; }
    sleep 0.01
done
echo "start to ready: $((($(date +%s%N) - began) / 1000000)) ms"
owner=$("$build/chiron" token --data "$dir/data" --creator demo --role owner)
TOKEN=$("$build/chiron" token --data "$dir/data" --creator demo --user bench)
export TOKEN
tries=0
while curl -sf -H "Authorization: Bearer $owner" "$base/api/v1/jobs?limit=100" | grep -Eq '"state": ?"(queued|running)"'; do
    tries=$((tries + 1))
    [ $tries -lt 1200 ] || { echo "bench: the demo is not in after 120 s" >&2; exit 1; }
    sleep 0.1
done
echo "demo in: $((($(date +%s%N) - began) / 1000000)) ms after the start"
echo "resident: $(awk '/VmRSS/ { print int($2 / 1024) }' "/proc/$server/status") MB"
for shape in rag search ask; do
    SHAPE=$shape wrk -t1 -c"$clients" -d"${seconds}s" --timeout 10s -s "$here/post.lua" "$base" | grep "^$shape:"
done
echo "resident after load: $(awk '/VmRSS/ { print int($2 / 1024) }' "/proc/$server/status") MB"
