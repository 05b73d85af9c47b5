#!/usr/bin/env bash
# Installs what is missing: `setup.sh app` for running Writ, `setup.sh test` for its tests too. Quick when nothing is.
# What it cannot install it names, with the command that would; only what nothing works without ends it.
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:-app}
missing=()

say() { printf '  %s\n' "$*" >&2; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then sudo -n "$@"; else return 1; fi; }

# Installs Debian packages unless $1 is already on the path; remembers what could not be installed.
need() {
	local program=$1; shift
	if command -v "$program" >/dev/null || ls "$program" >/dev/null 2>&1; then return 0; fi
	say "installing $*"
	if command -v apt-get >/dev/null && as_root sh -c "(apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $*) >/dev/null 2>&1"; then return 0; fi
	missing+=("$program: apt-get install $*")
}

need node nodejs npm
command -v npm >/dev/null || need npm npm
major=$(node --version 2>/dev/null | sed 's/^v\([0-9]*\).*/\1/')
if [ -z "$major" ] || [ "$major" -lt 20 ] || ! command -v npm >/dev/null; then
	echo "writ needs Node 20 or newer, with npm, to install its own Node 24: apt-get install nodejs npm, or see https://nodejs.org" >&2
	exit 1
fi

stamp=node_modules/.writ-lock
lock=$(sha256sum package-lock.json .npmrc | sha256sum)
if [ "$(cat $stamp 2>/dev/null)" != "$lock" ]; then
	say "installing npm packages"
	# Not `npm ci`: it refuses a lock without the packages of other platforms. This installs exactly what is locked, by hash.
	npm install --no-save --no-fund --no-audit --loglevel=error >&2
	echo "$lock" >$stamp
fi
node=$(scripts/node.sh)

need bwrap bubblewrap
scripts/python.sh >&2 || missing+=("python3 with pandas: see above; PYTHON: questions stay off until then")

sources=$(find web src/contract -type f -not -path 'web/dist/*' -print0 | sort -z | xargs -0 sha256sum | cat - package-lock.json | sha256sum)
if [ "$(cat web/dist/.writ-sources 2>/dev/null)" != "$sources" ]; then
	say "building the page"
	"$node" node_modules/vite/bin/vite.js build --logLevel warn web >&2
	echo "$sources" >web/dist/.writ-sources
fi

if [ "$what" = test ]; then
	need /usr/lib/postgresql/*/bin/postgres postgresql
	need chromium chromium
	# Without these two the container sandboxes are not tested, and the tests say so.
	wanted=("${missing[@]}")
	need dockerd docker.io
	scripts/gvisor.sh >/dev/null || say "not installed: runsc"
	[ ${#missing[@]} -eq ${#wanted[@]} ] || say "not installed: docker.io"
	missing=("${wanted[@]}")
fi

for line in "${missing[@]}"; do say "not installed: $line"; done
if [ "$what" = test ] && [ ${#missing[@]} -gt 0 ]; then
	echo "the tests need all of these" >&2
	exit 1
fi
