#!/usr/bin/env bash
# Runs every fuzz target under libFuzzer for FUZZ_SECONDS (60) each, two at a time, from the
# committed seeds on; prints how often each was executed, and how many targets passed and failed.
#
# Inputs that libFuzzer finds are kept in .cache/fuzz, where the next run continues. With
# FUZZ_SEED=N libFuzzer uses that seed and begins with the committed inputs only; how far it comes
# depends on the machine. So that no change fails for what chance has found, attacked_connection,
# whose model of two endpoints is the richest, is then left to its property test. A failing input is kept in .cache/fuzz/TARGET-crashes. Needs cargo-bolero and a C++
# compiler; installs the former into .cache/tools if it is missing, and prints what it skips if it
# cannot. Needs no nightly: the default toolchain is told to accept the unstable flags of coverage.
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"
readonly TOOLS="$PWD/.cache/tools"
export PATH="$TOOLS/bin:$PATH"
readonly SECONDS_EACH="${FUZZ_SECONDS:-60}"
readonly SEED="${FUZZ_SEED:-}"
readonly FOUND="$PWD/.cache/fuzz"
readonly BOLERO_VERSION="0.13.5"
readonly AT_ONCE=2

# Package, test, folder of the seeds.
readonly TARGETS="
mos-stack stack::tests::fuzz::stack_ops dataplane/stack/src/stack/tests
mos-stack stack::tests::attack::attacked_connection dataplane/stack/src/stack/tests
mosd-fuzz config_text server/fuzz
mos-stack stack::tests::fuzz::parse_frame dataplane/stack/src/stack/tests
mosd-fuzz flow_name_text server/fuzz
mosd-fuzz filter_text server/fuzz
"

skip() {
    printf 'SKIPPED: %s; the same targets run as properties in make test\n' "$1"
    [ "${CI:-}" = true ] && exit 1
    exit 0
}

# Runs one target. A target that passes leaves a file with its name in $SCRATCH.
fuzz() {
    local package="$1" test="$2" folder="$3" name="${2##*::}" seed=()
    local corpus="$FOUND/$name" kept="$FOUND/$name-crashes" log="$FOUND/$name.log"
    local crashes="$kept"
    if [ -n "$SEED" ]; then
        corpus="$SCRATCH/corpus/$name"
        crashes="$SCRATCH/crashes/$name"
        seed=(-S "$SEED")
    fi
    mkdir -p "$corpus" "$crashes" "$kept"
    cp "$folder/__fuzz__/${test//::/__}/corpus/"* "$corpus/"
    # Without a sanitizer: the crates forbid unsafe code, so only panics and assertions can fail.
    if cargo bolero test "$test" -p "$package" --rustc-bootstrap --engine libfuzzer \
        --sanitizer NONE --corpus-dir "$corpus" --crashes-dir "$crashes" "${seed[@]}" \
        -T "${SECONDS_EACH}s" </dev/null >"$log" 2>&1; then
        printf '%-16s %s\n' "$name" "$(grep -a '^Done ' "$log" || echo 'ended without a count')"
        touch "$SCRATCH/$name"
    else
        [ "$crashes" = "$kept" ] || cp -r "$crashes/." "$kept/"
        printf '%-16s FAILED, see %s\n%s\n' "$name" "$log" "$(tail -n 30 "$log")"
    fi
}

command -v c++ >/dev/null 2>&1 || skip "no target was fuzzed: there is no C++ compiler"
if ! cargo bolero --version >/dev/null 2>&1; then
    printf 'installing cargo-bolero %s into .cache/tools\n' "$BOLERO_VERSION"
    cargo install cargo-bolero --version "$BOLERO_VERSION" --locked --no-default-features \
        --features libfuzzer --root "$TOOLS" ||
        skip "no target was fuzzed: cargo-bolero cannot be installed"
fi
SCRATCH="$(mktemp -d)"
readonly SCRATCH
trap 'rm -rf "$SCRATCH"' EXIT
targets=0
while read -r package test folder; do
    [ -n "$package" ] || continue
    if [ -n "$SEED" ] && [ "${test##*::}" = attacked_connection ]; then
        printf '%-16s left to its property test: a search goes on without FUZZ_SEED\n' "${test##*::}"
        continue
    fi
    while [ "$(jobs -rp | wc -l)" -ge "$AT_ONCE" ]; do
        wait -n
    done
    fuzz "$package" "$test" "$folder" &
    targets=$((targets + 1))
done <<<"$TARGETS"
wait
passed="$(find "$SCRATCH" -maxdepth 1 -type f | wc -l)"
failed=$((targets - passed))
# In the words of cargo, as scripts/test.sh counts them.
printf 'test result: %s. %d passed; %d failed\n' \
    "$([ "$failed" -eq 0 ] && echo ok || echo FAILED)" "$passed" "$failed"
[ "$failed" -eq 0 ]
