#!/usr/bin/env bash
# The attack battery on a process and on Wasm, on containers where an engine starts, and on nothing at all, where it must succeed.
set -euo pipefail
cd "$(dirname "$0")/.."
node=$(scripts/node.sh)
providers=process,wasm
DOCKERDIR=
trap '[ -z "$DOCKERDIR" ] || scripts/docker.sh stop "$DOCKERDIR"' EXIT
if engine=$(scripts/docker.sh start); then
	eval "$engine"
	export DOCKER_HOST
	providers+=,docker
	if [ -x .writ/gvisor/runsc ]; then providers+=,docker+runsc; fi
fi
"$node" scripts/attack.ts --quiet --provider "$providers,none"
