# Every target installs what it needs and is quick when there is nothing to do.
.PHONY: run test attack check first-run-check bench docs smoke clean help

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 20

run: ## install, load the sample data, start the server on 127.0.0.1:8000 and ask it one question
	@scripts/setup.sh app
	@$$(scripts/node.sh) scripts/run.ts

test: ## install what the tests need and run them all
	@scripts/setup.sh test
	@scripts/test.sh

attack: ## attack the sandboxes, and show that the attacks succeed without one; needs root
	@scripts/setup.sh test
	@scripts/attack.sh

check: ## types, format, lint, architecture, dead code, duplication, tests of the rooms
	@scripts/setup.sh app
	@PATH="$$(dirname $$(scripts/node.sh)):$$PATH" npm run --silent check

first-run-check: ## the golden path, start to evidence, against a fresh data directory
	@scripts/setup.sh app
	@$$(scripts/node.sh) scripts/first-run-check.ts

smoke: first-run-check

bench: ## measure; `make bench ARGS=--json` for one object a figure
	@scripts/setup.sh app
	@$$(scripts/node.sh) bench/bench.ts $(ARGS)

docs: ## write the generated pages again
	@scripts/setup.sh app
	@$$(scripts/node.sh) scripts/docs.ts

clean: ## remove what was built and the local data
	rm -rf web/dist .writ node_modules
