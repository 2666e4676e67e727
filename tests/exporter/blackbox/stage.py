"""A blackbox_exporter, two sondes over the same blackbox.yml, and the servers that all three ask.

    Stage
    ├── theirs     Debian's blackbox_exporter 0.23
    ├── fixed      sonde run --blackbox-config
    ├── strict     the same with --compat strict
    └── places     what stands in braces in modules and targets: "{http}/ok"

The servers live in one thread with a loop of its own, so whoever asks may block.
"""

import asyncio
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import quote

import trustme
from websockets.asyncio.server import ServerConnection, serve

from tests.faults import tcp
from tests.faults.dns import dns_fault
from tests.faults.http import Call, FaultServer, fault_server
from tests.faults.tcp import Handler, tcp_fault
from tests.faults.tls import alert, bad_certificate, dripped_record, plain_answer
from tests.faults.unix import unix_fault
from tests.servers.grpc_health import start_grpc_health
from tests.servers.knot import start_knot
from tests.servers.nginx import start_nginx
from tests.servers.process import Server, free_port, wait_until
from tests.servers.prometheus import get, start_blackbox_exporter
from tests.servers.unbound import start_unbound

ROOT = Path(__file__).resolve().parents[3]
ANSWER_S = 15.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What ``/probe`` answered."""

    status: int
    headers: Mapping[str, str]
    body: str


@dataclass
class Stage:
    """All that runs."""

    theirs: Server
    fixed: Server
    strict: Server
    places: dict[str, str]
    web: FaultServer

    def place(self, text: str) -> str:
        """Return *text* with what its braces stand for."""
        for word, value in self.places.items():
            text = text.replace("{" + word + "}", value)
        return text


def asked(
    server: Server,
    path: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: str | None = None,
) -> Answer:
    """Ask *server* once, over a connection of its own."""
    with closing(HTTPConnection("127.0.0.1", server.port, timeout=ANSWER_S)) as connection:
        connection.request(method, path, body, dict(headers or {}))
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        data = response.read()
    text = data.decode() if "content-encoding" not in found else ""
    return Answer(response.status, found, text)


def path_of(module: str, target: str, **more: str) -> str:
    """Return the path of ``/probe`` with these parameters."""
    pairs = {"module": module, "target": target, **more}
    return "/probe?" + "&".join(f"{name}={quote(value, safe='')}" for name, value in pairs.items())


def start_drop_in(directory: Path, config: Path, *options: str) -> Server:
    """Start ``sonde run --blackbox-config``."""
    port = free_port()
    directory.mkdir(exist_ok=True)
    command = [
        sys.executable, "-c", "from exporter.cli import main; main()", "run",
        "--blackbox-config", str(config), "--web.listen-address", f"127.0.0.1:{port}", *options,
    ]  # fmt: skip
    with (directory / "log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
    server = Server(process, port, directory)
    error = wait_until(lambda: get(port, "/-/healthy"), process)
    if error is not None:
        server.stop()
        raise AssertionError(f"want sonde to be ready, got {error!r}:\n{server.log()[-4000:]}")
    return server


@contextmanager
def places_of(
    directory: Path, ca: trustme.CA, certificates: Path
) -> Iterator[tuple[dict[str, str], FaultServer]]:
    """Run every server that is asked; give where they are."""
    places = {
        "ca": str(certificates / "ca.pem"),
        "cert": str(certificates / "client.pem"),
        "key": str(certificates / "client.key"),
        "here": str(directory),
        "closed": f"127.0.0.1:{tcp.closed_port()}",
    }
    (directory / "word").write_text("secret-of-a-file\n")
    (directory / "body").write_text("a body of a file")
    for name in ("nginx", "grpc", "knot", "unbound"):
        (directory / name).mkdir()
    with ExitStack() as stack:
        nginx = start_nginx(directory / "nginx", certificates)
        stack.callback(nginx.stop)
        grpc = start_grpc_health(directory / "grpc", certificates)
        stack.callback(grpc.stop)
        knot = start_knot(directory / "knot")
        stack.callback(knot.stop)
        unbound = start_unbound(directory / "unbound", certificates)
        stack.callback(unbound.stop)
        places |= {
            "nginx": f"http://127.0.0.1:{nginx.port}",
            "nginxs": f"https://127.0.0.1:{nginx.tls_port}",
            "nginxtls": f"127.0.0.1:{nginx.tls_port}",
            "mutual": f"https://127.0.0.1:{nginx.mutual_port}",
            "old": f"https://127.0.0.1:{nginx.old_port}",
            "grpc": grpc.address,
            "grpc6": f"[::1]:{grpc.six_port}",
            "grpcs": f"127.0.0.1:{grpc.tls_port}",
            "grpcm": f"127.0.0.1:{grpc.mutual_port}",
            "knot": knot.address,
            "unbound": unbound.address,
            "dot": f"127.0.0.1:{unbound.tls_port}",
        }
        web = stack.enter_context(_in_thread(places, ca, certificates))
        yield places, web


@contextmanager
def _in_thread(places: dict[str, str], ca: trustme.CA, certificates: Path) -> Iterator[FaultServer]:
    ready, over = threading.Event(), asyncio.Event()
    found: list[FaultServer] = []
    loops: list[asyncio.AbstractEventLoop] = []
    broken: list[BaseException] = []

    async def serve() -> None:
        async with AsyncExitStack() as stack:
            found.append(await _serve(stack, places, ca, certificates))
            loops.append(asyncio.get_running_loop())
            ready.set()
            await over.wait()

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:  # noqa: BLE001 - told by whoever waits
            broken.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="servers")
    thread.start()
    ready.wait()
    try:
        if broken:
            raise broken[0]
        yield found[0]
    finally:
        for loop in loops:
            loop.call_soon_threadsafe(over.set)
        thread.join()


async def _serve(
    stack: AsyncExitStack, places: dict[str, str], ca: trustme.CA, certificates: Path
) -> FaultServer:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    named = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("web.example", "other.example").configure_cert(named)
    web = FaultServer()
    web.faults["echo"] = _echo
    web.faults[""] = web.faults["ok"]  # the path of a proxy's request begins with http://
    await stack.enter_async_context(fault_server(faults=web))
    places["http"] = web.url("")
    places["port"] = str(web.port)
    for name, own in {
        "https": context,
        "named": named,
        **{it: bad_certificate(ca, it) for it in BAD_CERTIFICATES},
    }.items():
        secure = await stack.enter_async_context(fault_server(own))
        places[name] = secure.url("")
        places[f"{name}at"] = f"127.0.0.1:{secure.port}"
    six = await stack.enter_async_context(fault_server(host="::1"))
    places["six"] = f"http://[::1]:{six.port}"
    for name, handler in TALKERS.items():
        port = await stack.enter_async_context(tcp_fault(handler))
        places[name] = f"127.0.0.1:{port}"
    port = await stack.enter_async_context(tcp_fault(tcp.echoing, context=context))
    places["tlsecho"] = f"127.0.0.1:{port}"
    for name, handler in SLUGGARDS.items():
        await stack.enter_async_context(unix_fault(handler, f"{places['here']}/{name}.sock"))
    port = await stack.enter_async_context(tcp_fault(mail(context)))
    places["mail"] = f"127.0.0.1:{port}"
    await stack.enter_async_context(unix_fault(tcp.echoing, f"{places['here']}/echo.sock"))
    talk = await stack.enter_async_context(serve(_talk, "127.0.0.1", 0))
    places["talk"] = f"127.0.0.1:{next(iter(talk.sockets)).getsockname()[1]}"
    places["dns"] = (await stack.enter_async_context(dns_fault())).server
    return web


async def _echo(call: Call) -> None:
    """Tell the request without the name of the program, which differs, unless it is ``me``."""
    lines = [f"{call.method} {call.path}"]
    lines += [f"{k}: {v}" for k, v in call.headers.items() if k != "user-agent" or v == "me"]
    await call.answer("\n".join(lines).encode() + b"\n\n" + call.body)


async def _talk(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


def asked_first(handler: Handler) -> Handler:
    """Wait for a request before *handler* begins."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await handler(reader, writer)

    return handle


def mail(context: ssl.SSLContext) -> Handler:
    """Speak SMTP up to STARTTLS, and over TLS what is left."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP ready\r\n")
        await reader.readline()
        writer.write(b"250-mail.example\r\n250-STARTTLS\r\n250 HELP\r\n")
        if (await reader.readline()).strip() != b"STARTTLS":
            return
        writer.write(b"220 go ahead\r\n")
        await writer.drain()
        await writer.start_tls(context)
        while line := await reader.readline():
            writer.write(b"250 heard " + line)

    return handle


BAD_CERTIFICATES = ("expired", "not_yet_valid", "self_signed", "wrong_name")
# Servers that keep whoever asks waiting, of whatever protocol.
SLUGGARDS: Mapping[str, Handler] = {
    "mute": tcp.silent,
    "drip": tcp.dripping(b"x" * 10_000),
    "webdrip": asked_first(tcp.dripping(b"HTTP/1.1 200 OK\r\nX-Drip: " + b"x" * 10_000)),
    "tlsdrip": dripped_record,
    "half": tcp.half_closing(b""),
    "webhalf": tcp.half_closing(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\npart"),
}
TALKERS: Mapping[str, Handler] = {
    **SLUGGARDS,
    "silent": tcp.silent,
    "closing": tcp.closing,
    "echo": tcp.echoing,
    "ssh": tcp.talking(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"),
    "lines": tcp.talking(b"first\nsecond line\r\nthird 42\nlast without an end"),
    "bye": tcp.ending(b"bye\n"),
    "irc": tcp.answering(
        {b"NICK prober\n": b":irc PING 7a7a\r\n", b"PONG 7a7a\n": b":irc 001 hi\r\n"}
    ),
    "binary": tcp.talking(b"\x00\x01\x02\xff\xfe tail"),
    "alert": alert,
    "plain": plain_answer,
}


@contextmanager
def staged(
    directory: Path,
    ca: trustme.CA,
    certificates: Path,
    modules: Callable[[Mapping[str, str]], tuple[str, str]],
) -> Iterator[Stage]:
    """Run it all.

    Args:
        directory: of the files.
        ca: issues the certificates.
        certificates: see the fixture of that name.
        modules: from where the servers are, makes two blackbox.yml: theirs, and ours.
    """
    with ExitStack() as stack:
        places, web = stack.enter_context(places_of(directory, ca, certificates))
        theirs_text, ours_text = modules(places)
        ours = directory / "ours.yml"
        ours.write_text(ours_text)
        (directory / "theirs").mkdir()
        theirs = start_blackbox_exporter(directory / "theirs", theirs_text)
        stack.callback(theirs.stop)
        fixed = start_drop_in(directory / "fixed", ours)
        stack.callback(fixed.stop)
        strict = start_drop_in(directory / "strict", ours, "--compat", "strict")
        stack.callback(strict.stop)
        yield Stage(theirs, fixed, strict, places, web)
