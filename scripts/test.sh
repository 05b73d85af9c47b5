#!/usr/bin/env bash
# All tests, in order of risk: the checks of the source, the rooms on every store, then what crosses rooms, then the page.
set -euo pipefail
cd "$(dirname "$0")/.."
node=$(scripts/node.sh)
export REQUIRE_POSTGRES=1 NO_COLOR=1

eval "$(scripts/postgres.sh start)"
export DATABASE_URL
trap 'scripts/postgres.sh stop "$PGDIR" >/dev/null' EXIT

PATH="$(dirname "$node"):$PATH" npm run --silent check:source
"$node" --test --test-concurrency=2 'src/**/*.test.ts' 'test/**/*.test.ts' 'bench/**/*.test.ts'
