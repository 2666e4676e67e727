"""Asking an indexer over HTTP and by the kind of its database, on real sockets."""

import asyncio
import json
from time import process_time
from typing import Any

import pytest
from pydantic import ValidationError

from probes.chain.indexer.settings import IndexerKeys, Selector
from probes.chain.indexer.sources import MAX_PAGE_BYTES, Source
from probes.chain.reasons import ChainReason
from probes.kind import Kind
from probes.kinds import find_kind
from probes.recorder import Recorder
from probes.result import Outcome, Reason
from probes.wire.policy import POLICY, Policy
from probes.wire.tls.settings import TlsOptions
from tests.faults.tcp import Handler, closed_port, silent, tcp_fault
from tests.servers.postgres import Postgres

WAIT_S = 5.0


def source(**given: Any) -> Source:
    keys = IndexerKeys.model_validate({"name": "it"} | given)
    return Source(keys, find_kind, TlsOptions())


def answering(body: str, status: str = "200 OK", seen: list[bytes] | None = None) -> Handler:
    """Serve *body* to one request; note its head and body."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0] or b"0")
        request = head + await reader.readexactly(length)
        if seen is not None:
            seen.append(request)
        data = body.encode()
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)
        await reader.read()

    return handle


async def test_graphql_is_asked_by_its_preset_with_the_credentials_of_the_file() -> None:
    seen: list[bytes] = []
    meta = {"block": {"number": 12, "hash": "0xA"}, "hasIndexingErrors": False}
    answer = json.dumps({"data": {"_meta": meta}})
    auth = {"header": {"credentials": "s3cr3t-word"}}
    recorder = Recorder()

    async with tcp_fault(answering(answer, seen=seen)) as port:
        it = source(preset="thegraph", url=f"http://127.0.0.1:{port}/sub/graph", auth=auth)
        reading = await it.read(recorder, WAIT_S)

    assert (reading.height, reading.hash, reading.healthy) == (12, "0xa", True)
    head, _, body = seen[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /sub/graph HTTP/1.1\r\n")
    assert b"Authorization: Bearer s3cr3t-word" in head
    assert "hasIndexingErrors" in json.loads(body)["query"]


async def test_the_name_of_a_subgraph_travels_as_a_variable() -> None:
    seen: list[bytes] = []
    status = {"health": "healthy", "chains": [{"latestBlock": {"number": "5"}}]}
    answer = json.dumps({"data": {"indexingStatusForCurrentVersion": status}})

    async with tcp_fault(answering(answer, seen=seen)) as port:
        it = source(preset="graph_node", subgraph='a"b', url=f"http://127.0.0.1:{port}/graphql")
        reading = await it.read(Recorder(), WAIT_S)

    assert reading.height == 5
    assert json.loads(seen[0].partition(b"\r\n\r\n")[2])["variables"] == {"name": 'a"b'}


async def test_a_json_status_is_read_by_path() -> None:
    async with tcp_fault(answering('{"sync": {"at": "0x10"}, "ok": true}')) as port:
        url = f"http://127.0.0.1:{port}/status"
        it = source(source="json", url=url, height="$.sync.at", healthy="$.ok")
        reading = await it.read(Recorder(), WAIT_S)

    assert (reading.height, reading.healthy) == (16, True)


async def test_a_series_of_an_exposition_page_is_read() -> None:
    page = 'synced{chain="a"} 7\nsynced{chain="b"} 1.2e+07\n'

    async with tcp_fault(answering(page)) as port:
        url = f"http://127.0.0.1:{port}/metrics"
        it = source(source="prometheus", url=url, height='synced{chain="b"}')
        reading = await it.read(Recorder(), WAIT_S)

    assert reading.height == 12_000_000


async def asked_of(given: dict[str, Any], path: str = "/x", user: str = "") -> bytes:
    """Return the request that a source sends."""
    seen: list[bytes] = []
    async with tcp_fault(answering("{}", seen=seen)) as port:
        await source(url=f"http://{user}127.0.0.1:{port}{path}", **given).read(Recorder(), WAIT_S)
    return seen[0]


async def test_an_indexer_is_asked_as_an_endpoint_is() -> None:
    """Credentials in the URL, one Host, a name that a firewall knows us by."""
    headers = {"Host": "index.example", "content-type": "application/graphql+json"}

    request = await asked_of({"preset": "thegraph", "headers": headers}, user="u:p@")

    head = request.partition(b"\r\n\r\n")[0].lower()
    assert b"authorization: basic dtpw" in head
    assert [line for line in head.splitlines() if line.startswith(b"host:")] == [
        b"host: index.example"
    ]
    assert head.count(b"content-type:") == 1
    assert b"user-agent: sonde" in head


async def test_a_status_is_got_at_its_very_address() -> None:
    request = await asked_of({"source": "json", "height": "$.a"}, "/status?key=1")

    assert request.startswith(b"GET /status?key=1 HTTP/1.1\r\n")
    assert b"Accept: application/json" in request


async def test_no_host_of_an_indexer_may_be_shown() -> None:
    """Some providers put the key into the name."""
    recorder = Recorder()

    await source(preset="ponder", url="http://k3y.indexer.invalid/").read(recorder, WAIT_S)

    assert "k3y.indexer.invalid" in recorder.secrets


async def test_a_page_of_metrics_is_wanted_as_text() -> None:
    request = await asked_of({"source": "prometheus", "height": "a"}, "/actuator/prometheus")

    assert b"Accept: text/plain" in request


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("[" + "{}," * 400_000 + "{}]", id="a million of objects"),
        pytest.param('{"a": "' + "x" * 70_000 + '"}', id="a text"),
    ],
)
async def test_a_status_that_is_none_is_not_read(body: str) -> None:
    """To parse and search it would hold up all probes for seconds."""
    async with tcp_fault(answering(body)) as port:
        it = source(preset="envio", url=f"http://127.0.0.1:{port}/")
        reading = await it.read(Recorder(), WAIT_S)

    assert reading.finding is not None
    assert reading.finding.reason is ChainReason.TOO_LARGE


async def test_a_fault_of_our_own_is_not_the_indexers() -> None:
    """chains.md 1, decision 10."""
    it = source(preset="ponder", url="http://169.254.169.254/status")

    with POLICY.set(Policy(trusts_first=False)):
        reading = await it.read(Recorder(), WAIT_S)

    assert reading.finding is not None
    assert (reading.finding.outcome, reading.finding.cause) == (Outcome.UNKNOWN, Reason.POLICY)


@pytest.mark.parametrize(
    "line",
    [
        pytest.param('synced{a="b', id="broken"),
        pytest.param('synced{a="b",' + 'c="",' * 400 + "} 1", id="with many labels"),
        pytest.param('synced{a="c",x="b"} 1', id="of other values"),
        pytest.param("synced", id="short"),
        pytest.param('synced{a="' + '\\"' * 900, id="with escapes"),
    ],
)
def test_a_hostile_page_is_searched_in_bounded_time(line: str) -> None:
    page = (line.encode() + b"\n") * (MAX_PAGE_BYTES // (len(line) + 1))
    began = process_time()

    assert Selector('synced{a="b",d="e"}').select(page) is None
    # 8 s before it was bounded; 0.03 to 0.06 s now
    assert process_time() - began < 0.5


def test_a_series_is_found_behind_those_of_longer_names() -> None:
    page = (
        b'# HELP synced of\nsynced_total{a="b"} 1\n synced{a="b"} 2\nsynced{ a = "b" , c="d" } 3 99'
    )

    assert Selector('synced{a="b"}').select(page) == "3"
    assert Selector("synced").select(b"synced 4") == "4"


@pytest.mark.parametrize(
    ("handler", "reason", "detail"),
    [
        pytest.param(
            answering("<html>", "502 Bad Gateway"),
            ChainReason.HTTP_5XX,
            "502",
            id="bad gateway",
        ),
        pytest.param(
            answering("nope", "401 Unauthorized"), ChainReason.AUTH_FAILED, "401", id="bad key"
        ),
        pytest.param(
            answering("<!DOCTYPE html>"), ChainReason.INVALID_RESPONSE, "want JSON", id="a web page"
        ),
        pytest.param(
            answering('{"data": {}}'), ChainReason.INVALID_RESPONSE, "want a height", id="no height"
        ),
        pytest.param(
            answering('{"data": null, "errors": [{"message": "indexing_error"}]}'),
            ChainReason.INDEXER_UNHEALTHY,
            "indexing_error",
            id="the subgraph failed",
        ),
        pytest.param(silent, ChainReason.TIMEOUT, "within 0.2 s", id="silence"),
    ],
)
async def test_what_goes_wrong_has_a_word_of_the_chain(
    handler: Handler, reason: ChainReason, detail: str
) -> None:
    async with tcp_fault(handler) as port:
        it = source(preset="thegraph", url=f"http://127.0.0.1:{port}/")
        timeout_s = 0.2 if handler is silent else WAIT_S
        reading = await it.read(Recorder(), timeout_s)

    assert reading.height is None
    assert reading.finding is not None
    assert reading.finding.reason is reason
    assert detail in reading.finding.detail


async def test_a_closed_port_is_refused() -> None:
    it = source(preset="thegraph", url=f"http://127.0.0.1:{closed_port()}/")

    reading = await it.read(Recorder(), WAIT_S)

    assert reading.finding is not None
    assert reading.finding.reason is ChainReason.CONNECT_REFUSED
    assert reading.finding.phase == "connect"


def soon() -> Recorder:
    """Return a recorder of a run that ends: a database is told how long a statement may take."""
    return Recorder(asyncio.get_running_loop().time() + WAIT_S)


def database(server: Postgres, query: str, password: str) -> Source:
    target = server.dsn(password=password)
    return source(source="sql", kind="postgres", target=target, query=query)


@pytest.fixture
def heights(postgres_server: Postgres) -> Source:
    # a kind is found before the loop runs, as at load
    return database(postgres_server, "SELECT 4711::bigint", "pw-scram")


@pytest.fixture
def no_rows(postgres_server: Postgres) -> Source:
    return database(postgres_server, "SELECT 1 WHERE false", "pw-scram")


@pytest.fixture
def wrong_password(postgres_server: Postgres) -> Source:
    return database(postgres_server, "SELECT 1", password="wrong")


@pytest.mark.service
async def test_a_refused_login_has_a_word_of_the_chain(wrong_password: Source) -> None:
    reading = await wrong_password.read(soon(), WAIT_S)

    assert reading.finding is not None
    assert reading.finding.reason is ChainReason.AUTH_FAILED


@pytest.mark.service
async def test_sql_is_asked_by_the_kind_of_the_database(heights: Source, no_rows: Source) -> None:
    reading, nothing = (
        await heights.read(soon(), WAIT_S),
        await no_rows.read(soon(), WAIT_S),
    )

    assert reading.height == 4711, reading
    assert nothing.finding is not None
    assert "got no row" in nothing.finding.detail


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kind": "oracle"}, "want a kind, got 'oracle'"),
        ({"kind": "tcp"}, "want a kind with a query such as postgres, got 'tcp'"),
        ({"kind": "postgres", "target": "http://x"}, "postgresql://"),
    ],
)
def test_a_kind_that_cannot_be_asked_is_refused_at_load(
    given: dict[str, Any], message: str
) -> None:
    base = {"source": "sql", "target": "postgresql://u@127.0.0.1/db", "query": "SELECT 1"}

    with pytest.raises((ValueError, ValidationError), match=message):
        source(**(base | given))


def test_only_what_needs_a_database_asks_the_registry() -> None:
    def never(name: str) -> type[Kind]:
        raise AssertionError(name)

    keys = IndexerKeys.model_validate({"name": "it", "preset": "ponder", "url": "http://a/status"})

    assert Source(keys, never, TlsOptions()).keys is keys
