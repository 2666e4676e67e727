"""Certificates that are rotated under a prober that runs on, as cert-manager and the kubelet do it.

Of every kind with a block ``tls``: the run after the rotation trusts the new authority, or shows
the new client certificate, with the kind that was made before it.
"""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trustme

from probes.kind import Kind
from probes.kinds import discover, find_kind
from tests.faults.tcp import tcp_fault
from tests.faults.unix import unix_fault
from tests.harness import Check

# Of each kind: what it needs besides, and how a target is written.
KINDS: dict[str, tuple[dict[str, Any], str]] = {
    "cosmos": ({}, "https://127.0.0.1:{port}/"),
    "dns": ({"query_name": "a.test", "query_type": "A", "transport": "tls"}, "127.0.0.1:{port}"),
    "evm": ({}, "https://127.0.0.1:{port}/"),
    "grpc": ({}, "127.0.0.1:{port}"),
    "http": ({}, "https://127.0.0.1:{port}/"),
    "jsonrpc": ({"calls": [{"method": "x"}]}, "https://127.0.0.1:{port}/"),
    "postgres": ({}, "postgresql://u@127.0.0.1:{port}/d"),
    "redis": ({}, "rediss://127.0.0.1:{port}"),
    "smtp": ({"encryption": "tls"}, "127.0.0.1:{port}"),
    "solana": ({}, "https://127.0.0.1:{port}/"),
    "tcp": ({}, "127.0.0.1:{port}"),
    "tls": ({}, "127.0.0.1:{port}"),
    "unix": ({}, "{path}"),
    "websocket": ({}, "wss://127.0.0.1:{port}/"),
}
FILES = {"ca_file": "ca.crt", "cert_file": "tls.crt", "key_file": "tls.key"}


def test_every_kind_with_a_block_for_tls_is_here() -> None:
    assert set(KINDS) == {name for name, kind in discover().items() if "tls" in kind.model_fields}


class Authorities:
    """An old authority and a new one, each with a client that it has certified."""

    def __init__(self) -> None:
        self.made = {name: trustme.CA() for name in ("old", "new")}
        self.clients = {
            name: ca.issue_cert(f"{name}@example.org", common_name=name)
            for name, ca in self.made.items()
        }
        self.server = self.made["new"].issue_cert("127.0.0.1", "localhost")

    def context(self) -> ssl.SSLContext:
        """Return how a server is reached by clients of the new authority alone."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server.configure_cert(context)
        self.made["new"].configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
        context.set_alpn_protocols(["h2", "http/1.1"])
        return context

    def mount(self, directory: Path, *, ca: str, client: str) -> None:
        """Put a secret where a pod finds it: all files change with one link."""
        home = directory / f"..{ca}-{client}"
        home.mkdir(parents=True)
        leaf = self.clients[client]
        self.made[ca].cert_pem.write_to_path(home / "ca.crt")
        leaf.cert_chain_pems[0].write_to_path(home / "tls.crt")
        leaf.private_key_pem.write_to_path(home / "tls.key")
        (directory / "..next").symlink_to(home.name)
        os.replace(directory / "..next", directory / "..data")  # noqa: PTH105 - as the kubelet
        for file in FILES.values():
            if not (directory / file).is_symlink():
                (directory / file).symlink_to(f"..data/{file}")


@pytest.fixture(scope="module")
def authorities() -> Authorities:
    return Authorities()


@dataclass
class Seen:
    """Whose certificates a server has seen and accepted."""

    names: set[str] = field(default_factory=set)
    one: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def listening(
    kind: str, context: ssl.SSLContext, directory: Path, seen: Seen
) -> AsyncIterator[dict[str, Any]]:
    """Serve *kind* up to the handshake, note whose certificate came, and close."""

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if kind == "postgres":
            await reader.readexactly(8)
            writer.write(b"S")
            await writer.start_tls(context)
        subject = writer.get_extra_info("peercert")["subject"]
        seen.names.add(dict(pair[0] for pair in subject)["commonName"])
        seen.one.set()

    if kind == "unix":
        path = str(directory / "socket")
        async with unix_fault(note, path, context=context):
            yield {"path": path}
    else:
        async with tcp_fault(note, context=None if kind == "postgres" else context) as port:
            yield {"port": port}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rotated", ["ca", "client"])
async def test_what_was_rotated_counts_from_the_next_run_on(
    check: Check, authorities: Authorities, tmp_path: Path, kind: str, rotated: str
) -> None:
    before = {"ca": "new", "client": "new", rotated: "old"}
    await asyncio.to_thread(authorities.mount, tmp_path, **before)
    seen = Seen()

    async with listening(kind, authorities.context(), tmp_path, seen) as where:
        there = KINDS[kind][1].format(**where)
        probe = await asyncio.to_thread(made, kind, there, tmp_path)
        await check(probe, there)
        assert not seen.names

        await asyncio.to_thread(authorities.mount, tmp_path, ca="new", client="new")
        forget_looks(probe)
        await check(probe, there)
        async with asyncio.timeout(5):
            # in TLS 1.3 a client may be gone before the server has judged it
            await seen.one.wait()

    assert seen.names == {"new"}


def made(name: str, target: str, directory: Path) -> Kind:
    """Return a kind as a config has it: read and prepared off the loop."""
    files = {key: str(directory / file) for key, file in FILES.items()}
    tls = {**files, "server_name": "localhost"}
    kind = find_kind(name).model_validate({**KINDS[name][0], "tls": tls})
    kind.prepare(target)
    return kind


def forget_looks(probe: Any) -> None:
    """Let a second pass."""
    every = [probe.tls, *(trust for trust, _ in getattr(probe, "_trusts", {}).values())]
    for options in every:
        options._looked.clear()
