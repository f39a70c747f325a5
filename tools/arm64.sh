#!/bin/sh
# SPDX-License-Identifier: MIT
# The encoder's kernels on 64-bit ARM, made and tested on another machine: cross-compiled with warnings as errors, and their
# unit tests run by qemu, once for a CPU with the dot product and once without. Exit code 77 when the tools are not
# there (apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static). It does not build the product.
set -eu
cd "$(dirname "$0")/.."
cc=aarch64-linux-gnu-gcc
for tool in $cc qemu-aarch64-static; do
    command -v $tool >/dev/null || { echo "$tool is not installed"; exit 77; }
done
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
flags="-std=c11 -D_GNU_SOURCE -Isrc -Wall -Wextra -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes -Werror -O3 -ffp-contract=fast"
for f in src/encoder/kernels*.c; do $cc $flags -c -o "$out/$(basename "$f" .c).o" "$f"; done
for t in kernels kernels_int8; do
    $cc $flags -Itest/cross -static -o "$out/$t" "test/unit/encoder/${t}_test.c" "$out"/*.o -lm
    for cpu in max cortex-a53; do
        echo "-- ${t}_test on $cpu"
        qemu-aarch64-static -cpu $cpu "$out/$t"
    done
done
# Who else includes nothing but the house's own headers is read for this CPU too.
for f in share mapped; do $cc $flags -fsyntax-only "src/encoder/$f.c"; done
