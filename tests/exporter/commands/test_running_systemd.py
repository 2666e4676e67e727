"""The command ``sonde run`` on a socket that systemd has opened (sd_listen_fds(3))."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.exporter.web.support import request

SONDE = str(Path(sys.executable).parent / "sonde")
# What systemd does: descriptor 3 is the socket, and the variables name the process that it becomes.
SYSTEMD = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"""
PROBES = "version: 1\nprobes: [{name: it, kind: tcp, target: '127.0.0.1:1', every: 60s}]\n"

pytestmark = pytest.mark.slow


def test_a_client_that_came_before_the_service_is_answered(tmp_path: Path) -> None:
    config = tmp_path / "p.yaml"
    config.write_text(PROBES)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname(), timeout=20)
        command = [sys.executable, "-c", SYSTEMD, str(listener.fileno()), SONDE, "run"]
        service = subprocess.Popen(
            [*command, "--config", str(config), "--web.systemd-socket"],
            pass_fds=[listener.fileno()], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
    try:
        # here the socket is closed: what is answered is answered by the service
        with client, client.makefile("rb") as answer:
            client.sendall(request("GET", "/-/healthy", connection="close"))
            told = answer.read()
    finally:
        service.terminate()
        _, errors = service.communicate(timeout=15)

    assert told.startswith(b"HTTP/1.1 200 OK\r\n")
    assert told.endswith(b"\r\n\r\nHealthy")
    assert service.returncode == 0, errors.decode()
