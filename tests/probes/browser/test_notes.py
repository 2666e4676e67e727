from dataclasses import replace

import pytest

from probes.browser.notes import Notes, samples, verdict
from probes.browser.plan import Action, Plan, Step
from probes.browser.protocol import Begun, Done, Ended, Fault, Page
from probes.journey.model import State
from probes.result import Failure, Phase, Reason, Sample

PLAN = Plan(
    "shop",
    "http://x/",
    (
        Step("home", Action.GOTO, text="/"),
        Step("pay", Action.CLICK),
        Step("bye", Action.GOTO, text="/bye"),
    ),
)
FAULT = Fault(Reason.BODY, "want a button, got none", "pay")


def ended(step: str, **more: object) -> Ended:
    return replace(Ended("1", step, "goto", "ok", 0.5), **more)  # type: ignore[arg-type] # a test


def test_every_step_is_told_in_the_order_of_the_plan() -> None:
    notes = Notes(PLAN)
    notes.hear(Begun("1", "home"))
    notes.hear(ended("home", phases=(("tls", 0.1),), status=200, facts={"url": "u"}))
    notes.hear(Begun("1", "pay"))
    notes.hear(ended("pay", state="failed", fault=FAULT))
    home, pay, bye = notes.steps()
    assert (home.state, home.seconds, home.status) == (State.OK, 0.5, 200)
    assert home.phases == (Phase("tls", 0.1),)
    assert home.facts == {"url": "u"}
    assert (pay.state, pay.failure) == (State.FAILED, Failure(Reason.BODY, FAULT.message))
    assert bye.state is State.SKIPPED


def test_the_step_in_which_a_run_broke_off_has_its_failure() -> None:
    notes = Notes(PLAN)
    notes.hear(Begun("1", "home"))
    assert notes.where == "home"
    broken = Failure(Reason.RESOURCE, "killed")
    home, pay, _ = notes.steps(broken)
    assert (home.state, home.failure) == (State.FAILED, broken)
    assert pay.state is State.SKIPPED
    notes.hear(ended("home"))
    assert notes.where is None


def test_a_step_that_is_none_of_the_plan_is_not_told() -> None:
    notes = Notes(PLAN)
    notes.hear(ended("stranger"))
    assert [step.step for step in notes.steps()] == ["home", "pay", "bye"]


@pytest.mark.parametrize(
    ("fault", "message", "phase"),
    [
        pytest.param(FAULT, "step pay: want a button, got none", "pay", id="of a step"),
        pytest.param(replace(FAULT, step=""), "want a button, got none", None, id="of none"),
    ],
)
def test_a_fault_is_a_verdict(fault: Fault, message: str, phase: str | None) -> None:
    found = verdict(fault)
    assert (found.reason, found.message, found.phase) == (Reason.BODY, message, phase)


def test_numbers_have_labels_of_the_plan_alone() -> None:
    done = Done(
        "1",
        pages=(
            Page("home", {"lcp": 1.0}, {"load": 2.0, "dns": 0.1}),
            Page("home", {"lcp": 3.0, "cls": 0.5}),
            Page("pay", {"lcp": 9.0}),
            Page('"}\n', {"lcp": 9.0}),
        ),
        requests=(("script", "first", "good", 2), ("x" * 99, "third", "bad", 1)),
        bytes=(("first", 10), ("first", 5)),
    )
    found = {(it.name, it.labels): it.value for it in samples(PLAN, done, 0, 0)}
    assert found == {
        ("browser_web_vital_lcp_seconds", (("page", "home"),)): 3.0,
        ("browser_web_vital_cls", (("page", "home"),)): 0.5,
        ("browser_requests",
         (("type", "script"), ("party", "first"), ("outcome", "good"))): 2,
        ("browser_requests",
         (("type", "other"), ("party", "third"), ("outcome", "bad"))): 1,
        ("browser_bytes", (("party", "first"),)): 15,
        ("browser_console_errors", ()): 0,
        ("browser_page_errors", ()): 0,
    }  # fmt: skip


def test_a_browser_that_was_counted_is_told() -> None:
    found = list(samples(PLAN, Done("1"), 9, 2**28))
    assert Sample("browser_processes", 9) in found
    assert Sample("browser_memory_bytes", 2**28) in found
