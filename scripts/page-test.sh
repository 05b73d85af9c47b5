#!/usr/bin/env bash
# The page in a real browser, against a real server.
set -euo pipefail
cd "$(dirname "$0")/.."
exec "$(scripts/node.sh)" --test test/page.test.ts
