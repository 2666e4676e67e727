"""The course of a run of a group: whose fault silence is, and what is remembered."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from probes.chain.course import ASKING_SHARE
from probes.chain.memory import Memory
from probes.errors import CheckFailed
from probes.kinds.evm import Evm
from probes.probe import Probe
from probes.prober_health import ProberHealth
from probes.recorder import Keep, Recorder
from probes.result import Outcome, Reason
from probes.run import run_once
from tests.faults.kept import HANG, kept_server
from tests.faults.rpc_actions import hang, result
from tests.faults.rpc_proxy import rpc_proxy

FROZEN = "want an awake prober, got a freeze of 2.00 s during the run"


def block(params: Any) -> dict[str, Any]:
    height = 100 if params[0] == "latest" else 90
    return {
        "number": hex(height),
        "hash": f"0x{height:064x}",
        "parentHash": f"0x{height - 1:064x}",
        "timestamp": hex(1_700_000_000),
        "gasUsed": "0x0",
        "gasLimit": "0x1",
        "stateRoot": f"0x{height:064x}",
        "transactions": [],
    }


@pytest_asyncio.fixture
async def urls() -> AsyncIterator[tuple[str, str]]:
    """A node that answers, and one that hangs."""
    async with rpc_proxy() as node, kept_server(*[[HANG]] * 8) as hung:
        node.on("eth_getBlockByNumber", result(block))
        node.on("eth_chainId", result("0x1"))
        node.on("eth_syncing", result(False))
        yield node.url, hung.url


def group(urls: tuple[str, ...], **keys: Any) -> Evm:
    endpoints = [{"name": f"e{at}", "http": url} for at, url in enumerate(urls)]
    told = {"chain": "it", "chain_id": 1, "thresholds": {"head_age": "off"}, "retries": 0}
    return Evm.model_validate({"endpoints": endpoints, "call_timeout": "100ms", **told, **keys})


def recorder(keep: Keep, seconds: float = 2.0) -> Recorder:
    notes = Recorder(asyncio.get_running_loop().time() + seconds)
    notes.keep = keep
    return notes


def exported(keep: Keep) -> dict[str, Outcome | None]:
    assert isinstance(keep.memory, Memory)
    return {it.endpoint: it.outcome for it in keep.memory.health}


async def test_timeouts_while_we_slept_are_nobodys(urls: tuple[str, str]) -> None:
    """chains.md 1, decision 10: one freeze after another must not page for every endpoint."""
    kind, keep = group(urls), Keep(None, every_s=15)
    for _ in range(3):
        notes = recorder(keep)
        notes.asleep = lambda: FROZEN
        with pytest.raises(CheckFailed, match="probe_network: want an awake prober") as failure:
            await kind.run("it", notes)
        assert failure.value.reason is Reason.NETWORK
        assert {step.probe: step.outcome for step in notes.steps} == {
            "e0": Outcome.UP,
            "e1": Outcome.UNKNOWN,
        }

    assert exported(keep) == {"e0": Outcome.UP, "e1": None}


async def test_timeouts_while_we_were_awake_are_the_endpoints(urls: tuple[str, str]) -> None:
    kind, keep = group(urls), Keep(None, every_s=15)
    notes = recorder(keep)
    notes.asleep = lambda: None

    with pytest.raises(CheckFailed, match="timeout: e1"):
        await kind.run("it", notes)

    assert exported(keep) == {"e0": Outcome.UP, "e1": Outcome.DOWN}


async def test_a_frozen_prober_tells_the_group(urls: tuple[str, str]) -> None:
    """The whole way: the pulse of the prober, the run, the verdict of the endpoint."""
    kind, keep = group(urls), Keep(None, every_s=15)
    health = ProberHealth()
    health.verdict = lambda *_: (Reason.STALL, FROZEN)  # type: ignore[method-assign]

    found = await run_once(
        Probe(name="it", kind=kind, target="it", timeout_s=2.0), keep=keep, health=health
    )

    assert found.outcome is Outcome.UNKNOWN
    assert {step.probe: step.outcome for step in found.steps}["e1"] is Outcome.UNKNOWN


async def test_who_was_not_asked_for_want_of_time_is_not_down(urls: tuple[str, str]) -> None:
    kind, keep = group(urls[:1]), Keep(None, every_s=15)
    notes = recorder(keep, seconds=0.06)

    with pytest.raises(CheckFailed) as failure:
        await kind.run("it", notes)

    assert failure.value.reason.is_own_fault
    assert exported(keep) == {"e0": None}


@pytest.mark.slow
async def test_a_call_of_the_group_that_hangs_leaves_time_to_judge() -> None:
    """A loop that lags then, must not lose what all endpoints answered."""
    timeout_s = 1.0
    call = {"name": "supply", "to": "0x" + "1" * 40, "data": "0x18160ddd", "uint_min": 1}
    async with rpc_proxy() as node:
        node.on("eth_getBlockByNumber", result(block))
        node.on("eth_chainId", result("0x1"))
        rule = node.on("eth_call", hang(), when=lambda params: params[0]["to"] == call["to"])
        kind = group((node.url,), calls=[call], call_timeout=f"{timeout_s}s")
        keep, loop = Keep(None, every_s=15), asyncio.get_running_loop()
        notes = recorder(keep, timeout_s)
        await kind.run("it", notes)
        left = notes.deadline - loop.time()

    assert rule.hits == 1
    assert left > (1 - ASKING_SHARE) * timeout_s / 2
    assert exported(keep) == {"e0": Outcome.UP}
