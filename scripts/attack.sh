#!/usr/bin/env bash
# The attack battery on every sandbox that starts here, and on nothing at all, where it must succeed; or on those that are named.
set -euo pipefail
cd "$(dirname "$0")/.."
node=$(scripts/node.sh)
wanted=${1:-process,wasm,docker,docker+runsc,none}
DOCKERDIR=
trap '[ -z "$DOCKERDIR" ] || scripts/docker.sh stop "$DOCKERDIR"' EXIT
if engine=$(scripts/docker.sh start); then
	eval "$engine"
	export DOCKER_HOST
	[ -x .writ/gvisor/runsc ] || wanted=${wanted//,docker+runsc/}
else
	wanted=${wanted//,docker+runsc/}
	wanted=${wanted//,docker/}
fi
"$node" scripts/attack.ts --quiet --provider "$wanted"
