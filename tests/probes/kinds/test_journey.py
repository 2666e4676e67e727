"""Kind journey: a user's steps against servers that behave and servers that do not."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from probes.journey.loading.compile import compile_journey
from probes.journey.loading.settings import JourneyKeys, World
from probes.kinds.journey import Journey
from probes.probe import Probe
from probes.recorder import Keep
from probes.result import Outcome, Reason, Result
from probes.run import run_once
from probes.wire.http.options import Options
from tests.faults.kept import CLOSE, HANG, OK, STAY, KeptServer, answer, kept_server
from tests.faults.tcp import closed_port
from tests.harness import Check, Law

ASK = {"name": "ask", "get": "/"}
TIDY = {"name": "tidy", "delete": "/cart"}


def journey(*steps: dict[str, Any], kind: dict[str, Any] | None = None, **keys: Any) -> Journey:
    """Return the kind that plays a journey of these steps and keys."""
    written = JourneyKeys.model_validate({"steps": list(steps) or [ASK], **keys})
    compiled = compile_journey("shop", written, World(Path(), {"WORD": "from outside"}))
    context = {"journeys": {"shop": compiled, "other": object()}}
    return Journey.model_validate({"journey": "shop", **(kind or {})}, context=context)


def with_secret(canary: str) -> Journey:
    headers = {"X-Api-Key": "${secrets.key}"}
    return journey({**ASK, "headers": headers}, secrets={"key": canary})


LAW = Law(kind=journey(base_url="http://127.0.0.1"), target="http://{host}:{port}/", steps=True,
          secret=with_secret)  # fmt: skip


def states(result: Result) -> dict[str, str]:
    found = (dict(s.labels) for s in result.samples if s.name == "journey_step_state" and s.value)
    return {labels["step"]: labels["state"] for labels in found}


def values(result: Result, name: str) -> dict[str, float]:
    return {",".join(v for _, v in s.labels): s.value for s in result.samples if s.name == name}


async def run(kind: Journey, server: KeptServer, **how: Any) -> Result:
    probe = Probe(name="it", kind=kind, target=server.url, timeout_s=how.pop("timeout_s", 5.0))
    return await run_once(probe, **how)


# ---- settings


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("shpo", "got 'shpo'; did you mean 'shop'?", id="misspelt"),
        pytest.param("zzz", "got 'zzz' (shop)", id="unknown"),
        pytest.param("other", "want a journey over HTTP, got 'other'", id="of another family"),
    ],
)
def test_a_journey_must_be_one_of_the_file(name: str, text: str) -> None:
    context = {"journeys": {"shop": journey().compiled, "other": object()}}

    with pytest.raises(ValidationError) as caught:
        Journey.model_validate({"journey": name}, context=context)

    (error,) = caught.value.errors()
    assert error["loc"] == ("journey",)
    assert text in error["msg"]


def test_without_a_file_there_is_no_journey() -> None:
    with pytest.raises(ValidationError, match="want a journey of a probe file, got no file"):
        Journey.model_validate({"journey": "shop"})


def test_the_journey_says_what_the_probe_leaves_out() -> None:
    kind = journey(
        ASK, base_url="https://shop.test/eu", timeout="20s", cleanup=[TIDY], cleanup_timeout="3s"
    )

    assert kind.default_target == "https://shop.test/eu"
    assert (kind.default_every_s, kind.default_timeout_s) == (60, 20)
    assert kind.cleanup_s == pytest.approx(3.1)
    assert journey().cleanup_s < 0.2
    assert kind.series_limit == 100 + 2 * 8


def test_a_changed_journey_makes_another_kind() -> None:
    assert journey(timeout="9s") == journey(timeout="9s")
    assert journey(timeout="9s") != journey(timeout="8s")
    assert journey(secrets={"a": "one"}) != journey(secrets={"a": "two"})


@pytest.mark.parametrize(
    ("steps", "advice"),
    [
        ([ASK], ["think_in_probes: the journey has no think step"]),
        ([ASK, {"think": "1s..2s"}], []),
        ([ASK, {"think": "1s..40s"}], ["think_in_probes: the pauses alone may take 40 s"]),
    ],
)  # fmt: skip
def test_pauses_that_make_no_sense_are_told(steps: list[dict[str, Any]], advice: list[str]) -> None:
    told = list(journey(*steps, kind={"think_in_probes": True}).advice("http://x/"))

    assert len(told) == len(advice)
    assert all(said.startswith(wanted) for said, wanted in zip(told, advice, strict=True))
    assert not list(journey(*steps).advice("http://x/"))


# ---- runs


async def test_a_play_that_goes_through_is_up_with_a_result_for_each_step(check: Check) -> None:
    kind = journey(
        {"name": "login", "post": "/login", "json": {"user": "a"}, "extract": {"token": "$.token"}},
        {"name": "search", "get": "/items", "headers": {"Authorization": "Bearer ${token}"}},
        {"log": "seen by ${run_id}", "name": "note"},
    )
    async with kept_server([answer(b'{"token":"t-0815-abc"}'), OK, STAY]) as server:
        result = await check(kind, server.url)
        assert server.connections == 1
        (_, login, body), (line, search, _) = server.requests

    assert result.outcome is Outcome.UP
    assert (body, line) == (b'{"user":"a"}', "GET /items HTTP/1.1")
    assert search["authorization"] == "Bearer t-0815-abc"
    assert search["accept-encoding"] == "gzip, deflate"
    assert login["user-agent"].startswith("sonde/")
    assert [phase.name for phase in result.phases][:2] == ["login", "search"]
    assert [phase.name for phase in result.steps[0].phases] == [
        "resolve", "connect", "processing", "transfer",
    ]  # fmt: skip
    assert [phase.name for phase in result.steps[1].phases] == ["processing", "transfer"]
    assert result.facts["note"] == f"seen by {result.run_id}"
    assert values(result, "journey_requests") == {"good": 2, "bad": 0}
    assert values(result, "journey_step_success")["search"] == 1
    assert values(result, "journey_step_status_code")["login"] == 200
    assert set(values(result, "journey_phase_seconds")) == {
        "resolve", "connect", "processing", "transfer",
    }  # fmt: skip


async def test_a_failed_step_is_named_and_the_rest_skipped(check: Check) -> None:
    kind = journey(ASK, {"name": "pay", "post": "/pay"}, {"name": "bye", "get": "/bye"},
                   cleanup=[TIDY])  # fmt: skip
    async with kept_server([OK, answer(b"no money", "500 No"), OK, STAY]) as server:
        result = await check(kind, server.url)
        assert [line.split()[0] for line, _, _ in server.requests] == ["GET", "POST", "DELETE"]

    assert result.outcome is Outcome.DOWN
    assert result.failure is not None
    assert (result.failure.reason, result.failure.phase) == (Reason.STATUS, "pay")
    assert result.failure.message.startswith("step pay: want status 2xx, got 500")
    assert states(result) == {"ask": "ok", "pay": "failed", "bye": "skipped", "tidy": "ok"}
    assert values(result, "journey_failed_step_info") == {"pay,status": 1}
    assert "bye" not in values(result, "journey_step_success")
    by_name = {step.probe: step for step in result.steps}
    assert any("no money" in text for text in by_name["pay"].facts.values())
    assert (by_name["bye"].attempts, by_name["bye"].failure) == (0, None)
    assert [(phase.name, phase.complete) for phase in result.phases] == [
        ("ask", True), ("pay", False), ("tidy", True),
    ]  # fmt: skip


async def test_a_clean_up_that_fails_degrades(check: Check) -> None:
    kind = journey(ASK, cleanup=[TIDY])
    async with kept_server([OK, answer(b"", "500 No"), STAY]) as server:
        result = await check(kind, server.url)

    assert result.outcome is Outcome.DEGRADED
    assert [warning.phase for warning in result.warnings] == ["tidy"]
    assert result.warnings[0].message.startswith("step tidy: want status 2xx, got 500")


async def test_a_warning_is_told_once_and_with_its_step(check: Check) -> None:
    kind = journey({**ASK, "warn": {"status": 201}})
    async with kept_server([OK, STAY]) as server:
        result = await check(kind, server.url)

    assert result.outcome is Outcome.DEGRADED
    assert [(w.reason, w.phase) for w in result.warnings] == [(Reason.STATUS, "ask")]
    assert values(result, "journey_expectations")["status,warned"] == 1


async def test_time_runs_out_and_the_clean_up_has_its_own(check: Check) -> None:
    kind = journey(ASK, cleanup=[TIDY])
    async with kept_server([HANG], [OK, STAY]) as server:
        result = await check(kind, server.url, 0.2)
        assert [line for line, _, _ in server.requests] == [
            "GET / HTTP/1.1",
            "DELETE /cart HTTP/1.1",
        ]

    assert result.failure is not None
    assert (result.failure.reason, result.failure.phase) == (Reason.TIMEOUT, "ask")
    assert states(result) == {"ask": "failed", "tidy": "ok"}


async def test_a_run_that_is_stopped_tidies_up() -> None:
    kind = journey(ASK, cleanup=[TIDY])
    async with kept_server([HANG], [OK, STAY]) as server:
        task = asyncio.create_task(run(kind, server))
        await server.asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [line.split()[0] for line, _, _ in server.requests] == ["GET", "DELETE"]


async def test_a_clean_up_that_fails_behind_a_stop_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its Result reaches nobody, and what was made may still be there."""
    secret = {"secrets": {"key": "swordfish"}}
    tidy = {**TIDY, "expect": {"body": "${secrets.key}"}}
    kind = journey(ASK, cleanup=[tidy], **secret)
    async with kept_server([HANG], [OK, STAY]) as server:
        task = asyncio.create_task(run(kind, server))
        await server.asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    (told,) = [record.getMessage() for record in caplog.records if record.name == "sonde.journey"]
    assert told.startswith(f"the journey shop was stopped: step {TIDY['name']}: body: want '***'")


async def test_a_second_stop_cuts_the_clean_up_off() -> None:
    kind = journey(ASK, cleanup=[TIDY])
    async with kept_server([HANG], [HANG]) as server:
        task = asyncio.create_task(run(kind, server))
        await server.asked.wait()
        server.asked.clear()
        task.cancel()
        await server.asked.wait()
        task.cancel()
        async with asyncio.timeout(1):
            with pytest.raises(asyncio.CancelledError):
                await task
            await server.left.wait()


@pytest.fixture
def dealt(tmp_path: Path) -> Journey:
    """A journey with rows of data."""
    (tmp_path / "users.csv").write_text("user\nann\nbob\ncid\n")
    written = JourneyKeys.model_validate(
        {"steps": [{**ASK, "get": "/${row.user}/${seq()}"}], "data": {"file": "users.csv"}}
    )
    context = {"journeys": {"shop": compile_journey("shop", written, World(tmp_path))}}
    return Journey.model_validate({"journey": "shop"}, context=context)


async def test_each_run_has_the_next_row_also_after_a_restart(dealt: Journey) -> None:
    kind = dealt
    async with kept_server([OK, STAY]) as server:
        keep = Keep(kind.first_memory(server.url, None))
        for _ in range(2):
            await run(kind, server, keep=keep)
        keep = Keep(kind.first_memory(server.url, kind.durable(keep.memory)))
        for _ in range(2):
            await run(kind, server, keep=keep)
        asked = [line.split()[1] for line, _, _ in server.requests]

    assert asked == ["/ann/0", "/bob/1", "/cid/2", "/ann/3"]


@pytest.mark.parametrize("kept", [None, {}, {"runs": "x"}, {"runs": -1}, {"other": 1}])
def test_a_memory_that_is_none_begins_anew(kept: dict[str, object] | None) -> None:
    assert journey().first_memory("http://x/", kept) == 0


async def test_pauses_are_made_only_when_asked_for(check: Check) -> None:
    steps = [ASK, {"think": "50ms"}, {"name": "again", "get": "/"}]
    async with kept_server([OK, OK, STAY]) as server:
        quick = await check(journey(*steps), server.url)
        slow = await check(journey(*steps, kind={"think_in_probes": True}), server.url)

    assert quick.seconds < slow.seconds
    assert slow.seconds >= 0.05


async def test_a_post_on_a_connection_that_dies_is_sent_once(check: Check) -> None:
    kind = journey(ASK, {"name": "pay", "post": "/pay"})
    async with kept_server([OK, CLOSE], [OK, STAY]) as server:
        result = await check(kind, server.url)
        assert len(server.requests) == 2

    assert result.failure is not None
    assert (result.failure.reason, result.failure.phase) == (Reason.CLOSED, "pay")


@pytest.mark.parametrize(
    ("target", "url", "times"),
    [
        pytest.param("http://h/", "/a", 0, id="plain"),
        pytest.param("https://h/", "/a", 1, id="target"),
        pytest.param("http://h/", "https://pay.test/${run_id}", 1, id="a-step-of-another-host"),
    ],
)
def test_tls_is_made_ready_off_the_loop_where_the_file_names_it(
    target: str, url: str, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared: list[Options] = []

    def prepare(options: Options) -> None:
        prepared.append(options)

    monkeypatch.setattr(Options, "prepare", prepare)

    journey({"name": "ask", "get": url}).prepare(target)

    assert len(prepared) == times


@pytest.fixture
def asking() -> Journey:
    """A journey that asks a database, prepared as the service does it: off the loop."""
    dsn = f"postgresql://u:pw-of-shop@127.0.0.1:{closed_port()}/d"
    kind = journey(
        {
            "name": "rows",
            "sql": {"kind": "postgres", "target": "${secrets.dsn}", "query": "SELECT 1"},
        },
        secrets={"dsn": dsn},
    )
    kind.prepare("http://127.0.0.1/")
    return kind


async def test_a_database_that_refuses_is_the_steps_failure(asking: Journey, check: Check) -> None:
    result = await check(asking, "http://127.0.0.1/")

    assert result.failure is not None
    assert (result.failure.reason, result.failure.phase) == (Reason.REFUSED, "rows")
    assert "pw-of-shop" not in str(result.as_dict())
