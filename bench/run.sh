#!/bin/sh
# `make bench`: Chiron's speed beside others' and beside the machine's limits, all in one run. Nothing here passes or fails.
# BENCH=quick is short and writes to the build folder; otherwise bench/RESULTS.md is written. See bench/README.md.
# SPDX-License-Identifier: MIT
set -eu
cd "$(dirname "$0")/.."
build=${1:-build}
tools/setup.sh noweb bench
exec /usr/bin/env python3 bench/run.py "$build"
