#!/bin/sh
# Bring uv and the environment .venv to what uv.lock says, from python3 alone.
# usage: bootstrap.sh [arguments of `uv sync`, such as --extra standard]
# Knows no target of the Makefile. A second run takes well under a second.
set -eu
cd "$(dirname "$0")/.."
# the oldest Python that pyproject.toml admits
WANT=3.11

say() { echo "bootstrap: $*" >&2; }

is_new_enough() {
    "$1" -c "import sys; sys.exit(sys.version_info < tuple(map(int, '$WANT'.split('.'))))" 2>/dev/null
}

find_python() {
    for name in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
        if command -v "$name" >/dev/null && is_new_enough "$name"; then
            command -v "$name"
            return
        fi
    done
    got=$(python3 --version 2>/dev/null || echo "none")
    say "want Python >= $WANT, got $got: install a newer one, or set PYTHON=/path/to/python3"
    exit 2
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then sudo -n "$@"
    else return 1
    fi
}

install_venv_package() {
    minor=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    say "this Python lacks venv and pip: installing python$minor-venv"
    if command -v apt-get >/dev/null && as_root apt-get update -qq >&2 &&
        as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq --no-install-recommends "python$minor-venv" >/dev/null
    then return
    fi
    say "want venv or pip for $python, got neither: as root, apt-get install python$minor-venv"
    exit 2
}

install_uv() {
    rm -rf .tools
    if ! "$python" -m venv .tools >/dev/null 2>&1; then
        rm -rf .tools
        if "$python" -m pip --version >/dev/null 2>&1; then
            "$python" -m pip install -q --target .tools/site --require-hashes -r scripts/uv.txt >&2
            mkdir -p .tools/bin
            ln -s ../site/bin/uv .tools/bin/uv
            return
        fi
        install_venv_package
        "$python" -m venv .tools >&2
    fi
    .tools/bin/python -m pip install -q --require-hashes -r scripts/uv.txt >&2
}

# the package that pins uv changed, or was never installed
stamp=.tools/$(cksum <scripts/uv.txt | tr ' ' -)
if [ ! -e "$stamp" ]; then
    python=$(find_python)
    say "installing uv with $python"
    install_uv
    touch "$stamp"
fi
if [ ! -e .venv/bin/python ]; then
    UV_PYTHON=$(find_python)
    export UV_PYTHON
fi
# a company's own certificates stand here; a bare machine without the package has uv's own
if [ -e /etc/ssl/certs/ca-certificates.crt ]; then
    export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-true}"
fi
# --inexact: `make run` does not take away what `make test` installed
UV_PYTHON_DOWNLOADS=never VIRTUAL_ENV='' exec .tools/bin/uv sync -q --frozen --inexact "$@"
