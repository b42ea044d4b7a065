# Everything a person or a machine does with this project. `make` alone lists the targets.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

WIREMOCK_VERSION := 3.13.2
WIREMOCK_PORT := 8089

.PHONY: help run test fmt lint doc unit deny build fuzz e2e bench bench-mock wiremock

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

# Not part of `test`, which replays what was found. New finds stay in fuzz/target/corpus; what fails is in fuzz/artifacts.
FUZZ_TARGETS := webhook websocket_frame events token ids twilio_answer
SECONDS ?= 60

fuzz: ## Arbitrary bytes into whatever reads what others wrote, SECONDS=60 for each target (needs nightly Rust and cargo-fuzz)
	@cargo +nightly fuzz --version >/dev/null 2>&1 || { echo 'make fuzz needs: rustup toolchain install nightly; cargo install cargo-fuzz --locked'; exit 1; }
	for target in $(FUZZ_TARGETS); do \
	  mkdir -p fuzz/target/corpus/$$target; \
	  cargo +nightly fuzz run $$target fuzz/target/corpus/$$target fuzz/corpus/$$target -- -max_total_time=$(SECONDS) -max_len=8192; \
	done

build: ## Build the release binary
	cargo build --release

e2e: build e2e/.venv e2e/schemathesis/.venv ## Real clients (socket.io-client, Twilio's libraries, Schemathesis) against the release binary
	cd e2e && npm ci --no-audit --no-fund && npm test

# Where Twilio's Python library lives, and Schemathesis. Without them the tests fail, they are not skipped.
e2e/.venv: e2e/sdk/python/requirements.txt
e2e/schemathesis/.venv: e2e/schemathesis/requirements.txt
e2e/.venv e2e/schemathesis/.venv:
	rm -rf $@
	python3 -m venv $@
	$@/bin/pip --disable-pip-version-check install --quiet --require-hashes -r $<
	touch $@

bench: ## Fan-out, latency, start, memory, Twilio calls: figures beside the goals (ONLY=fanout|start|memory|calls|suggestions|uploads|mock for a part)
	cargo bench --bench load -- $(ONLY)

bench-mock: ## The mock alone: creates and reads per second and core, a growing conversation, memory per message
	cargo bench --bench load -- mock

wiremock: ## Serve the stubs of wiremock/ with the real WireMock on port 8089 (needs Java and npm)
	@command -v java >/dev/null || { echo 'make wiremock needs Java 11 or newer: on Debian, apt-get install default-jre-headless'; exit 1; }
	npx --yes wiremock@$(WIREMOCK_VERSION) --port $(WIREMOCK_PORT) --root-dir wiremock
