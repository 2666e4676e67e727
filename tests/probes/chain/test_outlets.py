"""Chains.md 17, row 58, and 2.3: what leaves the process about a chain, and `sonde smoke`.

Every secret of a group is mirrored into the errors of its endpoints; none may come out anywhere.
"""

import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.faults.rpc_proxy import rpc_proxy
from tests.probes.chain.rig import BLOCK_S, CHAIN_ID, Clock, Devnet, Rig, evm
from tests.servers.nodes_fixtures import StartAnvil
from tests.servers.process import free_port
from tests.test_secrets import SONDE, fetch

pytestmark = [pytest.mark.service, pytest.mark.slow]
# As long as the keys of providers are.
CANARIES = [f"canary{number:02d}zQ7pX4mT9wK2rL8vB5" for number in range(20)]
RUN_S = 60


class Mirror(BaseHTTPRequestHandler):
    """Puts all that it got into an error: by JSON-RPC, by a status, into a refused upgrade."""

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length).decode()
        numbers = re.findall(r'"id": ?(\d+)', body)
        error = {"code": -32603, "message": self.told(), "data": self.told()}
        answer = {"jsonrpc": "2.0", "id": int(numbers[0]) if numbers else None, "error": error}
        self.say(200, json.dumps(answer))

    def do_GET(self) -> None:
        self.say(403, self.told())

    def told(self) -> str:
        headers = " | ".join(f"{name}: {value}" for name, value in self.headers.items())
        return f"http://{self.headers.get('Host')}{self.path} {headers}"

    def say(self, status: int, text: str) -> None:
        data = text.encode()
        self.send_response(status, self.told().replace("\r\n", " ")[:300])
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Server-Said", self.told()[:300])
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base
        pass


@pytest.fixture
def mirror() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Mirror) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def secretive(port: int) -> str:
    """Return a file in which every secret that a group can have occurs."""
    c, at = CANARIES, f"127.0.0.1:{port}"
    return f"""
version: 1
chains:
  - name: evm
    kind: evm
    chain_id: 1
    every: 10s
    timeout: 3s
    settle: "off"
    headers: {{X-Api-Key: {c[0]}}}
    auth: {{basic: {{username: user, password: {c[1]}}}}}
    endpoints:
      - {{name: path, http: "http://{at}/v2/{c[2]}", ws: "ws://{at}/ws/{c[3]}"}}
      - {{name: query, http: "http://{at}/?apikey={c[4]}", ws: "ws://{at}/?key={c[5]}"}}
      - {{name: userinfo, http: "http://user:{c[6]}@{at}/"}}
      - {{name: header, http: "http://{at}/", headers: {{X-Token: {c[7]}}}}}
      - {{name: bearer, http: "http://{at}/", auth: {{header: {{credentials: {c[8]}}}}}}}
      - {{name: reset, http: "http://127.0.0.1:1/{c[9]}", role: reference}}
      - {{name: host, http: "http://{c[10].lower()}.invalid/"}}
    indexers:
      - {{name: path, preset: thegraph, url: "http://{at}/{c[11]}/graph"}}
      - {{name: header, preset: thegraph, url: "http://{at}/g", headers: {{X-Api-Key: {c[12]}}}}}
      - {{name: bearer, preset: thegraph, url: "http://{at}/g",
         auth: {{header: {{credentials: {c[13]}}}}}}}
  - name: cosmos
    kind: cosmos
    chain_id: neutron-1
    every: 10s
    timeout: 3s
    settle: "off"
    endpoints:
      - {{name: lcd, http: "http://{at}/{c[14]}", lcd: "http://{at}/lcd/{c[15]}"}}
  - name: solana
    kind: solana
    every: 10s
    timeout: 3s
    settle: "off"
    endpoints:
      - {{name: query, http: "http://{at}/?api-key={c[16]}", ws: "ws://{at}/?api-key={c[17]}"}}
probes:
  - {{name: single, kind: evm, target: "http://{at}/v3/{c[18]}", every: 10s, timeout: 3s,
     settle: "off", reference: [{{name: other, http: "http://{at}/{c[19]}"}}]}}
"""


def leaks(outlets: dict[str, str]) -> list[tuple[str, str]]:
    return [
        (name, canary)
        for name, text in outlets.items()
        for canary in CANARIES
        if canary.lower() in text.lower()
    ]


def sonde(path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SONDE, *words, "--config", str(path)], capture_output=True, text=True, check=False,
        timeout=RUN_S, env={**os.environ, "NO_COLOR": "1"},
    )  # fmt: skip


@pytest.mark.timeout(120)
def test_row_58_no_outlet_shows_a_secret_of_a_group(mirror: int, tmp_path: Path) -> None:
    path = tmp_path / "probes.yaml"
    path.write_text(secretive(mirror))
    junit, markdown = tmp_path / "r.xml", tmp_path / "r.md"
    outlets = {}
    for words in (
        ["lint"],
        ["explain", "evm"],
        ["explain", "single"],
        ["probe", "--name", "evm", "--log-level", "debug"],
        ["smoke", "--log-level", "debug", "--junit", str(junit), "--markdown", str(markdown)],
        ["smoke", "--output", "json"],
    ):
        done = sonde(path, *words)
        outlets[" ".join(words[:3])] = done.stdout + done.stderr
    outlets |= {"junit": junit.read_text(), "markdown": markdown.read_text()}
    outlets |= served(path)

    assert leaks(outlets) == []
    # what was mirrored did arrive: the errors are told, without what was secret
    report = json.loads(outlets["smoke --output json"].partition("\nsonde:")[0])
    told = {
        f"{result['probe']}/{step['probe']}": step["outcome"]
        for result in report["results"]
        for step in result["steps"]
    }
    assert told["evm/path"] == told["solana/query"] == told["single/target"] == "down"
    assert "rpc_core_error" in outlets["smoke --output json"]
    assert "chain_rpc_up{" in outlets["/metrics"]
    assert "ws_unavailable" in outlets["/metrics"]


def served(path: Path) -> dict[str, str]:
    """Return what `sonde run` says by log and pages while it asks the mirror."""
    port = free_port()
    process = subprocess.Popen(
        [SONDE, "run", "--config", str(path), "--listen", f"127.0.0.1:{port}", "--log-level",
         "debug", "--log-format", "json"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    base = f"http://127.0.0.1:{port}"
    found: dict[str, str] = {}
    pages = ("/", "/metrics", "/health", "/health/evm", "/api/v1/probes", "/api/v1/probes/evm",
             "/healthz/chain/evm/path", "/healthz/chain/solana/query")  # fmt: skip
    try:
        deadline = time.monotonic() + 30
        while "ws_unavailable" not in found.get("/metrics", ""):
            assert time.monotonic() < deadline, found.get("/metrics", "nothing")[-2000:]
            time.sleep(0.2)  # another process: there is no event to wait for
            try:
                found["/metrics"] = fetch(base + "/metrics")
            except OSError:
                continue  # not listening yet
        found |= {page: fetch(base + page) for page in pages}
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            found["log"] = process.communicate(timeout=20)[0]
        finally:
            process.kill()
    return found


# --- the gate


def gate(tmp_path: Path, urls: dict[str, str], **keys: str) -> subprocess.CompletedProcess[str]:
    path = tmp_path / "probes.yaml"
    endpoints = "".join(f'\n      - {{name: {n}, http: "{u}"}}' for n, u in urls.items())
    more = "".join(f"\n    {key}: {value}" for key, value in keys.items())
    path.write_text(
        f"version: 1\nchains:\n  - name: dev\n    kind: evm\n    chain_id: {CHAIN_ID}\n"
        f"    timeout: 5s\n    settle: 1s{more}\n    endpoints:{endpoints}\n"
    )
    return sonde(path, "smoke", "--output", "json")


def report_of(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    report = json.loads(done.stdout)
    return {
        step["probe"]: (step["failure"] or {}).get("message", step["outcome"])
        for step in report["results"][0]["steps"]
    }


def test_the_gate_lets_pass_who_advances_and_not_who_stands_still(
    anvil: StartAnvil, tmp_path: Path
) -> None:
    fresh = anvil(block_time=1)
    frozen = anvil(timestamp=int(time.time()) - 120, no_mining=True)

    passed = gate(tmp_path, {"own": fresh.url})
    failed = gate(tmp_path, {"own": frozen.url})

    assert (passed.returncode, report_of(passed)) == (0, {"own": "up"}), passed.stderr
    assert failed.returncode == 1, failed.stdout
    assert report_of(failed)["own"].startswith("head_stale: head is 12")


async def test_two_samples_show_a_lag_that_one_does_not(clock: Clock, trio: Devnet) -> None:
    clock.pass_s(9 * BLOCK_S)
    await trio.mine(9, on=trio.nodes[:2])
    async with rpc_proxy(trio.nodes[2].url) as proxy:
        urls = {"a": trio.nodes[0].url, "b": trio.nodes[1].url, "own": proxy.url}
        once, twice = Rig(clock, evm(urls)), Rig(clock, evm(urls, settle="100ms"))
        await once.alone()
        first = proxy.calls["eth_syncing"]
        await twice.alone()

    assert once.said("own") == "up"
    assert twice.said("own") == "down lag_down"
    assert (first, proxy.calls["eth_syncing"] - first) == (1, 2)


def test_the_gate_fails_for_one_that_nobody_reaches(anvil: StartAnvil, tmp_path: Path) -> None:
    done = gate(tmp_path, {"gone": f"http://127.0.0.1:{free_port()}"})

    assert done.returncode == 1
    assert report_of(done)["gone"].startswith("connect_refused")


def test_the_gate_cannot_tell_when_all_heads_are_of_the_future(
    anvil: StartAnvil, tmp_path: Path
) -> None:
    node = anvil(timestamp=int(time.time()) + 3600, no_mining=True)

    done = gate(tmp_path, {"ahead": node.url})

    assert done.returncode == 3, done.stdout
    assert "local_clock" in done.stdout
