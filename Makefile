# Everything a person or a machine does with this project. `make` alone lists the targets.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

WIREMOCK_VERSION := 3.13.2
WIREMOCK_PORT := 8089

.PHONY: help run test fmt lint doc unit deny build e2e bench bench-mock wiremock

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Start the service with its mock Twilio on this machine (no account needed)
	cargo run --release -- dev

test: fmt lint doc unit deny e2e ## Everything that must hold before a change is merged

fmt: ## Is the code formatted as rustfmt does?
	cargo fmt --check

lint: ## Clippy on all targets, warnings refused
	cargo clippy --all-targets -- -D warnings

doc: ## Build the documentation, warnings refused
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items

# A changed snapshot is a failure here, never a new file.
unit: ## Unit and integration tests, on SQLite and on a PostgreSQL started for them
	INSTA_UPDATE=no tests/postgres.sh cargo test

# The advisory database comes from the network; without it the other checks still hold.
deny: ## Licences, sources, bans and advisories of the dependencies (needs cargo-deny)
	@if ! cargo deny --version >/dev/null 2>&1; then \
	  echo '!! SKIPPED: cargo-deny is not installed. Install it with: cargo install cargo-deny --locked'; \
	else \
	  cargo deny check bans licenses sources; \
	  if cargo deny fetch db >/dev/null 2>&1; then \
	    cargo deny check advisories; \
	  else \
	    echo '!! SKIPPED: the advisory database could not be fetched, so advisories were not checked.'; \
	  fi; \
	fi

build: ## Build the release binary
	cargo build --release

e2e: build e2e/.venv ## Real clients (socket.io-client, Twilio's Node and Python libraries) against the release binary
	cd e2e && npm ci --no-audit --no-fund && npm test

# Where Twilio's Python library lives. Without it the tests fail, they are not skipped.
e2e/.venv: e2e/sdk/python/requirements.txt
	rm -rf $@
	python3 -m venv $@
	$@/bin/pip --disable-pip-version-check install --quiet --require-hashes -r $<
	touch $@

bench: ## Fan-out, latency, start, memory, Twilio calls: figures beside the goals (ONLY=fanout|start|memory|calls|suggestions|mock for a part)
	cargo bench --bench load -- $(ONLY)

bench-mock: ## The mock alone: creates and reads per second and core, a growing conversation, memory per message
	cargo bench --bench load -- mock

wiremock: ## Serve the stubs of wiremock/ with the real WireMock on port 8089 (needs Java and npm)
	@command -v java >/dev/null || { echo 'make wiremock needs Java 11 or newer: on Debian, apt-get install default-jre-headless'; exit 1; }
	npx --yes wiremock@$(WIREMOCK_VERSION) --port $(WIREMOCK_PORT) --root-dir wiremock
