#!/usr/bin/env bash
# Judges mosd and other tools, those that are installed, by the same strategies: connections per
# 1,000 whose stream to the kernel is not what its socket read. Needs root.
#
#   scripts/league.sh [ARGUMENTS of mos-judge]
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

cargo build --release --bins
for policy in first last linux; do
    printf 'mosd, --overlap %s\n' "$policy"
    target/release/mos-judge --mosd target/release/mosd --policy "$policy" --labels 0 "$@"
done
for tool in tcpflow tshark; do
    target/release/mos-judge --other "$tool" "$@"
done
