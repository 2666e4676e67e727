"""A real sshd with host keys of its own: ed25519, ecdsa and rsa. Nobody can log in."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.servers.process import Server, converse, find_program, free_port, start

TYPES = ("ed25519", "ecdsa", "rsa")
# sshd wants it when root starts it, whatever it is told.
SEPARATION = Path("/run/sshd")
CONFIG = """
ListenAddress 127.0.0.1
UsePAM no
PidFile none
AuthorizedKeysFile none
PasswordAuthentication no
MaxStartups 1000
"""


@dataclass
class Sshd:
    """A running sshd."""

    server: Server
    keys: Mapping[str, str]
    """Type -> public key as in known_hosts."""
    fingerprints: Mapping[str, str]
    """Type -> what ssh-keygen prints of it."""


def start_sshd(directory: Path, *lines: str) -> Sshd:
    """Start sshd with *lines* appended to its configuration."""
    program, keygen = find_program("sshd"), find_program("ssh-keygen")
    keys, fingerprints = {}, {}
    config = [CONFIG, *lines]
    for kind in TYPES:
        path = directory / kind
        if not path.exists():
            command = [keygen, "-q", "-t", kind, "-N", "", "-C", "", "-f", str(path)]
            subprocess.run(command, check=True, capture_output=True)
        keys[kind] = path.with_suffix(".pub").read_text().strip()
        shown = subprocess.run(
            [keygen, "-lf", str(path)], check=True, capture_output=True, text=True
        )
        fingerprints[kind] = shown.stdout.split()[1]
        config.append(f"HostKey {path}")
    port = free_port()
    (directory / "sshd_config").write_text("\n".join([*config, f"Port {port}", ""]))
    if os.getuid() == 0:
        SEPARATION.mkdir(mode=0o755, exist_ok=True)
    server = start(
        [program, "-D", "-e", "-f", str(directory / "sshd_config")],
        port,
        directory,
        ready=lambda: converse(port, b"SSH-2.0-test\r\n", b"SSH-2.0-"),
    )
    return Sshd(server, keys, fingerprints)
