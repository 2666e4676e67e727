"""Kind jsonrpc: what it sends, how it judges, what it exports."""

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import trustme
import yaml
from aiohttp import web
from pydantic import ValidationError

from probes.kinds.jsonrpc import JsonRpc, Throttled
from probes.probe import Probe
from probes.recorder import Keep
from probes.result import Outcome, Reason, Result
from probes.run import run_once
from probes.wire.policy import POLICY, PolicyOptions
from tests.faults.tcp import closed_port
from tests.harness import Check, Law
from tests.servers.nodes import Anvil

BLOCKCHAIN = {
    "chain": "main", "blocks": 870_123, "headers": 870_125, "bestblockhash": "00000000",
    "mediantime": 1_731_000_000, "verificationprogress": 0.9999, "initialblockdownload": False,
    "pruned": False, "warnings": "",
}  # fmt: skip
SYSTEM_HEALTH = {"peers": 12, "isSyncing": False, "shouldHavePeers": True}
HEADER = {"parentHash": "0xab", "number": "0x16ff21", "digest": {"logs": []}}
# chains.md 13, as it stands there
EXAMPLE = """
name: bitcoin
kind: jsonrpc
target: http://127.0.0.1:8332/
version: "1.0"                         # "2.0" default
auth: {basic: {username: u, password: {env: BTC_PASSWORD}}}
calls:
  - method: getblockchaininfo
    params: []
    expect: {$.chain: main, $.initialblockdownload: false, $.blocks: ">= 1"}
    export: {blocks: $.blocks, headers: $.headers}
"""

Answer = tuple[int, Any] | Any


@dataclass
class Service:
    """A JSON-RPC service: results by method; a tuple is a status and a body."""

    answers: dict[str, Answer]
    port: int = 0
    scheme: str = "http"
    password: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    seen: list[dict[str, Any]] = field(default_factory=list)
    sent: list[Any] = field(default_factory=list)
    peers: set[Any] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/"

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.peers.add(request.transport.get_extra_info("peername") if request.transport else None)
        self.seen.append(dict(request.headers))
        if self.password and request.headers.get("Authorization") != self.password:
            return web.Response(status=401)
        call = await request.json()
        self.sent.append(call)
        answer = self.answers.get(call["method"])
        if isinstance(answer, tuple):
            status, body = answer
            text = body if isinstance(body, str) else json.dumps(body | {"id": call["id"]})
            return web.Response(status=status, text=text, headers=self.headers)
        return web.json_response({"result": answer, "error": None, "id": call["id"]})


@asynccontextmanager
async def service(
    answers: dict[str, Answer], context: ssl.SSLContext | None = None
) -> AsyncIterator[Service]:
    running = Service(answers, scheme="https" if context else "http")
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", running.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    running.port = runner.addresses[0][1]
    try:
        yield running
    finally:
        await runner.cleanup()


@pytest_asyncio.fixture
async def bitcoin() -> AsyncIterator[Service]:
    async with service({"getblockchaininfo": BLOCKCHAIN, "ping": None}) as running:
        yield running


def kind(*calls: dict[str, Any], **keys: Any) -> JsonRpc:
    return JsonRpc.model_validate({"calls": list(calls)} | keys)


def info(**keys: Any) -> dict[str, Any]:
    return {"method": "getblockchaininfo"} | keys


def values(result: Result) -> dict[str, float]:
    return {
        dict(sample.labels)["name"]: sample.value
        for sample in result.samples
        if sample.name == "jsonrpc_value"
    }


LAW = Law(
    kind=kind({"method": "ping"}),
    target="http://{host}:{port}/",
    secret=lambda canary: kind(
        {"method": "ping"}, auth={"basic": {"username": "u", "password": canary}}
    ),
    secret_target="http://user:{canary}@{host}:{port}/?token={canary}",
)


async def test_the_example_of_the_design_works_word_for_word(
    bitcoin: Service, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BTC_PASSWORD", "secret")
    bitcoin.password = "Basic dTpzZWNyZXQ="
    keys = yaml.safe_load(EXAMPLE)
    own = {key: keys[key] for key in ("version", "auth", "calls")}

    result = await check(JsonRpc.model_validate(own), bitcoin.url)

    assert result.outcome is Outcome.UP, result.failure
    assert values(result) == {"blocks": 870_123, "headers": 870_125}
    assert bitcoin.sent == [
        {"jsonrpc": "1.0", "id": 1, "method": "getblockchaininfo", "params": []}
    ]


async def test_calls_go_one_after_the_other_over_one_connection(check: Check) -> None:
    answers = {
        "system_health": SYSTEM_HEALTH,
        "chain_getHeader": HEADER,
        "system_chain": "Polkadot",
    }
    async with service(answers) as substrate:
        result = await check(
            kind(
                {"method": "system_health", "expect": {"$.isSyncing": False, "$.peers": "> 3"},
                 "export": {"peers": "$.peers"}},
                {"method": "chain_getHeader", "params": {"at": None},
                 "expect": {"$.number": ">= 1"}, "export": {"height": "$.number"}},
                {"method": "system_chain", "expect": {"$": "~ ^Polka"}},
            ),
            substrate.url,
        )  # fmt: skip

    assert result.outcome is Outcome.UP, result.failure
    assert values(result) == {"peers": 12, "height": 0x16FF21}
    assert [call["params"] for call in substrate.sent] == [[], {"at": None}, []]
    assert [call["id"] for call in substrate.sent] == [1, 2, 3]
    assert {call["jsonrpc"] for call in substrate.sent} == {"2.0"}
    assert len(substrate.peers) == 1
    assert [p.name for p in result.phases] == ["resolve", "connect", "processing", "transfer"]
    headers = substrate.seen[0]
    assert headers["Content-Type"] == headers["Accept"] == "application/json"


@pytest.mark.parametrize(
    ("answer", "expect", "reason", "message"),
    [
        pytest.param(
            BLOCKCHAIN | {"chain": "test"}, {"$.chain": "main"}, Reason.VALUE,
            "assertion_failed: getblockchaininfo $.chain: want 'main', got 'test'", id="a value",
        ),
        pytest.param(
            BLOCKCHAIN, {"$.blocks": "> 870123"}, Reason.VALUE,
            "assertion_failed: getblockchaininfo $.blocks: want > 870123, got 870123",
            id="a number",
        ),
        pytest.param(
            BLOCKCHAIN, {"$.nothing": True}, Reason.VALUE,
            "assertion_failed: getblockchaininfo $.nothing: want true, got nothing", id="absent",
        ),
        pytest.param(
            None, {"$.chain": "main"}, Reason.VALUE,
            "assertion_failed: getblockchaininfo $.chain: want 'main', got nothing", id="null",
        ),
        pytest.param(
            (500, {"result": None, "error": {"code": -28, "message": "Loading block index…"}}),
            {}, Reason.PROTOCOL,
            "rpc_core_error: getblockchaininfo: want a result, got error -28"
            " 'Loading block index…'", id="warming up",
        ),
        pytest.param(
            (500, {"error": {"code": -32601, "message": "Method not found"}}), {},
            Reason.PROTOCOL, "rpc_core_error: getblockchaininfo: want a result, got error -32601"
            " 'Method not found'", id="no such method",
        ),
        pytest.param(
            (401, ""), {}, Reason.AUTH,
            "auth_failed: getblockchaininfo: want status 200, got 401", id="401",
        ),
        pytest.param(
            (402, ""), {}, Reason.STATUS,
            "plan_exhausted: getblockchaininfo: want status 200, got 402", id="402",
        ),
        pytest.param(
            (502, "<html>"), {}, Reason.STATUS,
            "http_5xx: getblockchaininfo: want status 200, got 502", id="502",
        ),
        pytest.param(
            (404, "<html>"), {}, Reason.STATUS,
            "http_4xx: getblockchaininfo: want status 200, got 404", id="404",
        ),
        pytest.param(
            (200, "<html>"), {}, Reason.PROTOCOL,
            "invalid_response: getblockchaininfo: want JSON, got Expecting value at byte 0:"
            " b'<html>'", id="HTML",
        ),
        pytest.param(
            (200, {"result": 1, "error": {"code": 1, "message": "x"}}), {}, Reason.PROTOCOL,
            "invalid_response: getblockchaininfo: want a result or an error, got both", id="both",
        ),
        pytest.param(
            (200, "[" * 2_000_000), {}, Reason.TOO_LARGE,
            "too_large: getblockchaininfo: want a body of at most 1MiB (max_body), got more",
            id="huge",
        ),
    ],
)  # fmt: skip
async def test_a_miss_is_down_and_begins_with_its_chain_reason(
    check: Check, answer: Any, expect: dict[str, Any], reason: Reason, message: str
) -> None:
    async with service({"getblockchaininfo": answer}) as running:
        result = await check(kind(info(expect=expect)), running.url)

    assert result.outcome is Outcome.DOWN
    assert result.failure is not None
    assert (result.failure.reason, result.failure.message) == (reason, message)


async def test_a_closed_port_and_a_broken_certificate_keep_the_reason_of_the_product(
    check: Check, server_context: ssl.SSLContext
) -> None:
    closed = await check(LAW.kind, f"http://127.0.0.1:{closed_port()}/")
    assert closed.failure is not None
    assert closed.failure.reason is Reason.REFUSED
    assert closed.failure.phase == "connect"
    assert closed.failure.message.startswith("connect_refused: want a connection to 127.0.0.1:")

    async with service({"ping": None}, server_context) as running:
        untrusted = await check(LAW.kind, running.url)
    assert untrusted.failure is not None
    assert untrusted.failure.reason is Reason.CERTIFICATE_UNTRUSTED
    assert untrusted.failure.message.startswith("tls_invalid: want a valid certificate")
    assert any(sample.name == "ssl_earliest_cert_expiry" for sample in untrusted.samples)


async def test_over_tls_the_certificate_is_told_and_judged(
    check: Check, ca: trustme.CA, ca_file: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    soon = datetime.now(UTC) + timedelta(days=3)
    ca.issue_cert("127.0.0.1", not_after=soon).configure_cert(context)
    tls = {"ca_file": str(ca_file)}
    async with service({"ping": None}, context) as running:
        fine, warned, ends = [
            await check(
                kind(
                    {"method": "ping"},
                    tls=tls,
                    expect={"certificate": {"expires_in": {key: days}}},
                ),
                running.url,
            )
            for key, days in (("fail", "1d"), ("warn", "7d"), ("fail", "7d"))
        ]

    assert fine.outcome is Outcome.UP
    assert "tls" in [phase.name for phase in fine.phases]
    assert warned.outcome is Outcome.DEGRADED
    assert ends.failure is not None
    assert ends.failure.reason is Reason.CERTIFICATE_EXPIRING


async def test_the_time_of_all_calls_is_judged(bitcoin: Service, check: Check) -> None:
    # a microsecond: no call is as fast
    limits = {"warn": "0.001ms"}, {"fail": "0.001ms"}
    slow, too_slow = [
        await check(kind({"method": "ping"}, expect={"latency": limit}), bitcoin.url)
        for limit in limits
    ]

    assert slow.outcome is Outcome.DEGRADED
    assert too_slow.failure is not None
    assert too_slow.failure.reason is Reason.LATENCY


@pytest.mark.parametrize(
    ("value", "number"),
    [(5, 5), (0.25, 0.25), ("0x10", 16), ("12", 12), ("-1.5", -1.5), (2**70, 2.0**70)],
    ids=repr,
)
async def test_numbers_are_exported_however_they_are_written(
    check: Check, value: object, number: float
) -> None:
    async with service({"m": {"v": value}}) as running:
        result = await check(kind({"method": "m", "export": {"v": "$.v"}}), running.url)

    assert result.outcome is Outcome.UP
    assert values(result) == {"v": number}


@pytest.mark.parametrize(
    ("value", "got"),
    [
        pytest.param("main", "'main'", id="text"),
        pytest.param(True, "true", id="bool"),
        pytest.param(None, "null", id="null"),
        pytest.param([1], "[1]", id="array"),
        pytest.param(10**400, "1" + "0" * 78 + "…", id="beyond a float"),
    ],
)
async def test_what_is_no_number_is_not_exported_and_degrades(
    check: Check, value: object, got: str
) -> None:
    async with service({"m": {"v": value, "w": 1}}) as running:
        result = await check(
            kind({"method": "m", "export": {"v": "$.v", "w": "$.w", "x": "$.x"}}), running.url
        )

    assert result.outcome is Outcome.DEGRADED
    assert values(result) == {"w": 1}
    assert [warning.message for warning in result.warnings] == [
        f"method_errors: m $.v: want a number, got {got}",
        "method_errors: m $.x: want a number, got nothing",
    ]
    assert result.warnings[0].reason is Reason.VALUE


async def test_what_was_exported_before_a_failure_is_kept(bitcoin: Service, check: Check) -> None:
    result = await check(
        kind(info(export={"blocks": "$.blocks"}), {"method": "ping", "expect": {"$": 1}}),
        bitcoin.url,
    )

    assert result.outcome is Outcome.DOWN
    assert values(result) == {"blocks": 870_123}


@pytest.mark.parametrize(
    ("expect", "value", "is_up"),
    [
        (">= 1", 1, True),
        (">= 1", 0.5, False),
        ("<= 1", 1, True),
        ("> 1", 1, False),
        ("< 1.5", 1, True),
        (">=1", 1, True),
        ("> -5", 0, True),
        (">= 16", "0x10", True),
        (">= 17", "0x10", False),
        ("> 5", "many", False),
        ("> 5", True, False),
        ("~^v[0-9]", "v1.2", True),
        ("~ ^v[0-9]", "x", False),
        ("~1", 1, False),
        ("main", "main", True),
        (1, "1", False),
        ("1", 1, False),
        (True, 1, False),
        (None, None, True),
        ({"gte": 5}, "6", True),
        ({"gte": 5, "ne": 6}, "6", False),
        ({"any_of": ["a", {"gt": 3}]}, 4, True),
        ({"eq": "~x"}, "~x", True),
        ({"exists": True}, 1, True),
    ],
    ids=repr,
)
async def test_short_forms_and_matchers_say_what_a_value_must_be(
    check: Check, expect: Any, value: Any, is_up: bool
) -> None:
    async with service({"m": {"v": value}}) as running:
        result = await check(kind({"method": "m", "expect": {"$.v": expect}}), running.url)

    assert (result.outcome is Outcome.UP) == is_up, result.failure


async def test_a_path_of_several_values_compares_the_list(check: Check) -> None:
    async with service({"getchaintips": [{"status": "active"}, {"status": "fork"}]}) as running:
        call = {"method": "getchaintips", "expect": {"$[*].status": {"contains": "active"}}}
        result = await check(kind(call), running.url)

    assert result.outcome is Outcome.UP


def run(kind: JsonRpc, target: str, keep: Keep) -> Any:
    return run_once(Probe(name="it", kind=kind, target=target, timeout_s=2), keep=keep)


async def test_one_that_throttles_is_degraded_and_left_alone_and_down_at_the_third_time() -> None:
    keep = Keep(every_s=30.0)
    async with service({"getblockchaininfo": (429, "slow down"), "ping": None}) as running:
        running.headers["Retry-After"] = "120"
        first = await run(kind(info()), running.url, keep)
        assert first.outcome is Outcome.DEGRADED
        assert first.warnings[0].message == (
            "rate_limited: getblockchaininfo: want status 200, got 429"
        )
        assert first.warnings[0].reason is Reason.STATUS

        left_alone = await run(kind(info()), running.url, keep)
        assert left_alone.outcome is Outcome.DEGRADED
        assert left_alone.warnings[0].message == (
            "rate_limited: want answers, got the wish to be left alone for 120 s more"
        )
        assert len(running.seen) == 1

        keep.memory = Throttled(2, 0.0)
        third = await run(kind(info()), running.url, keep)
        assert third.outcome is Outcome.DOWN
        assert third.failure is not None
        assert third.failure.reason is Reason.STATUS

        keep.memory = Throttled(3, 0.0)
        well = await run(kind({"method": "ping"}), running.url, keep)
        assert well.outcome is Outcome.UP
        assert keep.memory is None


async def test_a_run_that_stands_alone_is_degraded_by_throttling(check: Check) -> None:
    answer = (200, {"error": {"code": 429, "message": "Too many requests"}})
    async with service({"getblockchaininfo": answer, "ping": None}) as running:
        result = await check(kind(info(), {"method": "ping"}), running.url)

    assert result.outcome is Outcome.DEGRADED
    assert [call["method"] for call in running.sent] == ["getblockchaininfo"]


async def test_a_fault_of_the_prober_keeps_its_own_words(check: Check) -> None:
    with POLICY.set(PolicyOptions().policy()):
        result = await check(LAW.kind, "http://127.0.0.1:9/", unknown=True)

    assert result.outcome is Outcome.UNKNOWN
    assert result.failure is not None
    assert result.failure.message == "want a target within probe_policy, got one outside"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        pytest.param({"calls": []}, "at least 1 item", id="no calls"),
        pytest.param({"calls": [{"method": ""}]}, "at least 1 character", id="no method"),
        pytest.param(
            {"calls": [info(expect={"chain": 1})]},
            "want a JSONPath such as $.a.b, got 'chain' without the $", id="a path without $",
        ),
        pytest.param(
            {"calls": [info(expect={"$.a": ">= x"})]},
            "want a number after >= (or {eq: ...} for a text), got '>= x'", id="no number",
        ),
        pytest.param(
            {"calls": [info(expect={"$.a": {"gtt": 1}})]},
            "want an operator, got 'gtt'; did you mean 'gt'?", id="an operator",
        ),
        pytest.param({"calls": [info(expect={"$.a": "~["})]}, "want", id="a broken pattern"),
        pytest.param(
            {"calls": [info(export={"a": "$..x"})]},
            "want a path to one value such as $.blocks, got '$..x'", id="several values",
        ),
        pytest.param({"calls": [info(export={"A-b": "$.x"})]}, "pattern", id="a bad label"),
        pytest.param(
            {"calls": [info(export={"a": "$.x"}), info(export={"a": "$.y"})]},
            "want exports with names of their own, got 'a' twice", id="a name twice",
        ),
        pytest.param(
            {"calls": [info(export={f"n{number}_{call}": "$.x" for number in range(20)})
                       for call in range(2)]},
            "want at most 32 exports, got 40", id="too many",
        ),
        pytest.param(
            {"calls": [info(params=[float("nan")])]}, "want params that JSON can hold", id="NaN",
        ),
        pytest.param({"calls": [info()], "version": "3.0"}, "Input should be", id="a version"),
        pytest.param(
            {"calls": [info()], "auth": {"header": {"credentials": "x"}},
             "headers": {"Authorization": "y"}},
            "want one of auth and an Authorization header, got both", id="credentials twice",
        ),
        pytest.param({"calls": [info()], "headers": {"Host": "a b"}}, "want", id="a bad host"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_settings_is_told_at_load(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        JsonRpc.model_validate(keys)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("keys", "target", "message"),
    [
        ({}, "127.0.0.1", "want an http:// or https:// URL, got '127.0.0.1'"),
        (
            {"auth": {"header": {"credentials": "x"}}},
            "http://u:p@host/",
            "want credentials in the target or in auth, got both",
        ),
        (
            {"expect": {"certificate": {"expires_in": "7d"}}},
            "http://host/",
            "want an https:// URL to judge a certificate, got http://",
        ),
    ],
)
def test_a_target_that_does_not_fit_is_told_at_load(
    keys: dict[str, Any], target: str, message: str
) -> None:
    with pytest.raises(ValueError, match="want") as caught:
        kind(info(), **keys).check_target(target)
    assert str(caught.value) == message


def test_a_version_may_be_written_as_a_number() -> None:
    assert kind(info(), version=1.0).version == "1.0"


async def test_credentials_go_out_and_are_never_told(check: Check) -> None:
    secret = "s3cr3t-bearer-value"
    keys = {"auth": {"header": {"type": "Token", "credentials": secret}}}
    mirrored = (500, {"error": {"code": -1, "message": f"bad token {secret}"}})
    async with service({"getblockchaininfo": mirrored}) as running:
        result = await check(kind(info(), **keys), running.url)

    assert running.seen[0]["Authorization"] == f"Token {secret}"
    assert secret not in json.dumps(result.as_dict())


@pytest.mark.service
async def test_a_real_node_is_called(ticking_anvil: Anvil, check: Check) -> None:
    result = await check(
        kind(
            {"method": "eth_chainId", "expect": {"$": "0x7a69"}, "export": {"chain_id": "$"}},
            {
                "method": "eth_getBlockByNumber",
                "params": ["latest", False],
                "expect": {"$.number": ">= 0", "$.hash": "~^0x[0-9a-f]{64}$"},
                "export": {"gas_limit": "$.gasLimit"},
            },
            {"method": "web3_clientVersion", "expect": {"$": {"starts_with": "anvil/"}}},
        ),
        ticking_anvil.url,
    )
    missing = await check(kind({"method": "net_peerCount"}), ticking_anvil.url)

    assert result.outcome is Outcome.UP, result.failure
    assert values(result)["chain_id"] == 31337
    assert values(result)["gas_limit"] > 1_000_000
    assert missing.failure is not None
    assert missing.failure.message == (
        "rpc_core_error: net_peerCount: want a result, got error -32601 'Method not found'"
    )
