#!/usr/bin/env bash
# Reserves hugepages of 2 MiB for packet memory, now and at every boot. Run as root.
#
#   deploy/hugepages.sh MIB     for example 1024
#
# mosd runs without hugepages, too; with them its flow table and packet buffers are faster.
set -euo pipefail

die() {
    printf 'hugepages: %s\n' "$*" >&2
    exit 1
}

[ $# -eq 1 ] || die "usage: $0 MIB"
[[ "$1" =~ ^[1-9][0-9]*$ ]] || die "'$1' is not a number of MiB"
[ "$(id -u)" -eq 0 ] || die "must run as root"
readonly PAGES=$((($1 + 1) / 2))
readonly CONTROL=/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages
[ -w "$CONTROL" ] || die "this kernel has no hugepages of 2 MiB"

echo "$PAGES" >"$CONTROL"
got="$(cat "$CONTROL")"
[ "$got" -ge "$PAGES" ] ||
    die "the kernel gave $got of $PAGES pages: memory is too fragmented; reserve them at boot"
printf 'vm.nr_hugepages = %s\n' "$PAGES" >/etc/sysctl.d/60-mosd.conf
printf 'hugepages: %s pages of 2 MiB, kept by /etc/sysctl.d/60-mosd.conf\n' "$got"
