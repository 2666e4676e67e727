"""sonde itself as a process, started as a user starts it."""

import os
import subprocess
import sys
from pathlib import Path

from tests.servers.process import Server, free_port, wait_until
from tests.servers.prometheus import get

ROOT = Path(__file__).resolve().parents[2]


class Sonde(Server):
    """A running ``sonde run``."""

    def get(self, path: str) -> str:
        """Fetch *path* and return the body of a 200."""
        return get(self.port, path).decode()


def start_sonde(directory: Path, probes: str, **environment: str) -> Sonde:
    """Start ``sonde run`` over the text *probes*, which may name its own port as SONDE_PORT."""
    file = directory / "probes.yaml"
    file.write_text(probes)
    port = free_port()
    command = [
        sys.executable, "-c", "from exporter.cli import main; main()", "run",
        "--config", str(file), "--listen", f"127.0.0.1:{port}", "--log-format", "json",
    ]  # fmt: skip
    with (directory / "log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            env={**os.environ, "SONDE_PORT": str(port), **environment},
        )  # fmt: skip
    server = Sonde(process, port, directory)
    error = wait_until(lambda: get(port, "/-/ready"), process)
    if error is not None:
        server.stop()
        raise AssertionError(f"want sonde to be ready, got {error!r}:\n{server.log()[-4000:]}")
    return server
