"""The journey through the demo shop: it goes through, and each fault is told as what it is.

``examples/shop.yaml`` as it is shipped, but for times that no test waits for.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from probes.config.load import load
from probes.probe import Probe
from probes.result import Outcome, Reason, Result
from probes.run import run_once
from tests.harness import undeclared
from tests.shop.app import RunningShop, shop_server
from tests.shop.faults import Fault

EXAMPLE = Path(__file__).parents[3] / "examples" / "shop.yaml"
# Written for people who watch -> for tests: still longer than a loaded machine needs.
FASTER = {
    "timeout: 2s #": "timeout: 600ms #",
    "every: 200ms, timeout: 3s": "every: 100ms, timeout: 500ms",
    "timeout: 1s\n": "timeout: 300ms\n",
}
SETUP = ("login-form", "log-in", "token")
STEPS = ("search", "product", "stock", "add-to-cart", "price", "chain", "pay", "order", "feed",
         "paid")  # fmt: skip
CLEANUP = ("cancel-order", "drop-cart")
LATE = "want an answer within 0.6 s, got none in phase"
SECRETS = ("correct-horse", "4242424242424242")

one_loop = pytest.mark.asyncio(loop_factories=["uvloop"])


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Probe:
    text = EXAMPLE.read_text(encoding="utf-8")
    for people, tests in FASTER.items():
        assert people in text
        text = text.replace(people, tests)
    file = tmp_path_factory.mktemp("shop") / "shop.yaml"
    file.write_text(text, encoding="utf-8")
    config = load(file, environ={})
    assert config.warnings == ()
    return next(probe for probe in config.probes if probe.kind.name == "journey")


@pytest.fixture
async def shop() -> AsyncIterator[RunningShop]:
    async with shop_server(pricing_s=0.02) as shop:
        yield shop


async def play(probe: Probe, shop: RunningShop) -> Result:
    return await run_once(replace(probe, target=shop.url))


def states(result: Result) -> dict[str, str]:
    found = (dict(s.labels) for s in result.samples if s.name == "journey_step_state" and s.value)
    return {labels["step"]: labels["state"] for labels in found}


def series(result: Result, name: str) -> Mapping[tuple[str, ...], float]:
    return {tuple(v for _, v in s.labels): s.value for s in result.samples if s.name == name}


def evidence(result: Result, step: str) -> str:
    (found,) = [one for one in result.steps if one.probe == step]
    return "\n".join(f"{name}: {text}" for name, text in found.facts.items())


async def test_the_journey_goes_through(probe: Probe, shop: RunningShop) -> None:
    result = await play(probe, shop)

    assert (result.outcome, result.failure) == (Outcome.UP, None)
    assert [step.probe for step in result.steps] == [*SETUP, *STEPS, *CLEANUP]
    assert states(result) == dict.fromkeys((*SETUP, *STEPS, *CLEANUP), "ok")
    assert not undeclared(result, probe.kind)
    assert result.facts["paid"].endswith(" over 49.9")
    assert series(result, "journey_requests")[("bad",)] == 0
    assert series(result, "journey_requests")[("good",)] >= len(SETUP + STEPS + CLEANUP) - 1
    assert series(result, "journey_step_status_code")[("feed",)] == 101
    assert {name for (name,) in series(result, "journey_phase_seconds")} >= {"processing"}
    assert not series(result, "journey_failed_step_info")


async def test_a_journey_leaves_nothing_behind(probe: Probe, shop: RunningShop) -> None:
    """The clean-up cancels what was bought; three runs are as good as one."""
    for _ in range(3):
        assert (await play(probe, shop)).outcome is Outcome.UP

    assert await shop.shop.store.orders("ada") == []


async def test_no_outlet_shows_a_secret(probe: Probe, shop: RunningShop) -> None:
    shop.break_it(Fault.PAY_DECLINED)
    result = await play(probe, shop)
    session = [cookie for cookie in result.steps if cookie.probe == "pay"]

    assert session
    shown = str(result.as_dict())
    assert not [secret for secret in SECRETS if secret in shown]
    assert '"card":"***"' in shown
    assert "Authorization: ***" in shown


class Broken(NamedTuple):
    """What is broken; the step that fails, its reason, message and evidence."""

    fault: Fault
    step: str
    reason: Reason
    message: str
    proof: str = ""


def row(*words: Any, slow: bool = False) -> Any:
    return pytest.param(Broken(*words), id=words[0], marks=[pytest.mark.slow] if slow else [])


@one_loop
@pytest.mark.parametrize(
    "broken",
    [
        row(Fault.MAINTENANCE, "login-form", Reason.STATUS, "want status 2xx, got 503",
            "back in an hour"),
        row(Fault.CSRF_MISSING, "login-form", Reason.EXTRACT,
            "want csrf, an element '#login input[name=csrf]' with 'value', got none", "<form"),
        row(Fault.BROKEN_LOGIN, "log-in", Reason.STATUS, "want status 2xx, got 500",
            "Something went wrong"),
        row(Fault.LOGIN_REFUSED, "log-in", Reason.STATUS, "want status 2xx, got 401",
            "Wrong user or password"),
        row(Fault.SESSION_LOST, "log-in", Reason.BODY,
            "css h1: want 'Welcome, Ada Lovelace', got", "/login"),
        row(Fault.REDIRECT_LOOP, "log-in", Reason.REDIRECT, "want at most 5 redirects, got 6",
            "/account?again="),
        row(Fault.REDIRECT_AWAY, "log-in", Reason.BLOCKED,
            "want a redirect within the target policy, got one to 169.254.169.254:80"),
        row(Fault.LOGIN_WITHOUT_TOKEN, "token", Reason.EXTRACT,
            "want token, a value at $.token, got an object with 'user', 'expires_in'", "ada"),
        row(Fault.SEARCH_HANGS, "search", Reason.TIMEOUT, LATE, "GET http", slow=True),
        row(Fault.SEARCH_DRIPS, "search", Reason.TIMEOUT, LATE, "status 200", slow=True),
        row(Fault.SEARCH_EMPTY, "search", Reason.BODY, "$.items: want a size of >= 1, got []",
            '"items": []'),
        row(Fault.SEARCH_CLOSED, "search", Reason.CLOSED, "want", "GET http"),
        row(Fault.SEARCH_CUT, "search", Reason.CLOSED, "want", '{"items": ['),
        row(Fault.SEARCH_GARBLED, "search", Reason.PROTOCOL, "want a body in gzip", "gzip"),
        row(Fault.SEARCH_HUGE, "search", Reason.TOO_LARGE, "want", "status 200"),
        row(Fault.HTML_ERROR_PAGE, "search", Reason.BODY,
            "header Content-Type: want something with 'json', got 'text/html; charset=utf-8'",
            "Something went wrong"),
        row(Fault.STACK_TRACE, "product", Reason.BODY, "body: want something without 'Traceback'",
            "KeyError: 1"),
        row(Fault.GRAPHQL_ERRORS, "stock", Reason.BODY,
            "want no GraphQL errors, got 'stock is unavailable'", "stock is unavailable"),
        row(Fault.TOKEN_EXPIRY, "add-to-cart", Reason.STATUS, "want status 201, got 401",
            "want a valid token"),
        row(Fault.CART_REFUSED, "add-to-cart", Reason.STATUS, "want status 201, got 503",
            "the carts are gone"),
        row(Fault.CART_NEVER_PRICED, "price", Reason.TIMEOUT,
            "want the awaited answer within 500ms, got", '"priced": false', slow=True),
        row(Fault.WRONG_TOTAL, "price", Reason.BODY, "$.total: want 49.9, got 49.91", "49.91"),
        row(Fault.RPC_ERROR, "chain", Reason.BODY,
            "want a result, got error -32000: 'header not found'", "header not found"),
        row(Fault.PAY_DECLINED, "pay", Reason.STATUS, "want status 200, got 402",
            "card declined"),
        row(Fault.PAY_HANGS, "pay", Reason.TIMEOUT, LATE, '"card":"***"', slow=True),
        row(Fault.ORDER_LOST, "order", Reason.BODY, "$.orders[*].id: want something with 'o-",
            '"orders": []'),
        row(Fault.FEED_SILENT, "feed", Reason.TIMEOUT, "want a message within 0.3 s, got none",
            '{"subscribed": "orders"}', slow=True),
        row(Fault.FEED_OTHER, "feed", Reason.BODY, "$.order: want 'o-", "subscribed",
            slow=True),
    ],
)  # fmt: skip
async def test_a_broken_shop_names_step_reason_and_evidence(
    broken: Broken, probe: Probe, shop: RunningShop
) -> None:
    shop.break_it(broken.fault)
    result = await play(probe, shop)
    step, reason = broken.step, broken.reason

    assert result.outcome is Outcome.DOWN
    failure = result.failure
    assert failure is not None
    assert (failure.phase, failure.reason) == (step, reason)
    assert failure.message.startswith(f"step {step}: ")
    assert broken.message in failure.message
    assert broken.proof in evidence(result, step)
    found, names = states(result), (*SETUP, *STEPS)
    at = names.index(step)
    assert {found[name] for name in names[:at]} <= {"ok"}
    assert found[step] == "failed"
    assert {found[name] for name in names[at + 1 :]} <= {"skipped"}
    assert "failed" not in {found[name] for name in CLEANUP}
    assert series(result, "journey_failed_step_info") == {(step, reason.value): 1}


@one_loop
@pytest.mark.slow
async def test_a_slow_search_degrades(probe: Probe, shop: RunningShop) -> None:
    shop.break_it(Fault.SLOW)
    result = await play(probe, shop)

    assert result.outcome is Outcome.DEGRADED
    (warning,) = result.warnings
    assert (warning.phase, warning.reason) == ("search", Reason.LATENCY)
    assert warning.message.startswith("step search: want duration < 300ms, got 4")
    assert series(result, "journey_expectations")[("duration", "warned")] == 1


async def test_a_clean_up_that_fails_degrades(probe: Probe, shop: RunningShop) -> None:
    shop.break_it(Fault.CANCEL_FAILS)
    result = await play(probe, shop)

    assert result.outcome is Outcome.DEGRADED
    assert [warning.phase for warning in result.warnings] == ["cancel-order"]
    assert states(result)["drop-cart"] == "ok"
    assert "the warehouse does not answer" in evidence(result, "cancel-order")


async def test_what_was_bought_is_cancelled_when_a_later_step_fails(
    probe: Probe, shop: RunningShop
) -> None:
    shop.break_it(Fault.ORDER_LOST)
    result = await play(probe, shop)

    assert result.outcome is Outcome.DOWN
    assert states(result)["cancel-order"] == "ok"
    assert await shop.shop.store.orders("ada") == []


def test_every_fault_of_the_shop_that_requests_see_is_tried() -> None:
    mark = next(
        mark
        for mark in test_a_broken_shop_names_step_reason_and_evidence.pytestmark  # type: ignore[attr-defined]
        if mark.name == "parametrize"
    )
    tried = {row.values[0].fault for row in mark.args[1]}
    others = {Fault.NONE, Fault.SLOW, Fault.CANCEL_FAILS}
    of_browsers = {Fault.JS_ERROR, Fault.SLOW_PAGE, Fault.BROKEN_IMAGE, Fault.LAYOUT_SHIFT,
                   Fault.ALERT_LOOP, Fault.BUSY_SCRIPT}  # fmt: skip

    assert set(Fault) - tried == others | of_browsers
