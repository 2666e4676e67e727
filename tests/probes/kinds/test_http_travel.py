"""Kind http on its way: tokens, proxies, sources, resolvers, trust, and files that change."""

import asyncio
import json
import os
import shutil
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import trustme
from pydantic import ValidationError

from probes.kinds.http import Http
from probes.probe import Probe
from probes.result import Outcome, Reason, Result
from probes.run import run_once
from probes.wire.net import close_resolvers
from probes.wire.tls.settings import TlsOptions
from tests.faults.dns import dns_fault
from tests.faults.dns_peer import dns_peer
from tests.faults.http import Call, FaultServer, fault_server
from tests.faults.proxy import answering, proxy_server
from tests.faults.tcp import closed_port
from tests.harness import Check
from tests.probes.wire.dns.made import answer_to
from tests.servers.nginx import Nginx


def http(*, dialect: str = "", **keys: Any) -> Http:
    return Http.model_validate(keys, context={"dialect": dialect})


@pytest_asyncio.fixture
async def server() -> AsyncIterator[FaultServer]:
    async with fault_server() as running:
        yield running


@pytest.fixture
def tls(ca_file: Path) -> TlsOptions:
    """Trust the authority of the session; read here, for a run may not touch the disk."""
    return TlsOptions(ca_file=str(ca_file))


def phases(result: Result) -> list[str]:
    return [phase.name for phase in result.phases]


# --- tokens


class Guarded(FaultServer):
    """Gives out tokens, and lets in who shows the last one."""

    def __init__(self) -> None:
        super().__init__()
        self.given = 0
        self.faults |= {"token": self.give, "guarded": self.let_in}

    async def give(self, call: Call) -> None:
        self.given += 1
        await call.answer(json.dumps({"access_token": f"c4nary-{self.given}"}).encode())

    async def let_in(self, call: Call) -> None:
        knows = call.headers.get("authorization") == f"Bearer c4nary-{self.given}"
        status = "200 OK" if knows else "401 Unauthorized"
        await call.answer(call.headers.get("authorization", "").encode(), status)


@pytest_asyncio.fixture
async def guarded() -> AsyncIterator[Guarded]:
    running = Guarded()
    async with fault_server(faults=running):
        yield running


def with_token(server: FaultServer, **keys: Any) -> Http:
    token = {"client_id": "me", "client_secret": "s3cret-word", "token_url": server.url("/token")}
    return http(oauth2=token, **keys)


async def test_a_token_is_fetched_in_the_phase_auth_and_shown_nowhere(
    guarded: Guarded, check: Check
) -> None:
    kind = with_token(guarded, expect={"body": ["not there"]})
    result = await check(kind, guarded.url("/guarded"))
    assert phases(result) == ["auth", "resolve", "connect", "processing", "transfer"]
    assert "body" in result.facts, "what the server gave back"
    told = json.dumps(result.as_dict())
    assert "c4nary" not in told
    assert "s3cret" not in told

    again = await check(kind, guarded.url("/guarded"))
    assert phases(again) == ["resolve", "connect", "processing", "transfer"]
    assert "c4nary" not in json.dumps(again.as_dict())


async def test_a_401_makes_the_next_run_fetch_a_token(guarded: Guarded, check: Check) -> None:
    kind = with_token(guarded)
    target = guarded.url("/guarded")
    assert (await check(kind, target)).outcome is Outcome.UP
    guarded.given += 1
    refused = await check(kind, target)
    assert refused.failure is not None
    assert refused.failure.reason is Reason.STATUS
    assert (await check(kind, target)).outcome is Outcome.UP
    assert guarded.paths.count("/token") == 2


async def test_no_token_is_the_reason_auth(server: FaultServer, check: Check) -> None:
    kind = http(oauth2={"client_id": "me", "token_url": server.url("/status/403")})
    result = await check(kind, server.url("/ok"))
    assert result.failure is not None
    assert (result.failure.reason, result.failure.phase) == (Reason.AUTH, "auth")
    assert server.paths == ["/status/403"]


async def test_a_token_does_not_follow_a_redirect_elsewhere(guarded: Guarded, check: Check) -> None:
    async with fault_server() as other:
        await check(with_token(guarded), guarded.url(f"/to/302?{other.url('/ok')}"))
        assert "authorization" in guarded.requests[-1].headers
        assert "authorization" not in other.requests[0].headers


def test_one_way_to_show_who_asks_is_enough() -> None:
    for other in ({"bearer": "abc"}, {"headers": {"authorization": "abc"}}):
        with pytest.raises(ValidationError, match="want oauth2 or another way to show who asks"):
            http(oauth2={"client_id": "me", "token_url": "https://a.test/"}, **other)


# --- proxies


async def test_a_proxy_is_named_in_the_facts_and_its_user_nowhere(
    server: FaultServer, check: Check
) -> None:
    async with proxy_server() as proxy:
        url = f"http://anna:c4nary-word@127.0.0.1:{proxy.port}"
        kind = http(proxy={"url": url})
        result = await check(kind, server.url("/ok"))
        assert result.facts["proxy"] == f"http://127.0.0.1:{proxy.port}"
        assert proxy.goals == [("127.0.0.1", server.port)]
    assert result.outcome is Outcome.UP
    assert "c4nary-word" in kind.secrets(server.url())
    assert "c4nary" not in json.dumps(result.as_dict()) + str(kind) + kind.model_dump_json()


async def test_a_proxy_of_the_environment_is_found_at_load(check: Check) -> None:
    async with fault_server() as server, proxy_server() as proxy:
        proxy.names["a.test"] = "127.0.0.1"
        context = {"environ": {"HTTP_PROXY": proxy.url}}
        kind = Http.model_validate({"proxy": {"from_env": True, "resolve": False}}, context=context)
        result = await check(kind, f"http://a.test:{server.port}/ok")
        straight = await check(kind, server.url("/ok"))
        assert proxy.goals == [("a.test", server.port)]
    assert (result.outcome, straight.outcome) == (Outcome.UP, Outcome.UP)
    assert phases(result) == ["connect", "processing", "transfer"]


async def test_a_silent_proxy_is_a_timeout_in_the_phase_connect() -> None:
    async with proxy_server(answering()) as proxy:
        kind = http(proxy={"url": proxy.url})
        result = await run_once(
            Probe(name="it", kind=kind, target="https://192.0.2.1/", timeout_s=0.2)
        )
    assert result.failure is not None
    assert (result.failure.reason, result.failure.phase) == (Reason.TIMEOUT, "connect")
    assert result.seconds < 0.2 + 0.25


# --- where from, and whom to ask for names


@pytest.mark.parametrize("source", ["127.0.0.9", "lo"])
async def test_a_run_comes_from_where_it_is_told(
    server: FaultServer, check: Check, source: str
) -> None:
    if source == "lo" and os.geteuid() != 0:
        pytest.skip("want the right to bind to an interface, got a user without it")
    peers: list[str] = []

    async def note(call: Call) -> None:
        peers.append(call.writer.get_extra_info("peername")[0])
        await call.answer()

    server.faults["ok"] = note
    assert (await check(http(source=source), server.url("/ok"))).outcome is Outcome.UP
    assert peers == ["127.0.0.9" if source != "lo" else "127.0.0.1"]


@pytest.mark.parametrize("source", ["203.0.113.9", "no-such-card"])
async def test_a_source_that_is_not_ours_is_our_own_fault(
    server: FaultServer, check: Check, source: str
) -> None:
    result = await check(http(source=source), server.url("/ok"), unknown=True)
    assert result.failure is not None
    assert result.failure.reason is Reason.CONFIG
    assert result.failure.message == f"want a source address of this host, got '{source}'"


@pytest.mark.parametrize("source", ["10.0.0", "a/b", "a name", "much-too-long-for-a-card"])
async def test_a_source_that_cannot_be_one_is_told_at_load_or_by_a_blackbox_run(
    server: FaultServer, check: Check, source: str
) -> None:
    with pytest.raises(ValidationError, match="want an address or an interface of this host"):
        http(source=source)
    kind = http(source=source, dialect="blackbox")
    result = await check(kind, server.url("/ok"), unknown=True)
    assert result.failure is not None
    assert (result.failure.reason, result.failure.phase) == (Reason.CONFIG, "connect")


@pytest.mark.parametrize(
    ("resolver", "message"),
    [
        ({"servers": ["dns.test"]}, "want the address of a name server, got 'dns.test'"),
        ({"servers": ["192.0.2.1:0"]}, "want a port from 1 to 65535"),
        ({"transport": "tcp"}, "want servers beside the transport tcp, got none"),
        ({"transport": "smoke"}, "'udp', 'tcp'"),
    ],
)
def test_a_resolver_that_cannot_be_asked_is_a_mistake(
    resolver: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        http(resolver=resolver)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_resolver_of_its_own_is_asked(
    server: FaultServer, check: Check, transport: str
) -> None:
    async with dns_fault() as names:
        kind = http(resolver={"servers": [names.server], "transport": transport}, ip=4)
        result = await check(kind, f"http://one.test:{server.port}/ok")
        await close_resolvers()
    assert result.outcome is Outcome.UP
    assert set(names.questions) == {"one.test/1"}
    assert bool(names.over_tcp) is (transport == "tcp")


async def test_a_resolver_may_be_asked_over_tls_the_next_one_when_the_first_is_dead(
    server: FaultServer, server_context: ssl.SSLContext, tls: TlsOptions, check: Check
) -> None:
    def known(query: bytes) -> list[bytes]:
        return [answer_to(query, "only.test. 1 IN A 127.0.0.1")]

    target = f"http://only.test:{server.port}/ok"
    async with dns_peer(known, context=server_context) as port:
        servers = [f"127.0.0.1:{closed_port()}", f"127.0.0.1:{port}"]
        kind = http(resolver={"servers": servers, "transport": "tls", "tls": tls}, ip=4)
        kind.prepare(target)
        result = await check(kind, target)
        strict = http(resolver={"servers": servers, "transport": "tls"}, ip=4)
        refused = await check(strict, target)
    assert result.outcome is Outcome.UP
    assert phases(result) == ["resolve", "connect", "processing", "transfer"]
    assert refused.failure is not None
    assert (refused.failure.reason, refused.failure.phase) == (Reason.REFUSED, "resolve")


async def test_the_authority_of_a_resolver_is_read_anew_when_its_file_changes(
    server: FaultServer, server_context: ssl.SSLContext, ca: trustme.CA, tmp_path: Path,
    check: Check,
) -> None:  # fmt: skip
    def known(query: bytes) -> list[bytes]:
        return [answer_to(query, "only.test. 1 IN A 127.0.0.1")]

    own, target = tmp_path / "ca.pem", f"http://only.test:{server.port}/ok"
    trustme.CA().cert_pem.write_to_path(own)
    async with dns_peer(known, context=server_context) as port:
        keys = {"servers": [f"127.0.0.1:{port}"], "transport": "tls", "tls": {"ca_file": str(own)}}
        kind = http(resolver=keys, ip=4)
        refused = await check(kind, target)
        ca.cert_pem.write_to_path(own)
        kind.resolver.tls._looked.clear()  # a second later
        result = await check(kind, target)
    assert refused.failure is not None
    assert (refused.failure.reason, refused.failure.phase) == (
        Reason.CERTIFICATE_UNTRUSTED, "resolve",
    )  # fmt: skip
    assert result.outcome is Outcome.UP, result.failure


async def test_a_name_that_the_resolver_denies_is_not_asked_for_again(
    server_context: ssl.SSLContext, tls: TlsOptions, check: Check
) -> None:
    asked: list[bytes] = []

    def deny(query: bytes) -> list[bytes]:
        asked.append(query)
        return [answer_to(query, rcode="NXDOMAIN")]

    async with dns_peer(deny, context=server_context) as port:
        servers = [f"127.0.0.1:{port}"] * 2
        kind = http(resolver={"servers": servers, "transport": "tls", "tls": tls}, ip=4)
        result = await check(kind, "http://only.test/")
    assert result.failure is not None
    assert (result.failure.reason, len(asked)) == (Reason.DNS_NXDOMAIN, 1)


# --- trust


@pytest.mark.parametrize(
    ("trust", "home", "away", "follows"),
    [
        ("origin", "a.test", "a.test", False),
        ("host", "a.test", "a.test", True),
        ("host", "a.test", "b.a.test", True),
        ("host", "a.test", "ba.test", False),
        ("host", "b.a.test", "a.test", False),
    ],
)
async def test_credentials_follow_a_redirect_as_far_as_they_are_trusted(
    check: Check, trust: str, home: str, away: str, follows: bool
) -> None:
    """Another port is another origin, and the same host."""
    async with fault_server() as first, fault_server() as second, proxy_server() as proxy:
        proxy.names |= dict.fromkeys((home, away), "127.0.0.1")
        kind = http(
            trust=trust, bearer="abc", headers={"X-Api-Key": "k", "X-Plain": "p"},
            proxy={"url": proxy.url, "resolve": False},
        )  # fmt: skip
        await check(kind, f"http://{home}:{first.port}/to/302?http://{away}:{second.port}/ok")
        sent = second.requests[0].headers
    assert ("authorization" in sent, "x-api-key" in sent) == (follows, follows)
    assert ("x-plain" in sent) is (trust == "host")


async def test_a_blackbox_module_trusts_its_host(check: Check) -> None:
    assert http(dialect="blackbox").trust == "host"
    assert http().trust == "origin"


async def test_a_header_out_of_a_secret_is_one_whatever_its_name(check: Check) -> None:
    async with fault_server() as first, fault_server() as second, proxy_server() as proxy:
        proxy.names |= dict.fromkeys(("a.test", "b.test"), "127.0.0.1")
        kind = Http.model_validate(
            {
                "trust": "host", "headers": {"X-Odd": {"env": "ODD"}, "X-Even": "p"},
                "proxy": {"url": proxy.url, "resolve": False},
            },
            context={"environ": {"ODD": "c4nary"}},
        )  # fmt: skip
        target = f"http://a.test:{first.port}/to/302?http://b.test:{second.port}/ok"
        await check(kind, target)
        assert first.requests[0].headers["x-odd"] == "c4nary"
        assert {"x-odd", "x-even"} & second.requests[0].headers.keys() == {"x-even"}


# --- TLS


@pytest.fixture
def own_files(certificates: Path, tmp_path: Path) -> Path:
    """A directory with the client's certificate, for a test to change."""
    for name in ("ca.pem", "client.pem", "client.key"):
        shutil.copy(certificates / name, tmp_path)
    return tmp_path


@pytest.fixture
def mutual(own_files: Path) -> TlsOptions:
    return TlsOptions(
        ca_file=str(own_files / "ca.pem"),
        cert_file=str(own_files / "client.pem"),
        key_file=str(own_files / "client.key"),
    )


def a_second_later(kind: Http) -> None:
    kind.tls._looked.clear()


@pytest.mark.service
async def test_a_client_certificate_is_read_anew_when_its_file_changes(
    nginx: Nginx, mutual: TlsOptions, own_files: Path, ca: trustme.CA, check: Check
) -> None:
    kind = http(tls=mutual, expect={"body": ["CN=client"]})
    target = f"https://127.0.0.1:{nginx.mutual_port}/"
    assert (await check(kind, target)).outcome is Outcome.UP

    other = ca.issue_cert("other@example.org", common_name="other")
    other.cert_chain_pems[0].write_to_path(own_files / "client.pem")
    other.private_key_pem.write_to_path(own_files / "client.key")
    assert (await check(kind, target)).outcome is Outcome.UP, "within a second nobody looks again"
    a_second_later(kind)
    changed = await check(kind, target)
    assert changed.failure is not None
    assert changed.failure.reason is Reason.BODY, "somebody else is greeted"

    await asyncio.get_running_loop().run_in_executor(None, (own_files / "client.key").unlink)
    a_second_later(kind)
    broken = await check(kind, target, unknown=True)
    assert broken.failure is not None
    assert broken.failure.reason is Reason.CONFIG
    assert str(own_files / "client.key") in broken.failure.message


@pytest.mark.service
@pytest.mark.parametrize(
    ("port", "tls", "up"),
    [
        pytest.param("old_port", {"max_version": "1.2"}, True, id="1.2 to 1.2"),
        pytest.param("old_port", {"min_version": "1.3"}, False, id="1.3 to 1.2"),
        pytest.param("mutual_port", {"min_version": "1.3"}, True, id="1.3 to 1.3"),
        pytest.param(
            "tls_port", {"server_name": "localhost"}, True, id="a name of the certificate"
        ),
        pytest.param("tls_port", {"server_name": "else.test"}, False, id="another name"),
    ],
)
async def test_versions_and_names_are_those_that_are_told(
    nginx: Nginx, certificates: Path, check: Check, port: str, tls: dict[str, Any], up: bool
) -> None:
    with (certificates / "ca.pem").open() as file:
        kind = http(tls={"ca": file.read(), **tls})
    result = await check(kind, f"https://127.0.0.1:{getattr(nginx, port)}/hello.txt")
    assert ("tls" in [phase.name for phase in result.phases if phase.complete]) is up


async def test_versions_that_exclude_each_other_fail_a_blackbox_run_only(check: Check) -> None:
    tls = {"min_version": "TLS13", "max_version": "TLS12"}
    with pytest.raises(ValidationError, match=r"want min_version <= max_version, got 1\.3, 1\.2"):
        http(tls=tls)
    kind = http(tls=tls, dialect="blackbox")
    result = await check(kind, "https://127.0.0.1:1/", unknown=True)
    assert result.failure is not None
    assert result.failure.reason is Reason.CONFIG
    assert result.failure.message == "want min_version <= max_version, got 1.3, 1.2"
