"""Chains.md 17, rows 1 to 12 and 53: what goes wrong on the way to an endpoint, and in HTTP."""

import ssl
from collections.abc import Callable
from typing import Any

import pytest
import trustme

from probes.prober_health import ProberHealth
from probes.result import Reason
from tests.faults.rpc_actions import (
    Action,
    bomb,
    error,
    hang,
    html,
    huge,
    reset,
    status,
    throttled,
    trickle,
    truncated,
)
from tests.faults.rpc_proxy import RpcProxy, rpc_proxy
from tests.faults.tls import BAD_CERTIFICATES, bad_certificate
from tests.probes.chain.rig import CALL_S, Clock, Devnet, Rig, evm

pytestmark = [pytest.mark.service, pytest.mark.slow]
HEAD = "eth_getBlockByNumber"
EXPIRY = "ssl_earliest_cert_expiry"


def rig_of(clock: Clock, proxy: RpcProxy, **keys: Any) -> Rig:
    return Rig(clock, evm({"own": proxy.url}, **keys))


async def test_row_1_nothing_listens(clock: Clock, net: Devnet) -> None:
    node = net.nodes[0]
    rig = Rig(clock, evm({"own": node.url}))
    assert await rig.follow(net) == "up"

    node.stop()
    result = await rig.run()

    assert rig.said("own") == "down connect_refused"
    assert rig.group == "down connect_refused own"
    assert result.failure is not None
    assert result.failure.reason is Reason.REFUSED
    assert rig.value("chain_rpc_up", endpoint="own") == 1
    assert rig.value("chain_head_height", endpoint="own", tag="latest") == 21
    await rig.run()
    assert rig.value("chain_rpc_up", endpoint="own") == 0
    await rig.run(2)
    assert rig.value("chain_head_height", endpoint="own", tag="latest") is None


async def test_row_2_the_name_of_one_is_unknown(clock: Clock, proxy: RpcProxy) -> None:
    rig = Rig(clock, evm({"own": proxy.url, "lost": "http://nothing.invalid:8545"}))

    await rig.run()

    assert (rig.said("own"), rig.said("lost")) == ("up", "down dns_failed")
    assert rig.group == "down dns_failed lost"


async def test_row_2_no_name_is_known_because_we_have_no_network(clock: Clock) -> None:
    async def reach(target: str) -> bool:
        return False

    health = ProberHealth(["192.0.2.1:53"], reach)
    urls = {name: f"http://{name}.invalid:8545" for name in ("a", "b")}
    rig = Rig(clock, evm(urls), health)

    result = await rig.run()

    await health.stop()
    assert (rig.said("a"), rig.said("b")) == ("unknown probe_network", "unknown probe_network")
    assert rig.group == "unknown probe_network"
    assert result.failure is not None
    assert result.failure.reason is Reason.NETWORK


async def test_row_3_a_stopped_process_accepts_and_says_nothing(clock: Clock, net: Devnet) -> None:
    node = net.nodes[0]
    rig = Rig(clock, evm({"own": node.url}, retries=0, call_timeout=CALL_S))

    node.pause()
    await rig.run()
    node.resume()

    assert rig.said("own") == "down timeout"
    assert rig.group == "down timeout own"
    assert rig.failures("own")[0].phase == "response"
    await rig.follow(net)
    assert rig.said("own") == "up"


@pytest.mark.parametrize(
    ("fault", "cause"), [pytest.param(*it, id=f"row 4 {it[0]}") for it in BAD_CERTIFICATES.items()]
)
async def test_certificates_that_do_not_verify(
    fault: str, cause: Reason, clock: Clock, net: Devnet, ca: trustme.CA
) -> None:
    context = bad_certificate(ca, fault)
    async with rpc_proxy(net.nodes[0].url, context=context) as proxy:
        rig = rig_of(clock, proxy, tls={"ca": ca.cert_pem.bytes().decode()})
        rig.kind.prepare("it")
        result = await rig.run()

    assert rig.said("own") == "down tls_invalid"
    assert rig.group == "down tls_invalid own"
    assert result.failure is not None
    assert result.failure.reason is cause
    assert rig.value(EXPIRY) is not None


async def test_over_a_good_certificate_all_is_well(
    clock: Clock, net: Devnet, ca: trustme.CA
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    async with rpc_proxy(net.nodes[0].url, context=context) as proxy:
        rig = rig_of(clock, proxy, tls={"ca": ca.cert_pem.bytes().decode()})
        rig.kind.prepare("it")
        await rig.run()

    assert rig.group == "up"
    assert rig.value(EXPIRY) is not None


ROWS = [
    pytest.param(reset, "connection_reset", 2, id="row 5 reset"),
    pytest.param(truncated, "connection_reset", 2, id="row 5 truncated body"),
    pytest.param(lambda: truncated(rst=True), "connection_reset", 2, id="row 5 reset in the body"),
    pytest.param(lambda: html(502), "http_5xx", 2, id="row 7 a page of a gateway"),
    pytest.param(lambda: html(200), "invalid_response", 1, id="row 8 a parked page"),
    pytest.param(lambda: status(402), "plan_exhausted", 1, id="row 11 payment required"),
    pytest.param(
        lambda: error(-32000, "Monthly capacity limit exceeded."), "plan_exhausted", 1,
        id="row 11 told in the body",
    ),
    pytest.param(lambda: status(401), "auth_failed", 1, id="row 12 unauthorized"),
    pytest.param(lambda: status(403, "Forbidden"), "auth_failed", 1, id="row 12 forbidden"),
    pytest.param(
        lambda: status(
            401, '{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"x"}}',
            "application/json",
        ), "auth_failed", 1, id="row 12 with another code in the body",
    ),
    pytest.param(lambda: huge(2 * 1024**2), "too_large", 1, id="row 53 a huge body"),
    pytest.param(
        lambda: huge(64 * 1024**2, sized=False), "too_large", 1, id="row 53 a body without an end"
    ),
    pytest.param(lambda: bomb(64 * 1024**2), "too_large", 1, id="row 53 a gzip bomb"),
]  # fmt: skip


@pytest.mark.parametrize(("action", "reason", "tries"), ROWS)
async def test_a_fault_of_http(
    action: Callable[[], Action], reason: str, tries: int, clock: Clock, proxy: RpcProxy
) -> None:
    rig = rig_of(clock, proxy)
    proxy.on("*", action())

    await rig.run()

    assert rig.said("own") == f"down {reason}"
    assert rig.group == f"down {reason} own"
    assert proxy.calls[HEAD] == tries
    proxy.clear()
    await rig.run()
    assert rig.group == "up"


@pytest.mark.parametrize(
    ("action", "phase"),
    [
        pytest.param(hang, "response", id="row 3 silence"),
        pytest.param(trickle, "body", id="row 6 a slow trickle"),
    ],
)
async def test_a_timeout_tells_its_phase(
    action: Callable[[], Action], phase: str, clock: Clock, proxy: RpcProxy
) -> None:
    rig = rig_of(clock, proxy, retries=1, call_timeout=CALL_S)
    proxy.on("*", action())

    result = await rig.run()

    assert rig.said("own") == "down timeout"
    assert rig.group == "down timeout own"
    assert rig.failures("own")[0].phase == phase
    assert result.failure is not None
    assert (result.failure.reason, result.failure.phase) == (Reason.TIMEOUT, phase)
    assert proxy.calls[HEAD] == 2


async def test_row_9_throttled_is_left_alone_and_in_the_third_run_down(
    clock: Clock, proxy: RpcProxy
) -> None:
    rig = rig_of(clock, proxy)
    proxy.on("*", throttled(30))
    timeline = []

    for _ in range(7):
        await rig.run()
        timeline.append((rig.said("own"), proxy.requests))

    degraded, down = "degraded rate_limited", "down rate_limited"
    assert timeline == [
        (degraded, 1), (degraded, 1), (degraded, 2), (degraded, 2), (down, 3), (down, 3), (down, 4),
    ]  # fmt: skip
    assert rig.group == "down rate_limited own"
    proxy.clear()
    clock.pass_s(30)
    await rig.run()
    assert rig.group == "up"


async def test_row_10_throttled_inside_200_is_not_unhealthy(clock: Clock, proxy: RpcProxy) -> None:
    rig = rig_of(clock, proxy)
    proxy.on("*", error(-32005, "daily request count exceeded, request rate limited"))

    await rig.run()

    assert rig.said("own") == "degraded rate_limited"
    assert rig.group == "degraded rate_limited own"
    asked = proxy.requests
    await rig.run()
    assert proxy.requests == asked
    await rig.run()
    assert proxy.requests == asked + 1
