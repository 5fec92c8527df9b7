#!/usr/bin/env bash
# Every check, in the order in which a mistake is cheapest to find; prints the time of each stage
# and, at the end, how many tests passed and failed.
#
#   scripts/test.sh          all tests
#   scripts/test.sh fuzz     and every fuzz target under libFuzzer, the same way each time
#
# As root the tests of live interfaces run in network namespaces of their own; without root they are
# skipped, with a message.
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"
# Administrators' tools (ip, ethtool) are not on every user's path.
PATH="$PATH:/usr/sbin:/sbin"
export PATH
export CARGO_TERM_COLOR="${CARGO_TERM_COLOR:-auto}"

readonly MORE="${1:-}"
case "$MORE" in
"" | fuzz) ;;
*)
    die "unknown argument '$MORE': fuzz or nothing"
    ;;
esac
readonly LOG_DIR="$(mktemp -d)"
readonly TIMES="$LOG_DIR/times"
passed=0
failed=0
outcome=0
trap 'rm -rf "$LOG_DIR"' EXIT

# Runs one stage under its name. Shows its output while it runs, and keeps it for counting.
stage() {
    local name="$1" began ended status=0
    shift
    printf '\n== %s: %s\n' "$name" "$*"
    began="$(date +%s)"
    "$@" 2>&1 | tee "$LOG_DIR/last" || status=$?
    ended="$(date +%s)"
    printf '%-24s %5d s%s\n' "$name" "$((ended - began))" \
        "$([ "$status" -eq 0 ] || echo '  FAILED')" >>"$TIMES"
    return "$status"
}

# Adds up the summaries of cargo test and of nextest that the last stage printed.
count() {
    local counts
    counts="$(sed 's/\x1b\[[0-9;]*m//g' "$LOG_DIR/last" | awk '
        /^test result: / { passed += $4; failed += $6 }
        /^ *Summary \[/ {
            for (i = 2; i <= NF; i++) {
                if ($i ~ /^passed/) passed += $(i - 1)
                if ($i ~ /^(failed|timed)/) failed += $(i - 1)
            }
        }
        END { print passed + 0, failed + 0 }')"
    passed=$((passed + ${counts% *}))
    failed=$((failed + ${counts#* }))
}

finish() {
    local status="$1"
    printf '\n== time\n'
    cat "$TIMES"
    # A failure outside of the tests (a compile error, a lint) must not be reported as "0 failed".
    if [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then
        failed=1
    fi
    printf '\n%d passed, %d failed\n' "$passed" "$failed"
    exit "$status"
}

# A stage without tests counts as one check.
check() {
    if stage "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        finish 1
    fi
}

# A stage of tests. If it fails, the next stages still run.
tests() {
    stage "$@" || outcome=1
    count
}

if [ "$(id -u)" -ne 0 ]; then
    printf 'not root: the tests that need network namespaces will be skipped\n'
fi
check "setup" scripts/setup.sh test
check "format" cargo fmt --all --check
check "shell syntax" bash -n scripts/*.sh .ci/run deploy/*.sh
check "API lint" .cache/buf/node_modules/.bin/buf lint
check "lints" cargo clippy --workspace --all-targets -- -D warnings
check "without DPDK" cargo check -p mosd --no-default-features
check "docs" env RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps
check "build" cargo build --workspace --bins --example set_buffer
if cargo nextest --version >/dev/null 2>&1; then
    tests "tests" cargo nextest run --workspace --no-fail-fast
else
    tests "tests" cargo test --workspace --exclude mos-tests --no-fail-fast --lib --bins --tests
    # One at a time, because each starts a service of its own.
    tests "end to end" cargo test -p mos-tests --no-fail-fast -- --test-threads=1
fi
tests "doc tests" cargo test --workspace --doc
if [ "$MORE" = fuzz ]; then
    tests "fuzz" env FUZZ_SEED=1 scripts/fuzz-smoke.sh
fi
finish "$outcome"
