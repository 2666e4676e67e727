"""Kind http: what it sends, how it judges, what it records."""

import base64
import gc
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from pydantic import ValidationError

from probes.kinds.http import Http
from probes.probe import Probe
from probes.recorder import Recorder
from probes.result import Outcome, Reason, Result
from probes.run import run_once
from probes.wire.http_check.check import MAX_PLANS
from probes.wire.tls.settings import TlsOptions
from tests.faults.http import FaultServer, fault_server
from tests.harness import Check, Law

NO_NGINX = "header server: want 'nginx', got 'faults'"
NOT_SICK = "$.status: want 'sick', got 'healthy'"
NO_TLS = "want TLS to judge a certificate, got plain HTTP"
CUT_OFF = "want a body of 1000 bytes, got the end of the stream after 4"
FORM = "application/x-www-form-urlencoded"


def http(**keys: Any) -> Http:
    return Http.model_validate(keys)


LAW = Law(
    kind=http(),
    target="http://{host}:{port}/",
    secret=lambda canary: http(bearer=canary),
    secret_target="http://user:{canary}@{host}:{port}/?token={canary}",
)


@pytest_asyncio.fixture
async def server() -> AsyncIterator[FaultServer]:
    async with fault_server() as running:
        yield running


@pytest.fixture
def tls(ca_file: Path) -> TlsOptions:
    """Trust the authority of the session; read here, for a run may not touch the disk."""
    return TlsOptions(ca_file=str(ca_file))


def values(result: Result) -> dict[str, float]:
    return {sample.name: sample.value for sample in result.samples}


async def test_an_answer_of_2xx_is_up_and_everything_is_measured(
    server: FaultServer, check: Check
) -> None:
    result = await check(http(), server.url("/ok"))
    assert result.outcome is Outcome.UP
    found = values(result)
    assert found.pop("dns_lookup_time_seconds") == 0
    assert found == {
        "http_status_code": 200, "http_content_length": 12, "http_uncompressed_body_length": 12,
        "http_redirects": 0, "http_ssl": 0, "http_version": 1.1, "failed_due_to_regex": 0,
        "ip_protocol": 4, "ip_addr_hash": 3668918509,
    }  # fmt: skip
    assert result.facts == {
        "address": f"127.0.0.1:{server.port}", "answer": "HTTP/1.1 200 OK", "server": "faults",
    }  # fmt: skip


async def test_every_sample_is_declared(
    server_context: ssl.SSLContext, tls: TlsOptions, check: Check
) -> None:
    kind = http(tls=tls)
    declared = {metric.name for metric in Http.metrics}
    async with fault_server(server_context) as server:
        result = await check(kind, server.url("/ok/modified"))
    assert result.outcome is Outcome.UP
    assert set(values(result)) <= declared
    assert values(result)["http_last_modified_timestamp_seconds"] == 784111777
    assert values(result)["http_ssl"] == 1
    assert "tls_version_info" in values(result)


@pytest.mark.parametrize(
    ("path", "expect", "reason", "message"),
    [
        ("/status/503", {}, Reason.STATUS, "want status 2xx, got 503 Said"),
        ("/status/503", 200, Reason.STATUS, "want status 200, got 503 Said"),
        ("/status/404", {"status": {"not": "4xx"}}, Reason.STATUS, None),
        ("/noloc", {}, Reason.REDIRECT, "want a Location, got none with status 302"),
        ("/loop", {}, Reason.REDIRECT, "want at most 10 redirects, got 11, a loop"),
        ("/ok", {"headers": {"server": "nginx"}}, Reason.BODY, NO_NGINX),
        ("/ok", {"headers": {"x-a": {"exists": True}}}, Reason.BODY, None),
        ("/ok", {"headers": {"content-length": {"gt": 12}}}, Reason.BODY, None),
        ("/ok", {"body": {"contains": "ill"}}, Reason.BODY, None),
        ("/ok", {"body": {"matches": "^well"}}, Reason.BODY, None),
        ("/ok/json", {"json": {"$.status": "sick"}}, Reason.BODY, NOT_SICK),
        ("/ok", {"json": {"$.status": "sick"}}, Reason.PROTOCOL, None),
        ("/ok", {"latency": "0.001ms"}, Reason.LATENCY, None),
        ("/ok", {"certificate": {"expires_in": "7d"}}, Reason.PROTOCOL, NO_TLS),
        ("/short", {}, Reason.CLOSED, CUT_OFF),
        ("/short", 500, Reason.STATUS, "want status 500, got 200 OK"),
    ],
)  # fmt: skip
async def test_a_miss_is_down_with_its_reason(
    server: FaultServer, check: Check, path: str, expect: Any, reason: Reason, message: str | None
) -> None:
    result = await check(http(expect=expect), server.url(path))
    assert result.outcome is Outcome.DOWN
    assert result.failure is not None
    assert result.failure.reason is reason
    assert message in (None, result.failure.message)


@pytest.mark.parametrize(
    ("path", "expect"),
    [
        ("/status/503", 503),
        ("/status/404", {"status": ["2xx", 404]}),
        ("/ok", {"headers": {"server": "faults", "CONTENT-LENGTH": 12}}),
        ("/ok", {"headers": {"content-length": {"gte": 12}}}),
        ("/ok/gzip", {"body": {"contains": "well"}}),
        ("/ok/json", {"json": {"$.status": "healthy", "$.lag": {"lt": 5}}}),
        ("/ok", {"latency": "1m"}),
        ("/hops/10", {}),
    ],
)
async def test_what_is_as_expected_is_up(
    server: FaultServer, check: Check, path: str, expect: Any
) -> None:
    result = await check(http(expect=expect), server.url(path))
    assert result.outcome is Outcome.UP, result.failure


@pytest.mark.parametrize(
    ("warn", "reason"),
    [
        (204, Reason.STATUS),
        ({"headers": {"x-a": "b"}}, Reason.BODY),
        ({"json": {"$.lag": {"lt": 1}}}, Reason.BODY),
        ({"latency": "0.001ms"}, Reason.LATENCY),
        ({"latency": {"warn": "0.001ms"}}, Reason.LATENCY),
    ],
)
async def test_a_missed_warning_degrades(
    server: FaultServer, check: Check, warn: Any, reason: Reason
) -> None:
    result = await check(http(warn=warn), server.url("/ok/json"))
    assert result.outcome is Outcome.DEGRADED
    assert [warning.reason for warning in result.warnings] == [reason]


async def test_the_certificate_is_judged(
    server_context: ssl.SSLContext, tls: TlsOptions, check: Check
) -> None:
    kind = http(
        tls=tls,
        expect={"certificate": {"expires_in": {"warn": "3650d", "fail": "1d"}}},
    )
    async with fault_server(server_context) as server:
        result = await check(kind, server.url("/ok"))
    assert result.outcome in (Outcome.UP, Outcome.DEGRADED)
    assert result.failure is None


@pytest.mark.parametrize(
    ("path", "expect", "flag"),
    [
        ("/ok", {"body": {"contains": "ill"}}, 1),
        ("/ok", {"headers": {"x-a": "b"}}, 1),
        ("/status/500", {"body": {"contains": "ill"}}, 0),
        ("/short", {"body": {"contains": "ill"}}, 1),
        ("/short", {}, 0),
        ("/hang", {"body": {"contains": "ill"}}, 0),
        ("/hangbody", {"body": {"contains": "ill"}}, 1),
        ("/hangbody", {"headers": {"x-a": "b"}, "body": {"contains": "ill"}}, 0),
    ],
)
async def test_failed_due_to_regex_is_there_always_and_set_by_a_miss(
    server: FaultServer, check: Check, path: str, expect: Any, flag: int
) -> None:
    result = await check(http(expect=expect), server.url(path), 0.2)
    assert result.outcome is Outcome.DOWN
    assert values(result)["failed_due_to_regex"] == flag


async def test_a_timeout_keeps_what_had_come(server: FaultServer, check: Check) -> None:
    result = await check(http(), server.url("/hangbody"), 0.2)
    assert result.failure is not None
    assert (result.failure.reason, result.failure.phase) == (Reason.TIMEOUT, "transfer")
    found = values(result)
    assert (found["http_status_code"], found["http_content_length"]) == (200, 1000)
    assert found["http_uncompressed_body_length"] == 4
    assert [phase.name for phase in result.phases] == [
        "resolve", "connect", "processing", "transfer",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("keys", "header", "sent"),
    [
        ({"bearer": "secret"}, "authorization", "Bearer secret"),
        (
            {"basic_auth": {"username": "me", "password": "pass:word"}},
            "authorization",
            "Basic " + base64.b64encode(b"me:pass:word").decode(),
        ),
        ({"headers": {"X-Version": 2}}, "x-version", "2"),
        ({"headers": {"Host": "virtual.example"}}, "host", "virtual.example"),
        ({"headers": {"user-agent": "mine"}}, "user-agent", "mine"),
        ({"compression": "any"}, "accept-encoding", "gzip, deflate, br"),
        ({"method": "post", "json": {"a": [1]}}, "content-type", "application/json"),
        ({"method": "POST", "form": {"a": "b c"}}, "content-type", FORM),
        ({"method": "POST", "json": [], "headers": {"content-type": "x/y"}}, "content-type", "x/y"),
    ],
)  # fmt: skip
async def test_the_request_is_as_configured(
    server: FaultServer, check: Check, keys: Any, header: str, sent: str
) -> None:
    await check(http(**keys), server.url("/ok"))
    assert server.requests[0].headers[header] == sent


async def test_bodies_and_default_headers(server: FaultServer, check: Check) -> None:
    for keys in ({"json": {"a": 1}}, {"form": {"a": "b c&"}}, {"body": "ü"}):
        await check(http(method="POST", **keys), server.url("/ok"))
    assert [call.body for call in server.requests] == [b'{"a": 1}', b"a=b+c%26", "ü".encode()]
    await check(http(), server.url("/ok"))
    headers = server.requests[-1].headers
    assert set(headers) == {"host", "user-agent", "connection"}
    assert headers["user-agent"].startswith("sonde")


async def test_user_and_password_of_the_target_are_sent_and_hidden(
    server: FaultServer, check: Check
) -> None:
    target = server.url("/status/500").replace("://", "://me:canary42@") + "?key=canary43"
    result = await check(http(), target)
    assert server.requests[0].headers["authorization"].startswith("Basic ")
    assert "canary" not in str(result)


async def test_the_address_is_the_one_of_the_wanted_family(
    server: FaultServer, check: Check
) -> None:
    result = await check(http(ip=6), server.url("/ok"))
    assert result.failure is not None
    assert result.failure.reason is Reason.DNS_NO_ADDRESS
    assert values(result)["ip_protocol"] == 0


async def test_the_version_is_judged(
    server_context: ssl.SSLContext, tls: TlsOptions, check: Check
) -> None:
    kind = http(tls=tls, versions=[2])
    server_context.set_alpn_protocols(["http/1.1"])
    async with fault_server(server_context) as server:
        result = await check(kind, server.url("/ok"))
    assert result.failure is not None
    assert result.failure.reason in (Reason.PROTOCOL, Reason.TLS)


async def test_a_wrong_answer_is_shown_without_secrets(server: FaultServer, check: Check) -> None:
    kind = http(headers={"X-Api-Key": "canary42"}, expect={"body": {"contains": "no"}})
    result = await check(kind, server.url("/echo"))
    assert "x-api-key: ***" in result.facts["body"]
    assert "canary" not in str(result)


async def test_one_kind_serves_many_targets(server: FaultServer) -> None:
    kind = http()
    for number in range(MAX_PLANS + 5):
        kind._made().check.plan(server.url(f"/{number}"))
    assert len(kind._made().check.plans) <= MAX_PLANS


def test_a_copy_does_not_use_the_plans_of_its_original() -> None:
    kind = http()
    kind._made().check.plan("http://127.0.0.1/")
    copy = kind.model_copy(update={"method": "HEAD"})
    made = copy._made().check.plan("http://127.0.0.1/").request
    assert made is not None
    assert made.method == "HEAD"


def never_built(_: TlsOptions, alpn: tuple[str, ...]) -> None:
    raise AssertionError(f"want a context that was prepared, got none for {alpn}")


async def test_a_prepared_run_builds_nothing(
    tls: TlsOptions,
    server_context: ssl.SSLContext,
    check: Check,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kind = http(tls=tls)
    async with fault_server(server_context) as running:
        kind.prepare(running.url())
        monkeypatch.setattr(TlsOptions, "_build", never_built)
        result = await check(kind, running.url())
    assert result.outcome is Outcome.UP, result.failure


def test_another_origin_is_prepared_too(tls: TlsOptions, certificates: Path) -> None:
    """A client certificate makes two contexts: one without it, for redirects elsewhere."""
    own = {"cert_file": str(certificates / "client.pem"), "key_file": f"{certificates}/client.key"}
    kind = http(tls=tls.model_copy(update=own))
    kind.prepare("https://127.0.0.1/")

    options = kind._made().check.options
    assert (
        list(options.tls._contexts) == list(options.foreign_tls._contexts) == [(options.alpn, True)]
    )


def test_plain_text_needs_no_context() -> None:
    kind = http(tls=TlsOptions(min_version="1.3"))
    kind.prepare("http://127.0.0.1/")
    assert not kind.tls._contexts


def test_a_used_kind_equals_an_unused_one() -> None:
    used = http(method="HEAD")
    used._made().check.plan("http://127.0.0.1/")
    assert used == http(method="HEAD")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"body": "x", "json": {}}, "want one of body, json and form, got body and json"),
        (
            {"bearer": "x", "basic_auth": {"password": "y"}},
            "want one of basic_auth, bearer, authorization and an Authorization header, got",
        ),
        ({"basic_auth": {"username": "a:b", "password": "y"}}, "want a username without colon"),
        ({"headers": {"X A": "b"}}, "want a header name, got 'X A'"),
        ({"headers": {"Connection": "b"}}, "want a header that sonde does not write itself"),
        ({"headers": {"X-A": "b\r\nX-B: c"}}, "want a text of one line, got line breaks or NUL"),
        ({"method": "G T"}, "want a method such as GET, got 'G T'"),
        ({"versions": []}, "at least 1 item"),
        ({"max_redirects": 11}, "less than or equal to 10"),
        ({"statsu": 200}, "Extra inputs"),
    ],
)
def test_a_mistake_is_told_at_load(keys: Any, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        http(**keys)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("target", "keys"),
    [
        ("127.0.0.1", {}),
        ("ftp://x/", {}),
        ("http://x:99999/", {}),
        ("http://x/", {"versions": [2]}),
    ],
)
def test_a_wrong_target_is_told_at_load(target: str, keys: Any) -> None:
    with pytest.raises(ValueError, match="want "):
        http(**keys).check_target(target)


def test_secrets_are_known_in_every_spelling() -> None:
    kind = http(
        headers={"X-Api-Key": "canary1", "X-Plain": "plain"},
        basic_auth={"username": "me", "password": "canary2"},
    )
    probe = Probe(name="p", kind=kind, target="http://127.0.0.1/")
    sent = base64.b64encode(b"me:canary2").decode()
    assert kind.secrets("http://127.0.0.1/") == {"canary1", "canary2", sent}
    assert probe.redact(f"plain canary1 {sent}") == "plain *** ***"


async def test_the_recorder_alone_is_enough(server: FaultServer) -> None:
    recorder = Recorder()
    await http().run(server.url("/ok"), recorder)
    assert recorder.facts["answer"] == "HTTP/1.1 200 OK"


def test_used_kinds_of_the_same_settings_are_equal() -> None:
    """A reload compares the probe of a run in flight with the one that is now in the file."""
    one, other = http(), http()
    for kind in (one, other):
        kind.prepare("http://127.0.0.1/")

    assert one == other
    assert one != http(max_body="7B")


@pytest.mark.parametrize("path", ["/hang", "/hangbody", "/short", "/rst", "/nothing"])
async def test_a_failed_run_leaves_nothing_for_the_collector(path: str) -> None:
    """P9: what hangs lives long enough to reach the oldest generation, and piled up there."""
    async with fault_server() as running:
        probe = Probe(name="it", kind=http(), target=running.url(path), timeout_s=0.1)
        await run_once(probe)
        gc.collect()
        gc.disable()
        try:
            result = await run_once(probe)
            gc.set_debug(gc.DEBUG_SAVEALL)
            gc.collect()
            left = [one for one in gc.garbage if type(one).__module__.startswith("probes.")]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()

    assert result.outcome is not Outcome.UP
    assert left == []
