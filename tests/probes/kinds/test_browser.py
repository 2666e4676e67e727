import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from probes.browser.compile import compile_browser
from probes.browser.settings import BrowserJourneyKeys
from probes.browser.supervisor import Supervisor
from probes.config.load import load
from probes.errors import ConfigError
from probes.journey.loading.settings import World
from probes.kinds import browser
from probes.kinds.browser import Browser, Memory
from probes.probe import Probe
from probes.recorder import Keep
from probes.result import Outcome, Reason, Result
from probes.run import run_once
from tests.harness import Law, undeclared

FAKE = Path(__file__).parents[1] / "browser" / "fake_child.py"
FILE = """
version: 1
journeys:
  shop:
    base_url: http://shop.example.org
    timeout: 20s
    browser: {executable: /bin/true%(browser)s}
    vars: {currency: EUR, mail: "me+${run_id}@example.org"}
    secrets: {password: {env: SHOP_PASSWORD}}
    data: {file: users.csv}
    steps:
      - {name: home, goto: /}
      - {name: sign-up, click: {role: button, name: Sign up}}
      - {name: welcome, see: Welcome}
      - {name: late, see: Bye}
    expect: {%(expect)s}
  api:
    base_url: http://shop.example.org
    steps: [{name: ping, get: /}]
probes:
  - {name: signup, kind: browser, journey: %(journey)s}
safety: {browser: {min_free_memory: 1MiB, artefacts: kept}}
"""

NO_SANDBOX = (
    "journey shop: browser.sandbox is false: a page that breaks out of Chromium has every right of"
    " the prober"
)
ROOT = (
    "journey shop: Chromium has no sandbox for root: run the prober as another user, or write"
    " browser: {sandbox: false}"
)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "users.csv").write_text("user,pin\nann,9876-1\nbob,9876-2\n")
    return tmp_path


def probe_of(place: Path, *, journey: str = "shop", options: str = "", expect: str = "") -> Probe:
    text = FILE % {"journey": journey, "browser": options, "expect": expect}
    (place / "probes.yaml").write_text(text)
    config = load(place / "probes.yaml", environ={"SHOP_PASSWORD": "hunter22"})
    (probe,) = config.probes
    return probe


def kind_of(canary: str) -> Browser:
    """Return a kind with a secret, whose browser is not there: a run takes no time."""
    keys = BrowserJourneyKeys.model_validate(
        {
            "browser": {"executable": "/no/chromium"},
            "secrets": {"key": {"env": "KEY"}},
            "steps": [{"name": "home", "goto": "/${secrets.key}"}],
        },
        context={"environ": {"KEY": canary}},
    )
    compiled = compile_browser("shop", keys, World(Path()))
    context = {"journeys": {"shop": compiled}}
    return Browser.model_validate({"journey": "shop"}, context=context)


LAW = Law(kind=kind_of("k3y-of-no-canary"), target="http://{host}:{port}/", secret=kind_of)


class Fakes:
    """Supervisors over fake children, one for each loop."""

    mode = "ok"

    def __init__(self) -> None:
        self.made: Supervisor | None = None

    def __call__(self) -> Supervisor:
        if self.made is None:
            self.made = Supervisor((sys.executable, str(FAKE), self.mode), lambda: None)
        return self.made


@pytest.fixture
async def fakes(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Fakes]:
    found = Fakes()
    monkeypatch.setattr(browser, "supervisor", found)
    yield found
    if found.made is not None:
        await found.made.close()


async def off_loop(place: Path, **options: str) -> Probe:
    return await asyncio.get_running_loop().run_in_executor(
        None, lambda: probe_of(place, **options)
    )


def numbers(result: Result) -> dict[str, float]:
    return {
        it.name + "".join(f" {key}={value}" for key, value in it.labels): it.value
        for it in result.samples
    }


@pytest.mark.slow
async def test_a_run_is_recorded_with_its_steps(place: Path, fakes: Fakes) -> None:
    probe = await off_loop(place)
    result = await run_once(probe)
    assert result.outcome is Outcome.UP, result.failure
    assert [(step.probe, step.attempts) for step in result.steps] == [
        ("home", 1), ("sign-up", 0), ("welcome", 0), ("late", 0),
    ]  # fmt: skip
    assert result.steps[0].facts == {"url": "http://x/"}
    assert [(phase.name, phase.complete) for phase in result.phases] == [
        ("browser", True), ("home", True),
    ]  # fmt: skip
    assert result.facts["browser"] == "Chromium 156.0.1, Playwright 1.65.2"
    found = numbers(result)
    assert found["browser_web_vital_lcp_seconds page=home"] == 0.5
    assert found["browser_processes"] == 3
    assert found["journey_step_status_code step=home"] == 200
    assert not undeclared(result, probe.kind)


@pytest.mark.slow
async def test_everything_that_is_told_is_kept_and_no_secret(place: Path, fakes: Fakes) -> None:
    fakes.mode = "rich"
    keep = Keep()
    probe = await off_loop(place)
    result = await run_once(probe, keep=keep)
    assert result.outcome is Outcome.DOWN
    assert result.failure is not None
    assert result.failure.reason is Reason.BODY
    assert result.failure.phase == "welcome"
    assert result.failure.message == "step welcome: want 'Welcome', got '***' and ***"
    assert result.steps[2].facts == {"url": "http://x/***"}
    assert [phase.name for phase in result.steps[0].phases] == ["connect", "processing"]
    assert result.facts["iteration"] == "0"
    assert result.facts["base"] == "http://shop.example.org"
    assert result.facts["row"] == "{'user': 'ann', 'pin': '***'}"
    assert result.facts["vars"] == (
        f"{{'currency': 'EUR', 'mail': 'me+{result.run_id}@example.org'}}"
    )
    assert "hunter22" not in repr(result)
    assert "token-1234" not in repr(result)
    found = numbers(result)
    assert found["browser_requests type=document party=first outcome=good"] == 1
    assert found["browser_requests type=other party=third outcome=failed"] == 3
    assert found["browser_bytes party=first"] == 1000
    assert found["browser_web_vital_cls page=home"] == 0.25
    assert found["browser_load_seconds page=home"] == 0.75
    assert found["browser_console_errors"] == 3
    assert found["browser_page_errors"] == 1
    assert found["journey_failed_step_info step=welcome reason=body"] == 1
    assert found["journey_step_state step=late state=skipped"] == 1
    assert not any("stranger" in name for name in found)
    assert not undeclared(result, probe.kind)
    assert Path(result.facts["screenshot"]).parent == place / "kept" / "shop"


@pytest.mark.slow
async def test_the_runs_behind_a_failure_record_all_until_one_is_up(
    place: Path, fakes: Fakes
) -> None:
    fakes.mode = "rich"
    keep = Keep()
    probe = await off_loop(place)
    first = await run_once(probe, keep=keep)
    assert first.facts["record"] == "failure"
    assert keep.memory == Memory(1, is_recording=True)
    second = await run_once(probe, keep=keep)
    assert second.facts["record"] == "full"
    assert second.facts["row"] == "{'user': 'bob', 'pin': '***'}"
    assert fakes.made is not None
    fakes.made._command = (sys.executable, str(FAKE), "trouble")
    for launch in list(fakes.made._browsers):
        fakes.made._retire(fakes.made._browsers[launch].browser)
    third = await run_once(probe, keep=keep)
    assert third.outcome is Outcome.UNKNOWN
    assert keep.memory == Memory(3, is_recording=True)
    fakes.made._command = (sys.executable, str(FAKE), "ok")
    for launch in list(fakes.made._browsers):
        fakes.made._retire(fakes.made._browsers[launch].browser)
    fourth = await run_once(probe, keep=keep)
    assert fourth.ok
    assert keep.memory == Memory(4, is_recording=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "memory", "wanted"),
    [
        pytest.param(", record: never", Memory(0, is_recording=True), "never", id="never"),
        pytest.param(", record: always", Memory(), "full", id="always"),
        pytest.param(", record: on_failure", Memory(), "failure", id="on failure"),
    ],
)
async def test_the_file_says_what_is_recorded(
    options: str, memory: Memory, wanted: str, place: Path, fakes: Fakes
) -> None:
    fakes.mode = "rich"
    keep = Keep(memory)
    result = await run_once(await off_loop(place, options=options), keep=keep)
    assert result.facts["record"] == wanted


@pytest.mark.slow
@pytest.mark.parametrize(
    ("expect", "reason", "message"),
    [
        pytest.param(
            "lcp: {lt: 300ms}",
            Reason.LATENCY,
            "step home: lcp of page home: want duration < 300ms, got 500ms",
            id="too slow",
        ),
        pytest.param("inp: {lt: 1ms}", None, "", id="what was not observed is not judged"),
    ],
)
async def test_web_vitals_are_judged(
    expect: str, reason: Reason | None, message: str, place: Path, fakes: Fakes
) -> None:
    result = await run_once(await off_loop(place, expect=expect))
    assert (result.failure and result.failure.reason) is reason
    assert (result.failure and result.failure.message) == (message or None)
    if reason is None:
        assert result.facts["not observed"] == "inp"


@pytest.mark.slow
async def test_a_run_that_is_killed_keeps_its_steps(place: Path, fakes: Fakes) -> None:
    fakes.mode = "crash"
    result = await run_once(await off_loop(place))
    assert result.outcome is Outcome.UNKNOWN
    assert result.failure is not None
    assert result.failure.reason is Reason.RESOURCE
    assert result.failure.phase == "home"
    assert result.steps[0].failure is not None
    assert [phase.name for phase in result.phases] == ["browser", "home"]


@pytest.mark.slow
async def test_without_a_row_left_the_run_is_unknown(place: Path, fakes: Fakes) -> None:
    keep = Keep(Memory(2))
    probe = await off_loop(place)
    kind = probe.kind
    assert isinstance(kind, Browser)
    assert kind.compiled.feeder is not None
    kind.compiled.feeder.pick = "unique"
    result = await run_once(probe, keep=keep)
    assert result.failure is not None
    assert result.failure.reason is Reason.CONFIG
    assert result.failure.message == (
        "want a row of users.csv for each run, got all of them used (pick: unique)"
    )


@pytest.mark.slow
async def test_settings_without_a_file_are_unknown() -> None:
    kind = Browser.model_construct(journey="shop")
    result = await run_once(Probe("it", kind, "http://127.0.0.1:1", timeout_s=2))
    assert result.failure is not None
    assert result.failure.message == "want the journey 'shop' of a probe file, got none"


def test_the_defaults_come_from_the_journey(place: Path) -> None:
    probe = probe_of(place)
    assert probe.target == "http://shop.example.org"
    assert probe.timeout_s == 20
    assert probe.every_s == 300
    assert probe.kind.cleanup_s == 5
    assert probe.kind.series_limit == 120 + 4 * 6 + 8
    assert probe.kind.secrets(probe.target) >= {"hunter22"}


@pytest.mark.parametrize(
    ("journey", "message"),
    [
        pytest.param(
            "shpo",
            "want the name of a journey with browser:, got 'shpo'; did you mean 'shop'?",
            id="misspelt",
        ),
        pytest.param(
            "api", "want a journey with browser:, got 'api', for kind: journey", id="over HTTP"
        ),
        pytest.param(
            "zzz", "want the name of a journey with browser:, got 'zzz' (shop)", id="none like it"
        ),
    ],
)
def test_a_journey_that_is_none_is_refused(journey: str, message: str, place: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        probe_of(place, journey=journey)
    assert message in [problem.message for problem in refused.value.problems]


def test_a_target_has_no_query(place: Path) -> None:
    kind = probe_of(place).kind
    with pytest.raises(ValueError, match="want a base URL without a query"):
        kind.check_target("http://x/?a=1")


def test_what_is_remembered_survives_a_restart(place: Path) -> None:
    kind = probe_of(place).kind
    memory = Memory(7, is_recording=True)
    assert kind.first_memory("", kind.durable(memory)) == memory
    assert kind.durable(None) is None
    for broken in (None, {}, {"runs": -1}, {"runs": True}, {"runs": "7", "is_recording": 1}):
        assert kind.first_memory("", broken) == Memory()


def test_no_sandbox_is_warned_about(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    probe = probe_of(place, options=", sandbox: false")
    assert list(probe.kind.advice(probe.target)) == [NO_SANDBOX]
    probe = probe_of(place)
    assert not list(probe.kind.advice(probe.target))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert list(probe.kind.advice(probe.target)) == [ROOT]
