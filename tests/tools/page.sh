#!/usr/bin/env bash
# Stands before the commands of a page, which run as its reader would type them, in an empty folder.
# ROOT is the tree, MOSD and MOSCTL are the programs.
#
# `mosd run` starts a service and goes on when it answers, as if in another terminal; `mosctl`
# then talks to it. Where a page starts none, `start_demo` does, which lets payload be read. `make`
# only says whether it knows the target. Everything ends with the page.
set -euo pipefail

service=""
export MOSCTL_ENDPOINT="unix://$PWD/mosd.sock"

stop_service() {
    [ -n "$service" ] || return 0
    kill "$service" 2>/dev/null || true
    wait "$service" || true
    service=""
}

start_service() {
    stop_service
    "$MOSD" "$@" --listen "$MOSCTL_ENDPOINT" >mosd.log 2>&1 &
    service=$!
    for _ in $(seq 300); do
        ! "$MOSCTL" info >/dev/null 2>&1 || return 0
        kill -0 "$service" 2>/dev/null || break
        sleep 0.1
    done
    cat mosd.log >&2
    return 1
}

mosd() {
    if [ "${1:-}" = run ]; then
        start_service "$@"
    else
        "$MOSD" "$@"
    fi
}

# The exit codes of `status` from 13 on tell the worst condition, which a busy machine may have.
# A command that does not end by itself is a mistake of the page.
mosctl() {
    local code=0
    timeout 60 "$MOSCTL" "$@" || code=$?
    if [ "${1:-}" = status ] && [ "$code" -ge 13 ]; then
        return 0
    fi
    return "$code"
}

make() {
    command make --no-print-directory --dry-run -C "$ROOT" "$@" >/dev/null
}

sudo() { "$@"; }
target/debug/mosd() { mosd "$@"; }
target/debug/mosctl() { mosctl "$@"; }
target/release/mosd() { mosd "$@"; }
target/release/mosctl() { mosctl "$@"; }

# Flows that last are there as soon as a reader would look for them.
start_demo() {
    start_service run --demo --config demo.toml
    for _ in $(seq 300); do
        [ -z "$("$MOSCTL" list --state established --port 22 -o name)" ] || return 0
        sleep 0.1
    done
    return 1
}

trap stop_service EXIT
# A network of its own: no port is taken, and eth1 is there.
ip link set lo up
ip link add eth1 type veth peer name mirror
ip link set eth1 up
ip link set mirror up
for part in deploy examples proto; do
    ln -s "$ROOT/$part" "$part"
done
printf '[server]\npayload = true\n' >demo.toml
# Shows each command of the page, but not what the functions above make of it.
trap 'printf "+ %s\n" "$BASH_COMMAND" >&2' DEBUG
