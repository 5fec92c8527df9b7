# Two commands matter: `make demo` and `make test`. Both install what is missing.

.DEFAULT_GOAL := help
.PHONY: help demo test fuzz-smoke soak league bench bench-quick bench-events bench-control check reference man docs build setup clean

# Where DEMO_SECONDS=20 is given, the demo ends by itself after that time.
demo: ## See mosd work on generated traffic; ends on Ctrl-C
	@scripts/demo.sh

test: ## Run every check: format, lints, docs, unit, property, integration, end to end
	@scripts/test.sh

# Where FUZZ_SECONDS=600 is given, each target runs for that time; FUZZ_SEED=1 repeats a run.
fuzz-smoke: ## Run every fuzz target under libFuzzer, 60 s each
	@scripts/fuzz-smoke.sh

soak: ## The attacks and long runs in full size, with their figures (SOAK="floods crowd": those)
	@scripts/setup.sh test
	cargo build --release --bins
	cargo run --release -p mos-bench --example soak -- $(SOAK)

# LEAGUE="--singles 2000 --combinations 500" is a smaller one; tshark takes most of the time.
league: ## What other tools make of the connections that the kernel judges, where they are installed
	@scripts/league.sh $(LEAGUE)

# BENCH="--traffic t1 --payload 6 --mode track" measures that alone; docs/explanation/performance.md says what it means.
bench: ## Measure the stack next to the least loop that could do as much: the whole suite
	@scripts/setup.sh run
	cargo run --release -p mos-bench -- $(BENCH)

bench-quick: ## The same, a part of it, in less than three minutes
	@scripts/setup.sh run
	cargo run --release -p mos-bench -- --quick $(BENCH)

bench-events: ## A slow reader of events beside a fast one, 60 s at over 100,000 events a second
	cargo build --release --bins
	cargo run --release -p mos-bench --example event_flood

bench-control: ## RPCs, lists and changes of 1,000,000 flows beside a worker at 80 % load
	cargo run --release -p mos-bench --example control_load

check: ## The quick checks only: format, lints, docs
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

reference: ## Write docs/reference/ anew from the code
	cargo run -p mos-reference

man: ## Write man pages and completions to target/manual
	cargo run -p mos-reference -- target/manual

docs: reference ## Render the book with mdBook to target/book
	@scripts/setup.sh docs
	.cache/tools/bin/mdbook build

build: ## Build mosd and mosctl for use (release)
	@scripts/setup.sh run
	cargo build --release --bins

setup: ## Install what building and testing need
	@scripts/setup.sh test

clean: ## Remove what was built
	cargo clean

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
