#!/usr/bin/env bash
# A live demo of the main job: mosd monitors generated TCP traffic, mosctl lists the flows and
# changes an option of one while its packets keep arriving. Ends on Ctrl-C, or after DEMO_SECONDS.
#
# Builds in the dev profile, in which the data path is optimised: the build takes a fraction of the
# time of a release build and shares everything with `make test`.
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

readonly SECONDS_MAX="${DEMO_SECONDS:-0}"
readonly BIN="${CARGO_TARGET_DIR:-target}/debug"
readonly PAUSE=3
stopping=""
mosd_pid=""
dir=""

mosctl() {
    "$BIN/mosctl" --endpoint "unix://$dir/mosd.sock" "$@"
}

# Shows a command before it runs.
show() {
    printf '\n$ mosctl %s\n' "$*"
    mosctl "$@"
}

clean_up() {
    local status=$?
    trap - EXIT
    if [ "$status" -eq 1 ] && [ -n "$dir" ] && [ -s "$dir/mosd.log" ]; then
        printf 'demo: the last lines of the log of mosd:\n' >&2
        tail -n 20 "$dir/mosd.log" >&2
    fi
    if [ -n "$mosd_pid" ] && kill -0 "$mosd_pid" 2>/dev/null; then
        kill -INT "$mosd_pid" 2>/dev/null || true
        wait "$mosd_pid" || true
    fi
    [ -z "$dir" ] || rm -rf "$dir"
    exit "$status"
}

start_mosd() {
    # In a session of its own, so that Ctrl-C reaches only this script, which then ends mosd.
    setsid "$BIN/mosd" run --demo --listen "unix://$dir/mosd.sock" \
        </dev/null >"$dir/mosd.log" 2>&1 &
    mosd_pid=$!
    for _ in $(seq 100); do
        if mosctl info >/dev/null 2>&1; then
            return
        fi
        kill -0 "$mosd_pid" 2>/dev/null || die "mosd did not start"
        sleep 0.2
    done
    die "mosd did not answer within 20 s"
}

# The exit code of `status` is that of the worst condition (13, 14), which does not end the demo.
show_status() {
    show status || [ $? -ge 13 ] || die "mosctl status failed"
}

# Prints the name of an established flow: one of the long conversations, which use port 22.
pick_flow() {
    local name
    for _ in $(seq 40); do
        name="$(mosctl --quiet flows list --state established --port 22 --limit 1 -o name)"
        if [ -n "$name" ]; then
            printf '%s\n' "$name"
            return
        fi
        sleep 0.25
    done
    return 1
}

# A flow may end at any moment; then the demo takes another one.
change_an_option() {
    local flow
    for _ in 1 2 3 4 5; do
        flow="$(pick_flow)" || die "no established flow within 10 s"
        printf '\nbefore:'
        show getopt "$flow" || continue
        show setopt --flow "$flow" --clibuf 65536 || continue
        printf '\nafter:'
        show getopt "$flow" || continue
        return
    done
    die "five flows in a row ended while they were being changed"
}

stop_mosd() {
    local status=0
    kill -INT "$mosd_pid"
    wait "$mosd_pid" || status=$?
    mosd_pid=""
    [ "$status" -eq 0 ] || die "mosd ended with exit code $status"
    printf '\nmosd ended cleanly.\n'
}

trap clean_up EXIT
trap 'stopping=yes' INT TERM

scripts/setup.sh run
printf 'building mosd and mosctl ...\n'
cargo build --workspace --bins
[ -z "$stopping" ] || exit 130

dir="$(mktemp -d)"
began="$(date +%s)"
start_mosd
printf '\nmosd is watching demo traffic (pid %s).\n' "$mosd_pid"
sleep 2
show flows list --limit 12
change_an_option
show_status

while [ -z "$stopping" ]; do
    elapsed=$(($(date +%s) - began))
    if [ "$SECONDS_MAX" -gt 0 ] && [ "$elapsed" -ge "$SECONDS_MAX" ]; then
        break
    fi
    sleep "$PAUSE" || true
    [ -z "$stopping" ] || break
    printf '\n-- after %d s%s' "$(($(date +%s) - began))" \
        "$([ "$SECONDS_MAX" -gt 0 ] || echo '; Ctrl-C ends the demo')"
    show_status
    show flows list --limit 6
done
stop_mosd
