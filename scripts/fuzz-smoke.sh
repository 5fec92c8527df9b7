#!/usr/bin/env bash
# Runs every fuzz target under libFuzzer for FUZZ_SECONDS (60) each, from the committed seeds on.
#
# What libFuzzer finds on the way stays in .cache/fuzz, so that the next run begins there; an input
# that fails is kept in .cache/fuzz/TARGET-crashes. Needs cargo-bolero and a C++ compiler: installs
# the first into .cache/tools when it is missing, and says aloud what it skips where it cannot.
# No nightly is needed: the default toolchain is told to take the unstable flags of coverage.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! command -v cargo >/dev/null 2>&1; then
    PATH="$HOME/.cargo/bin:$PATH"
fi
readonly TOOLS="$PWD/.cache/tools"
export PATH="$TOOLS/bin:$PATH"
readonly SECONDS_EACH="${FUZZ_SECONDS:-60}"
readonly BOLERO_VERSION="0.13.5"

# Package, test, folder with the seeds.
readonly TARGETS="
mos-stack stack::tests::fuzz::parse_frame dataplane/stack/src/stack/tests
mos-stack stack::tests::fuzz::stack_ops dataplane/stack/src/stack/tests
mosd-fuzz config_text server/fuzz
mosd-fuzz flow_name_text server/fuzz
mosd-fuzz filter_text server/fuzz
"

skip() {
    printf 'SKIPPED: %s; the same targets run as properties in make test\n' "$1"
    [ "${CI:-}" = true ] && exit 1
    exit 0
}

command -v c++ >/dev/null 2>&1 || skip "no target was fuzzed: there is no C++ compiler"
if ! cargo bolero --version >/dev/null 2>&1; then
    printf 'installing cargo-bolero %s into .cache/tools\n' "$BOLERO_VERSION"
    cargo install cargo-bolero --version "$BOLERO_VERSION" --locked --no-default-features \
        --features libfuzzer --root "$TOOLS" ||
        skip "no target was fuzzed: cargo-bolero cannot be installed"
fi
failed=0
while read -r package test folder; do
    [ -n "$package" ] || continue
    name="${test##*::}"
    corpus="$PWD/.cache/fuzz/$name"
    crashes="$corpus-crashes"
    mkdir -p "$corpus" "$crashes"
    cp "$folder/__fuzz__/${test//::/__}/corpus/"* "$corpus/"
    log="$corpus.log"
    # Without a sanitizer: the crates forbid unsafe code, panics and assertions are what can fail.
    if cargo bolero test "$test" -p "$package" --rustc-bootstrap --engine libfuzzer \
        --sanitizer NONE --corpus-dir "$corpus" --crashes-dir "$crashes" \
        -T "${SECONDS_EACH}s" </dev/null >"$log" 2>&1; then
        printf '%-16s %s\n' "$name" "$(grep -a '^Done ' "$log" || echo 'ended without a count')"
    else
        failed=1
        printf '%-16s FAILED, see %s\n' "$name" "$log"
        tail -n 30 "$log"
    fi
done <<<"$TARGETS"
exit "$failed"
