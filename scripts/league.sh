#!/usr/bin/env bash
# Judges mosd and other tools, those that are installed, by the same strategies: connections per
# 1,000 whose stream to the kernel is not what its socket read. Needs root.
#
#   scripts/league.sh [ARGUMENTS of mos-judge]
#
# Debian's names of what else can be judged: tcpflow, tshark, libnids-dev; and golang-go with
# golang-github-google-gopacket-dev and golang-golang-x-net-dev. Nothing is installed here.
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"
readonly WRAPPERS="target/league"

# Builds the programs of libraries that are there.
build_wrappers() {
    rm -rf "$WRAPPERS"
    mkdir -p "$WRAPPERS"
    if [ -e /usr/include/nids.h ]; then
        cc -O2 -Wall -Wextra -o "$WRAPPERS/nids" tests/judge/league/nids.c -lnids -lpcap
    fi
    if [ -e /usr/share/gocode/src/github.com/google/gopacket ]; then
        GO111MODULE=off GOPATH=/usr/share/gocode GOFLAGS= GOCACHE="$PWD/$WRAPPERS/cache" \
            go build -o "$WRAPPERS/gopacket" tests/judge/league/gopacket.go
    fi
}

versions() {
    printf '%s, Linux %s\n' "$(target/release/mosd --version)" "$(uname -r)"
    dpkg-query --show --showformat '${Package} ${Version}\n' tcpflow tshark libnids-dev \
        golang-github-google-gopacket-dev 2>/dev/null || true
}

cargo build --release --bins
build_wrappers
versions
for policy in first last linux; do
    printf '\nmosd, --overlap %s\n' "$policy"
    target/release/mos-judge --mosd target/release/mosd --policy "$policy" --labels 0 "$@"
done
for tool in nids gopacket tcpflow tshark; do
    printf '\n'
    target/release/mos-judge --other "$tool" "$@"
done
