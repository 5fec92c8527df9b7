#!/usr/bin/env bash
# Installs what is missing on a Debian-like machine, and nothing else.
#
#   scripts/setup.sh run     what building and running needs
#   scripts/setup.sh test    that, and what the tests need (network tools, clients of other makers)
#   scripts/setup.sh docs    mdBook, which renders the book
#
# Skips what is installed already, without a message; prints what it installs. Uses sudo when not
# root.
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

readonly MODE="${1:-run}"
readonly CACHE=".cache"
readonly RUST_MIN="1.95"
readonly BUF_VERSION="1.75.0"
readonly MDBOOK_VERSION="0.5.4"

say() {
    printf 'setup: %s\n' "$*"
}

has_command() { command -v "$1" >/dev/null 2>&1; }
has_library() { pkg-config --exists "$1" 2>/dev/null; }
has_file() { compgen -G "$1" >/dev/null; }
has_venv() { python3 -c 'import ensurepip, venv' 2>/dev/null; }

# Prints the Debian packages whose probe fails.
missing_packages() {
    { has_command cc && has_command make; } || echo build-essential
    has_command pkg-config || echo pkg-config
    has_library libdpdk || echo libdpdk-dev
    has_file '/usr/lib/llvm-*/lib/libclang.so' || echo libclang-dev
    [ "$MODE" = test ] || return 0
    has_file '/usr/include/pcap/pcap.h' || echo libpcap-dev
    has_command ip || has_file '/usr/sbin/ip' || echo iproute2
    has_command ethtool || has_file '/usr/sbin/ethtool' || echo ethtool
    has_command tcpdump || has_file '/usr/sbin/tcpdump' || echo tcpdump
    has_command curl || echo curl
    has_command setpriv || echo util-linux
    has_command python3 || echo python3
    has_venv || echo python3-venv
    has_command node || echo nodejs
    has_command npm || echo npm
}

install_packages() {
    local packages as_root=()
    packages="$(missing_packages | tr '\n' ' ')"
    [ -n "${packages// /}" ] || return 0
    has_command apt-get || die "missing: $packages(Debian's names); no apt-get here, install them by hand"
    if [ "$(id -u)" -ne 0 ]; then
        has_command sudo || die "missing: $packages; run 'apt-get install $packages' as root"
        as_root=(sudo)
    fi
    say "installing with apt: $packages"
    "${as_root[@]}" apt-get update -qq || die "apt-get update failed; is there a network?"
    # shellcheck disable=SC2086 # one word per package
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends $packages >/dev/null ||
        die "apt could not install: $packages"
    packages="$(missing_packages | tr '\n' ' ')"
    [ -z "${packages// /}" ] || die "still missing after apt: $packages"
}

check_rust() {
    local version
    has_command cargo || die "no cargo: install Rust $RUST_MIN or later from https://rustup.rs, then run this again"
    version="$(cargo --version | cut -d' ' -f2)"
    [ "$(printf '%s\n%s\n' "$RUST_MIN" "$version" | sort -V | head -n1)" = "$RUST_MIN" ] ||
        die "cargo $version is too old: Rust $RUST_MIN or later is needed (rustup update stable)"
}

# Clients that we did not write. The tests call the API with them, by reflection only.
install_clients() {
    local venv="$CACHE/venv" buf="$CACHE/buf" wanted="tests/clients/requirements.txt"
    mkdir -p "$CACHE"
    if ! cmp -s "$wanted" "$venv/installed.txt"; then
        say "installing Python clients into $venv"
        python3 -m venv "$venv" || die "python3 -m venv failed (Debian: python3-venv)"
        "$venv/bin/pip" install --quiet --requirement "$wanted" ||
            die "pip could not install $wanted"
        cp "$wanted" "$venv/installed.txt"
    fi
    if [ "$("$buf/node_modules/.bin/buf" --version 2>/dev/null)" != "$BUF_VERSION" ]; then
        say "installing @bufbuild/buf $BUF_VERSION into $buf"
        npm install --prefix "$buf" --ignore-scripts --no-audit --no-fund --silent \
            "@bufbuild/buf@$BUF_VERSION" || die "npm could not install @bufbuild/buf"
    fi
    mkdir -p "$buf/include/google/rpc"
    cp "$venv"/lib/python3*/site-packages/google/rpc/status.proto "$buf/include/google/rpc/"
}

# Renders the book; nothing else needs it.
install_mdbook() {
    local root="$CACHE/tools"
    if [ "$("$root/bin/mdbook" --version 2>/dev/null)" != "mdbook v$MDBOOK_VERSION" ]; then
        say "installing mdbook $MDBOOK_VERSION into $root"
        cargo install --quiet --locked --root "$root" --version "$MDBOOK_VERSION" \
            --no-default-features --features search mdbook || die "cargo could not install mdbook"
    fi
}

case "$MODE" in
run | test | docs) ;;
*) die "unknown mode '$MODE': run, test or docs" ;;
esac
install_packages
check_rust
case "$MODE" in
run) ;;
test) install_clients ;;
docs) install_mdbook ;;
esac
