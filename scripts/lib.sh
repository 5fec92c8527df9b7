# shellcheck shell=bash
# What the scripts share, to be sourced: strict mode, the top of the repository as the current
# folder, cargo on the path, and one way to give up.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# rustup's own place, for a shell that has not read its profile.
if ! command -v cargo >/dev/null 2>&1; then
    PATH="$HOME/.cargo/bin:$PATH"
fi

# Ends the script with a reason, under its name.
die() {
    printf '%s: %s\n' "$(basename "$0" .sh)" "$*" >&2
    exit 1
}
