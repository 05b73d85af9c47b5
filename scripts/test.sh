#!/usr/bin/env bash
# All tests but the page's, in order of risk: the checks of the source, the rooms on every store, what crosses rooms.
set -euo pipefail
cd "$(dirname "$0")/.."
node=$(scripts/node.sh)
export REQUIRE_POSTGRES=1 NO_COLOR=1

eval "$(scripts/postgres.sh start)"
export DATABASE_URL
DOCKERDIR=
trap 'scripts/postgres.sh stop "$PGDIR" >/dev/null; [ -z "$DOCKERDIR" ] || scripts/docker.sh stop "$DOCKERDIR"' EXIT
# Where no engine can be started the tests of the container sandboxes are skipped, with the reason.
if engine=$(scripts/docker.sh start); then
	eval "$engine"
	export DOCKER_HOST REQUIRE_DOCKER=1
fi

PATH="$(dirname "$node"):$PATH" npm run --silent check:source
crossing=$(ls test/*.test.ts | grep -v '^test/page')
# What `scripts/status.ts --from` makes the status page of.
events=(--test-reporter=./scripts/test-events.ts --test-reporter-destination=.writ/test-events.jsonl)
events+=(--test-reporter=spec --test-reporter-destination=stdout --test-reporter=./scripts/test-failures.ts --test-reporter-destination=stdout)
"$node" --test --test-concurrency=2 "${events[@]}" 'src/**/*.test.ts' $crossing
