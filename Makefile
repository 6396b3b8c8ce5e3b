# The same commands everywhere. One dev build serves `run`, `check` and `test`: always the whole workspace, always the
# same flags, because another feature set would compile polars once more.

TARGET := $(or $(CARGO_TARGET_DIR),target)
DATA ?= state/demo
ARGS ?=
SEEDS ?= 100

.DEFAULT_GOAL := help
.PHONY: help run check test simulate bench install clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## the nightly run of pipelines/full.yaml against both fakes, whose records stay in state/demo
	cargo build
	cargo run --quiet --bin mocks -- --data $(DATA) -- "$(TARGET)/debug/pipeline" run pipelines/full.yaml $(ARGS)

check: ## what holds before every commit: format, clippy with warnings denied, tests
	cargo fmt --all --check
	cargo clippy --all-targets -- --deny warnings
	cargo test

test: ## all tests
	cargo test

simulate: ## SEEDS seeds of each simulation: drawn pipelines, one pipeline, runs over changes; a tenth of them over HTTP
	SEEDS=$(SEEDS) HTTP_SEEDS=$$(( ($(SEEDS) + 9) / 10 )) cargo test --test it chance

bench: ## the measurements of benches/core.rs
	cargo bench --bench core

install: ## the release build, as ~/.cargo/bin/pipeline
	cargo install --path . --locked

clean: ## the fakes' records and everything compiled
	rm -rf state/demo
	cargo clean
