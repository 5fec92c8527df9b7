# shellcheck shell=bash
# Sourced by every script: strict mode, the top of the repository as the current folder, cargo on
# the path, and `die`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# The folder of rustup, for a shell that has not read its profile.
if ! command -v cargo >/dev/null 2>&1; then
    PATH="$HOME/.cargo/bin:$PATH"
fi

# Ends the script with a reason, under its name.
die() {
    printf '%s: %s\n' "$(basename "$0" .sh)" "$*" >&2
    exit 1
}
