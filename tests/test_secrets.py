"""P15: twenty planted secrets, no hit in any outlet, although the target sends back what it got."""

import json
import os
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

SONDE = str(Path(sys.executable).parent / "sonde")
CANARIES = [f"canary{number:02d}xK9" for number in range(1, 21)]
C = dict(enumerate(CANARIES, start=1))


class Mirror(socketserver.StreamRequestHandler):
    """Sends the request back: in the reason, a header, the body; /loop redirects to itself."""

    def handle(self) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = self.rfile.readline(65536)
            if not line:
                return
            head += line
        flat = head.decode("latin-1").replace("\r\n", " | ").encode("latin-1")
        path = head.split(b" ")[1]
        location = b"Location: " + path + b"\r\n" if b"/loop" in path else b""
        status = b"302 " if location else b"500 "
        self.wfile.write(
            b"HTTP/1.1 " + status + flat[:200] + b"\r\nServer: " + flat[:1000] + b"\r\n" + location
            + b"Content-Type: text/plain\r\nConnection: close\r\n\r\n" + flat
        )  # fmt: skip


class MirrorServer(socketserver.ThreadingTCPServer):
    """Waits for nobody: a client that never ends its request would keep the test from ending."""

    daemon_threads = True


@pytest.fixture
def mirror() -> Iterator[int]:
    with MirrorServer(("127.0.0.1", 0), Mirror) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def config(port: int, directory: Path) -> str:
    """Return a probe file in which every way to name a secret occurs."""
    (directory / "file-secret").write_text(C[7] + "\n")
    (directory / "file-target").write_text(f"http://127.0.0.1:{port}/{C[8]}\n")
    url = f"http://127.0.0.1:{port}"
    return f"""
version: 1
defaults: {{every: 2s, timeout: 1s, tags: [all]}}
web: {{admin_token: {C[1]}}}
probes:
  - {{name: userinfo, kind: http, target: 'http://user:{C[2]}@127.0.0.1:{port}/'}}
  - {{name: query, kind: http, target: '{url}/loop?token={C[3]}&n=1'}}
  - {{name: header, kind: http, target: '{url}/', headers: {{X-Api-Key: {C[4]}}},
     expect: {{body: {{contains: never}}}}}}
  - {{name: header-env, kind: http, target: '{url}/', headers: {{X-Key: {{env: CANARY_5}}}},
     expect: {{headers: {{server: never}}}}}}
  - {{name: cookie, kind: http, target: '{url}/', headers: {{Cookie: 'sid={C[6]}'}}}}
  - {{name: bearer-file, kind: http, target: '{url}/', bearer: {{file: file-secret}},
     expect: {{json: {{$.a: 1}}}}}}
  - {{name: target-file, kind: http, target: {{file: file-target}}}}
  - {{name: target-env, kind: http, target: {{env: CANARY_9}}}}
  - {{name: basic, kind: http, target: '{url}/', basic_auth: {{username: u, password: {C[10]}}}}}
  - {{name: basic-env, kind: http, target: '{url}/',
     basic_auth: {{username: u, password: {{env: CANARY_11}}}}}}
  - {{name: variable, kind: http, target: '{url}/?k=${{CANARY_12_TOKEN}}'}}
  - {{name: fragment, kind: http, target: '{url}/{C[13]}{C[13]}'}}
  - {{name: dsn, kind: postgres, target: 'postgresql://u:{C[14]}@127.0.0.1:{port}/db'}}
  - {{name: dsn-env, kind: postgres, target: '${{CANARY_15_DSN}}'}}
  - {{name: dsn-password, kind: postgres, target: 'postgresql://u@127.0.0.1:{port}/db',
     password: {{env: CANARY_16}}}}
  - {{name: redis, kind: redis, target: 'redis://:{C[17]}@127.0.0.1:{port}/0'}}
  - {{name: redis-env, kind: redis, target: 'redis://u:${{CANARY_18_PASSWORD}}@127.0.0.1:1/0'}}
  - {{name: tls-key, kind: http, target: 'https://127.0.0.1:{port}/',
     tls: {{cert: {C[19]}, key: {C[19]}}}}}
  - {{name: encoded, kind: http, target: 'http://user:a%2F{C[20]}@127.0.0.1:{port}/'}}
"""


ENVIRONMENT = {
    "CANARY_5": C[5], "CANARY_11": C[11], "CANARY_12_TOKEN": C[12], "CANARY_16": C[16],
    "CANARY_18_PASSWORD": C[18],
}  # fmt: skip


def fetch(url: str, token: str = "", method: str = "GET") -> str:
    request = Request(url, method=method, headers={"Authorization": f"Bearer {token}"})
    try:
        with urlopen(request, timeout=10) as answer:
            return f"{answer.headers}{answer.read().decode()}"
    except HTTPError as error:
        return str(error.headers) + error.read().decode()


def leaks(outlets: dict[str, str]) -> list[tuple[str, str]]:
    return [(name, c) for name, text in outlets.items() for c in CANARIES if c in text]


@pytest.mark.slow
@pytest.mark.timeout(90)
def test_no_outlet_shows_a_secret(mirror: int, tmp_path: Path) -> None:
    """P15, T62, T63, T64."""
    path = tmp_path / "probes.yaml"
    path.write_text(config(mirror, tmp_path))
    environment = {
        **os.environ, **ENVIRONMENT, "CANARY_9": f"http://127.0.0.1:{mirror}/?x={C[9]}",
        "CANARY_15_DSN": f"postgresql://u:{C[15]}@127.0.0.1:1/db",
    }  # fmt: skip
    outlets = {}

    def command(*words: str) -> None:
        done = subprocess.run(
            [SONDE, *words, "--config", str(path)], capture_output=True, text=True, check=False,
            env=environment, timeout=60,
        )  # fmt: skip
        outlets[" ".join(words[:4])] = done.stdout + done.stderr

    junit, markdown = tmp_path / "r.xml", tmp_path / "r.md"
    command("lint")
    command(
        "smoke", "--log-level", "debug", "--junit", str(junit), "--markdown", str(markdown),
        "--output", "json",
    )  # fmt: skip
    report = json.loads(
        outlets["smoke --log-level debug --junit"]
        .partition("\nsonde:")[0]
        .split('\n{"timestamp')[0]
    )
    outlets |= {"junit": junit.read_text(), "markdown": markdown.read_text()}
    for name in ("target-env", "dsn-env"):
        command("explain", name)
        command("probe", "--name", name, "--log-level", "debug")
    outlets |= served(path, environment)

    assert leaks(outlets) == []
    assert {result["outcome"] for result in report["results"]} <= {"down", "unknown"}
    assert len(report["results"]) == 19
    assert all(f'probe="{r["probe"]}"' in outlets["/metrics"] for r in report["results"])
    assert outlets["log"].count("\n") > 19


def served(path: Path, environment: dict[str, str]) -> dict[str, str]:
    """Return what `sonde run` says by log, pages and process list while it checks the mirror."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [SONDE, "run", "--config", str(path), "--listen", f"127.0.0.1:{port}", "--log-level",
         "debug", "--log-format", "json"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment,
    )  # fmt: skip
    base, found = f"http://127.0.0.1:{port}", {}
    try:
        wait_for_runs(base, 19)
        for page in ("/", "/metrics", "/health", "/health/query", "/api/v1/probes",
                     "/api/v1/probes/userinfo", "/-/ready", "/nowhere?x=1"):  # fmt: skip
            found[page] = fetch(base + page, C[1])
        path.write_text(path.read_text().replace("kind: redis", "kind: rediss"))
        found["reload refused"] = fetch(base + "/-/reload", C[1], "POST")
        found["wrong token"] = fetch(base + "/-/reload", "wrong", "POST")
        found["cmdline"] = Path(f"/proc/{process.pid}/cmdline").read_text()
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            found["log"] = process.communicate(timeout=20)[0]
        finally:
            process.kill()
    return found


def wait_for_runs(base: str, count: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if fetch(base + "/metrics").count("sonde_probe_last_run_timestamp_seconds{") >= count:
                return
        except OSError:
            pass  # not listening yet
        time.sleep(0.2)  # another process: there is no event to wait for
    pytest.fail(f"want {count} probes to have run within 30 s")
