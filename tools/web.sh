#!/bin/sh
# SPDX-License-Identifier: MIT
# The web page. `build` makes web/dist (npm packages are installed only when the lock file changed, from npm's cache when
# they are in it); `check` only compares types; `test URL [TOKEN] [-- playwright options]` drives the page of a running
# server in Debian's chromium. TOKEN (or CHIRON_TOKEN) is an owner's token: without it the upload tests are skipped.
set -eu
cd "$(dirname "$0")/.."
log=${B:-build}/web.log
# Where there was no node new enough, tools/setup.sh put one here.
node_bin=${XDG_CACHE_HOME:-$HOME/.cache}/chiron/node/bin
if [ -x "$node_bin/npm" ]; then PATH=$node_bin:$PATH; fi
PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1; export PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD
npm_config_update_notifier=false; export npm_config_update_notifier
die() { echo "web: $*" >&2; exit 1; }

# Set-up leaves a node in the cache where the system's is missing or too old.
fetched=${XDG_CACHE_HOME:-$HOME/.cache}/chiron/node/bin
new_enough() {
    command -v npm >/dev/null &&
        node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 22 || (a === 22 && b >= 12) || (a === 20 && b >= 19) ? 0 : 1)' 2>/dev/null
}

install() {
    if ! new_enough && [ -x "$fetched/npm" ]; then PATH=$fetched:$PATH; export PATH; fi
    new_enough || die "node 20.19 or 22.12 or newer is needed, with npm (make setup fetches one; make NO_WEB=1 does without)"
    mkdir -p "$(dirname "$log")"
    want=$(sha256sum web/package-lock.json web/.npmrc | sha256sum | cut -d' ' -f1)
    [ "$(cat web/node_modules/.chiron-lock 2>/dev/null || true)" = "$want" ] && return
    (cd web && npm ci --prefer-offline --ignore-scripts --no-audit --no-fund) >"$log" 2>&1 ||
        die "npm could not install the page's packages, details in $log"
    echo "$want" >web/node_modules/.chiron-lock
}

case "${1:-}" in
build)
    install
    (cd web && node_modules/.bin/tsc --noEmit && node_modules/.bin/vite build --logLevel warn) >"$log" 2>&1 ||
        die "the page does not build, details in $log" ;;
check)
    install
    (cd web && node_modules/.bin/tsc --noEmit) ;;
test)
    [ $# -ge 2 ] || die "usage: tools/web.sh test URL [TOKEN] [-- playwright options]"
    CHIRON_URL=$2; export CHIRON_URL
    shift 2
    if [ $# -gt 0 ] && [ "$1" != -- ]; then CHIRON_TOKEN=$1; export CHIRON_TOKEN; shift; fi
    if [ "${1:-}" = -- ]; then shift; fi
    install
    [ -x "${CHROMIUM:-/usr/bin/chromium}" ] || die "chromium is not installed (Debian package chromium)"
    cd web && exec node_modules/.bin/playwright test "$@" ;;
*)  echo "usage: tools/web.sh build | check | test URL [TOKEN] [-- playwright options]" >&2; exit 2 ;;
esac
