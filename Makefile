# The same commands everywhere. One dev build serves `run`, `check` and `test`: always the whole workspace, always the
# same flags, because another feature set would compile polars once more.

TARGET := $(or $(CARGO_TARGET_DIR),target)
DATA ?= state/demo
ARGS ?=
SEEDS ?= 100
MUTATIONS ?= 2000
READERS ?= $(notdir $(wildcard tests/corpus/*))
FUZZ_SECONDS ?= 60
CHANGES ?= 10000

FULL := pipelines/full.yaml
MOCKS := $(TARGET)/debug/mocks
PIPELINE := $(TARGET)/debug/pipeline

.DEFAULT_GOAL := help
.PHONY: help run demo check test simulate noise crash hostile fuzz bench install clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## the nightly run of pipelines/full.yaml against both fakes, whose records stay in state/demo
	cargo build
	cargo run --quiet --bin mocks -- --data $(DATA) -- "$(TARGET)/debug/pipeline" run pipelines/full.yaml $(ARGS)

demo: ## the whole story: run, edits on both sides, plan, conflict, its answer, run, why
	cargo build
	@rm -rf state/story && mkdir -p state
	$(MOCKS) --data state/story -- $(PIPELINE) run $(FULL) > state/story.txt && tail -n 1 state/story.txt
	@echo; echo "# The ERP gets another phone number, the CRM another city, and both another name."
	$(MOCKS) edit --data state/story erp customers number=10000 phoneNumber="+45 33 12 34 56" displayName="Møller ApS"
	$(MOCKS) edit --data state/story crm accounts accountnumber=10000 address1_city="Aarhus" name="Møller & Co."
	@echo; echo "# What would a run do? It exits with 1, since the name waits for a person; so does the run."
	$(MOCKS) --data state/story -- $(PIPELINE) plan $(FULL) || test $$? = 1
	$(MOCKS) --data state/story -- $(PIPELINE) run $(FULL) > state/story.txt || test $$? = 1
	@tail -n 1 state/story.txt
	@echo; echo "# The CRM's name is right."
	$(MOCKS) --data state/story -- $(PIPELINE) inbox $(FULL) resolve customers:10000 --field displayName --take crm
	$(MOCKS) --data state/story -- $(PIPELINE) run $(FULL) > state/story.txt && tail -n 1 state/story.txt
	@echo; echo "# Why is it as it is?"
	$(MOCKS) --data state/story -- $(PIPELINE) why $(FULL) customers:10000

check: ## what holds before every commit: format, clippy with warnings denied, tests
	cargo fmt --all --check
	cargo clippy --all-targets -- --deny warnings
	cargo test

test: ## all tests
	cargo test

simulate: ## SEEDS seeds of each simulation: drawn pipelines, one pipeline, runs over changes; a tenth of them over HTTP
	SEEDS=$(SEEDS) HTTP_SEEDS=$$(( ($(SEEDS) + 9) / 10 )) cargo test --test it chance

noise: ## a night of CHANGES changes: undisturbed, one request of twenty meeting a fault, and under a quota (minutes)
	cargo build
	CHANGES=$(CHANGES) cargo test --test it nightly::noise -- --nocapture

crash: ## kill the program at every single call on a socket or on the state's files; every verb under every fault (hours)
	CALLS=all FAULTS=all cargo test --test it program::calls

hostile: ## MUTATIONS of each file in tests/corpus, for everything that reads what others wrote
	MUTATIONS=$(MUTATIONS) cargo test --test it hostile

fuzz: ## FUZZ_SECONDS for each of READERS; needs a nightly toolchain and `cargo install cargo-fuzz`
	@for reader in $(READERS); do \
	  mkdir -p "fuzz/found/$$reader" && \
	  READER=$$reader cargo +nightly fuzz run --dev --sanitizer none readers "fuzz/found/$$reader" "tests/corpus/$$reader" \
	    -- -max_total_time=$(FUZZ_SECONDS) -max_len=16384 -timeout=10 -rss_limit_mb=2048 || exit 1; \
	done

bench: ## the measurements of benches/core.rs
	cargo bench --bench core

install: ## the release builds, as ~/.cargo/bin/pipeline and ~/.cargo/bin/mocks
	cargo install --path . --locked
	cargo install --path mocks --locked

clean: ## the fakes' records and everything compiled
	rm -rf state/demo state/story state/story.txt
	cargo clean
