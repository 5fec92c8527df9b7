#!/bin/sh
# Gives an SSH session a larger client buffer, and reads it back: with grpcurl, by reflection.
#
#     set_buffer.sh HOST:PORT BYTES
set -eu
address="$1" bytes="$2"

call() {
    grpcurl -plaintext -d "$2" "$address" "mos.v1.FlowService/$1"
}

# The first value of a key, in JSON with one key on a line.
value() {
    sed -n "s/^ *\"$1\": \"\([^\"]*\)\".*/\1/p" | head -n 1
}

wanted='{"filter": "client_state = ESTABLISHED AND server.port = 22", "pageSize": 1}'
flow="$(call ListFlows "$wanted" | value name)"
change="{\"flow\": \"$flow\", \"options\": {\"clientBufferBytes\": \"$bytes\"}}"
call SetSockOpt "$change" >/dev/null
echo "$flow $(call GetSockOpt "{\"flow\": \"$flow\"}" | value clientBufferBytes)"
