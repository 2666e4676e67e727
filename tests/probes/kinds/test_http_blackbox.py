"""Kind http beside a real blackbox_exporter: the same module, the same server, the same numbers."""

import asyncio
import re
import ssl
import zlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import pytest_asyncio

from exporter.exposition.page import render_result
from probes.config.load import load_blackbox
from probes.kind import Kind
from probes.probe import Probe
from probes.result import Outcome, Result
from probes.run import run_once
from tests.faults.http import Call, FaultServer, fault_server
from tests.servers.process import Server
from tests.servers.prometheus import start_blackbox_exporter

pytestmark = pytest.mark.service

OPTIONS = {
    "plain": "",
    "expects302": "valid_status_codes: [302]",
    "expects302re": "valid_status_codes: [302], fail_if_body_not_matches_regexp: [well]",
    "stays": "follow_redirects: false",
    "stays302": "follow_redirects: false, valid_status_codes: [302]",
    "stays302lacks": "follow_redirects: false, valid_status_codes: [302],"
    " fail_if_body_matches_regexp: [nowhere]",
    "body": "fail_if_body_not_matches_regexp: [well, '^all']",
    "brief": "fail_if_body_not_matches_regexp: [well]",
    "lacks": "fail_if_body_matches_regexp: [ill, well]",
    "gzip": "compression: gzip",
    "gzipbody": "compression: gzip, fail_if_body_not_matches_regexp: [well]",
    "deflate": "compression: deflate",
    "br": "compression: br",
    "identity": "compression: identity",
    "unknown": "compression: unknown",
    "tls": "fail_if_not_ssl: true",
    "notls": "fail_if_ssl: true",
    "http2": "valid_http_versions: [HTTP/2.0, HTTP/1]",
    "http11": "valid_http_versions: [HTTP/1.1]",
    "five": "body_size_limit: 5B",
    "fivebody": "body_size_limit: 5B, fail_if_body_not_matches_regexp: [all]",
    "headerlacks": "fail_if_header_matches: [{header: server, regexp: fau}]",
    "header": "fail_if_header_not_matches: [{header: server, regexp: fau}]",
    "maybelacks": "fail_if_header_matches: [{header: server, regexp: nginx, allow_missing: true}]",
    "maybe": "fail_if_header_not_matches: [{header: server, regexp: fau, allow_missing: true}]",
    "head": "method: HEAD",
    "headgzip": "method: HEAD, compression: gzip",
    "post": "method: POST, body: hello, headers: {x-lower: a, Connection: keep-alive,"
    " Content-Length: '3', User-Agent: me, HOST: a.example, accept-encoding: br}",
    "basic": "headers: {User-Agent: me}, basic_auth: {username: me, password: pw}",
    "trusting": "tls_config: {ca_file: CA}",
    "trustingnotls": "tls_config: {ca_file: CA}, fail_if_ssl: true",
    "trustingtls": "tls_config: {ca_file: CA}, fail_if_not_ssl: true",
    "bearer": "headers: {User-Agent: me}, bearer_token: abcdef",
}
CASES = """
    plain /ok|plain /status/404|plain /status/204|plain /hops/3|plain /loop|plain /noloc
    plain /ok/gzip|plain /ok/chunked|plain /ok/modified|plain /close-delimited|plain /short
    plain /rst|plain /rstbody|plain /surr|plain /garbage|plain /ok/big/3000000
    plain /to/303?/ok/big/100|plain /setcookie
    expects302 /loop|expects302 /noloc|expects302re /loop|expects302re /hops/2|expects302re /noloc
    stays /hops/1|stays302 /hops/1|stays302 /noloc|stays302lacks /hops/1
    body /ok|body /ok/big/9|body /short|brief /hangbody|lacks /ok|lacks /status/200
    gzip /ok/gzip|gzip /ok|gzip /status/404|gzip /cutgzip|gzip /empty|gzip /status/204
    gzipbody /ok/gzip|gzipbody /ok|gzipbody /cutgzip|gzipbody /empty
    deflate /ok/deflate|deflate /ok/gzip|br /ok/br|br /ok|identity /ok/gzip
    unknown /ok|unknown /status/404
    tls /ok|tls /status/404|notls /ok|http2 /ok|http11 /ok|http11 /close-delimited
    five /ok|five /ok/chunked|fivebody /ok
    headerlacks /ok|headerlacks /ok/json|headerlacks /status/404|header /ok|header /ok/json
    maybelacks /ok|maybelacks /ok/json|maybe /ok/json
    head /ok|head /ok/gzip|headgzip /ok/gzip|post /echo|post /to/307?/echo|post /to/302?/echo
    basic /echo|basic /hops/1|bearer /echo
""".replace("\n", "|").split("|")
# The families whose values are no times.
_LINE = re.compile(r"(probe_(?!.*(?:duration|lookup|timeout))\S+) (\S+)")
TIMEOUT_S = 2.0
BRIEF_S = 0.3


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory, ca_file: Path) -> Path:
    page = "".join(
        f"  {name}: {{prober: http, timeout: {BRIEF_S if name == 'brief' else TIMEOUT_S:g}s,"
        f" http: {{preferred_ip_protocol: ip4, {options}}}}}\n"
        for name, options in OPTIONS.items()
    )
    path = tmp_path_factory.mktemp("upstream") / "modules.yml"
    path.write_text(f"modules:\n{page}".replace("CA}", f"{ca_file}}}"))
    return path


@pytest.fixture(scope="module")
def upstream(modules: Path) -> Iterator[Server]:
    server = start_blackbox_exporter(modules.parent, modules.read_text())
    yield server
    server.stop()


@pytest.fixture(scope="module")
def kinds(modules: Path) -> dict[str, Kind]:
    found = {name: module.settings for name, module in load_blackbox(modules).modules.items()}
    return {name: kind for name, kind in found.items() if kind is not None}


async def _empty(call: Call) -> None:
    await call.answer(b"")


async def _wrapped(call: Call) -> None:
    await call.answer(zlib.compress(b"all is well\n"))


@pytest_asyncio.fixture
async def server() -> AsyncIterator[FaultServer]:
    faults = FaultServer()
    faults.faults |= {"empty": _empty, "wrapped": _wrapped}
    async with fault_server(faults=faults) as running:
        yield running


async def asked_upstream(port: int, module: str, url: str) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    path = f"/probe?module={module}&target={quote(url, safe='')}"
    writer.write(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
    page = await reader.read()
    writer.close()
    await writer.wait_closed()
    return page.decode()


async def run(kind: Kind, url: str, timeout_s: float = TIMEOUT_S) -> Result:
    return await run_once(Probe(name="it", kind=kind, target=url, timeout_s=timeout_s))


def values(page: str) -> dict[str, float]:
    return {line[1]: float(line[2]) for line in map(_LINE.fullmatch, page.splitlines()) if line}


def sent(server: FaultServer) -> list[object]:
    """Return the requests that came; our name is our own."""
    found: list[object] = []
    for call in server.requests:
        headers = {k: v for k, v in call.headers.items() if k != "user-agent" or v == "me"}
        found.append((call.method, call.path, headers, call.body))
    server.requests.clear()
    return found


@pytest.mark.parametrize("case", [case.strip() for case in CASES if case.strip()])
async def test_the_same_module_sends_and_tells_the_same(
    case: str, server: FaultServer, upstream: Server, kinds: dict[str, Kind]
) -> None:
    module, path = case.split(" ")
    theirs = values(await asked_upstream(upstream.port, module, server.url(path)))
    theirs_sent = sent(server)

    timeout_s = BRIEF_S if module == "brief" else TIMEOUT_S
    result = await run(kinds[module], server.url(path), timeout_s)

    ours = values(render_result(result, kinds[module]).decode())
    if path == "/setcookie":  # the echo of a name that is not theirs
        for name in ("probe_http_content_length", "probe_http_uncompressed_body_length"):
            del ours[name], theirs[name]
    assert ours == theirs, result.failure
    assert sent(server) == theirs_sent
    assert result.outcome is not Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("module", "path"),
    [
        ("trusting", "/ok"),
        ("trustingtls", "/status/404"),
        ("trustingtls", "/ok"),
        ("trustingnotls", "/ok"),
        ("trustingnotls", "/to/302?PLAIN/ok"),
        ("trustingtls", "/to/302?PLAIN/ok"),
        ("plain", "/ok"),
    ],
)
async def test_the_same_module_tells_the_same_of_tls(
    module: str,
    path: str,
    server: FaultServer,
    server_context: ssl.SSLContext,
    upstream: Server,
    kinds: dict[str, Kind],
) -> None:
    async with fault_server(server_context) as secure:
        url = secure.url(path.replace("PLAIN", server.url("")))
        theirs = values(await asked_upstream(upstream.port, module, url))
        result = await run(kinds[module], url)

    ours = values(render_result(result, kinds[module]).decode())
    # beside theirs: what the certificate says that could not be verified
    assert {name: ours.get(name) for name in theirs} == theirs, result.failure


async def test_deflate_with_its_wrapper_is_decoded_where_upstream_fails(
    server: FaultServer, upstream: Server, kinds: dict[str, Kind]
) -> None:
    """RFC 9110, 8.4.1.2: the wrapper belongs there."""
    theirs = values(await asked_upstream(upstream.port, "deflate", server.url("/wrapped")))
    result = await run(kinds["deflate"], server.url("/wrapped"))

    assert theirs["probe_success"] == 0
    assert result.outcome is Outcome.UP, result.failure
