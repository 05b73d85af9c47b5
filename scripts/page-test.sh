#!/usr/bin/env bash
# The page in a real browser, against a real server.
set -euo pipefail
cd "$(dirname "$0")/.."
events=(--test-reporter=./scripts/test-events.ts --test-reporter-destination=.writ/page-events.jsonl --test-reporter=spec --test-reporter-destination=stdout)
exec "$(scripts/node.sh)" --test "${events[@]}" test/page*.test.ts
