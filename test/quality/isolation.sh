#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: isolation.sh BINARY
# No creator sees another's and no user another user's: every route, every id of somebody else, every credential that is none
# (CRE-017, CRE-085). Fails on the first leak, and when the command said nothing or missed a route of the table.
set -u
binary=$1
out=$(mktemp) || exit 1
trap 'rm -f "$out"' EXIT
# Half of what is asked is written down; in memory nobody waits for a disk.
if [ -z "${TMPDIR:-}" ] && [ -w /dev/shm ]; then TMPDIR=/dev/shm; export TMPDIR; fi
LLM_CHAIN=extractive "$binary" doctor --tenants >"$out"
code=$?
grep -E '^(LEAK|leak:)' "$out"
tail -1 "$out"; echo
grep -qE '^sqlite: [1-9][0-9]* routes, [1-9][0-9]{3,} requests, 0 leaks' "$out" || code=1
exit $code
