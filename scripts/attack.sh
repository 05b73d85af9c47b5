#!/usr/bin/env bash
# The attack battery on every sandbox that starts here, and on nothing at all, where it must succeed; or on those that are named.
set -euo pipefail
cd "$(dirname "$0")/.."
node=$(scripts/node.sh)
wanted=${1:-process,wasm,docker,docker+runsc,none}

leave_out() {
	case ",$wanted," in *",$1,"*) ;; *) return 0 ;; esac
	echo "$1: not attacked, for $2" >&2
	wanted=$(printf '%s' "$wanted" | tr ',' '\n' | grep -vxF "$1" | paste -sd ,) || true
}

DOCKERDIR=
trap '[ -z "$DOCKERDIR" ] || scripts/docker.sh stop "$DOCKERDIR"' EXIT
if [[ $wanted == *docker* ]]; then
	if engine=$(scripts/docker.sh start); then
		eval "$engine"
		export DOCKER_HOST
		[ -x .writ/gvisor/runsc ] || leave_out docker+runsc 'runsc was not built'
	else
		leave_out docker+runsc 'no engine starts here'
		leave_out docker 'no engine starts here'
	fi
fi
"$node" scripts/attack.ts --quiet --provider "$wanted"
