"""The page of load runs: what it holds before, during and after a run, and what two parsers say."""

import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from time import perf_counter

import pytest

from exporter.exposition.load_families import BUCKETS, K6, LOAD, LOCUST
from exporter.exposition.scrape import PageQuery
from exporter.loads.board import Board
from exporter.loads.sheet import Known
from exporter.metrics import SelfMetrics
from scenarios.book import Book, Key
from scenarios.fleet.merge import Tally
from scenarios.outlets.live import Live
from scenarios.records import Progress, Vitals
from scenarios.report import LoadReport, Verdict, Why
from tests.exporter.pages import parsed
from tests.scenarios import reports
from tests.servers.process import find_program

SHOP = Known(("checkout", "search"), 200)
NAME = "shop-evening"


def board(*names: str, known: Known = SHOP) -> Board:
    made = Board(clock=lambda: 0.0)
    made.set_scenarios(dict.fromkeys(names, known), frozenset())
    return made


def values(it: Board, name: str = NAME) -> dict[str, float]:
    """Return what is shown of a scenario: ``family value value`` -> number."""
    found: dict[str, float] = {}
    text = it.text(PageQuery()).decode()
    for family in parsed(text, openmetrics=False).values():
        for sample in family.samples:
            assert "scenario" in sample.labels
            if sample.labels["scenario"] == name:
                rest = [v for k, v in sample.labels.items() if k != "scenario"]
                found[" ".join((sample.name, *rest))] = sample.value
    return found


def test_every_counter_of_a_scenario_is_0_before_its_first_run() -> None:
    found = values(board(NAME))

    assert found["loadtest_run_active"] == 0
    assert {found[f"loadtest_runs_total {it.value}"] for it in Verdict} == {0}
    assert found["loadtest_refused_total busy"] == 0
    assert found["loadtest_iterations_total checkout interrupted"] == 0
    assert found["loadtest_iteration_latency_seconds_count search"] == 0
    assert not any(name.startswith(("loadtest_last_run", "locust", "k6")) for name in found)


def test_a_run_is_shown_while_it_goes_on() -> None:
    it, tally = board(NAME), Tally(reports.plan())
    it.begin(NAME)
    counted = Book()
    counted.time(Key("request.duration", "checkout", "pay", "POST", "5xx", "down"), 1)
    vitals = Vitals(cpu=0.2, lag_p99_s=0.001, rss_bytes=10, fds=7)
    tally.add(Progress(0, 0, 1.0, users=3, idle=1, rate=5, book=counted, vitals=vitals))
    it.look(NAME, Live(NAME, "load", at_s=1, wanted=5, users=3, busy=2), tally)

    found = values(it)

    assert found["loadtest_run_active"] == 1
    assert (found["loadtest_users"], found["loadtest_users_max"]) == (3, 200)
    assert found["loadtest_target_rate"] == 5
    assert found["loadtest_requests_total 5xx checkout POST down pay"] == 1
    assert "loadtest_request_duration_seconds_count checkout pay" not in found
    assert found["loadtest_generator_cpu_ratio 0"] == 0.2
    assert (found["loadtest_shards running"], found["loadtest_shards never"]) == (1, 1)


def test_the_end_of_a_run_is_its_report_and_the_next_one_counts_on() -> None:
    it, report = board(NAME), reports.passed()
    for _ in range(2):
        it.begin(NAME)
        it.end(NAME, report)

    found = values(it)

    assert (found["loadtest_run_active"], found["loadtest_users"]) == (0, 0)
    assert (
        found["loadtest_last_run_verdict pass"]
        == found["loadtest_threshold_ok " + report.thresholds[0].expr]
        == 1
    )
    assert found["loadtest_runs_total pass"] == 2
    durations = report.book.durations.items()
    pay = sum(
        h.count for key, h in durations if (key.metric, key.step) == ("request.duration", "pay")
    )
    told = sum(
        value
        for name, value in found.items()
        if name.startswith("loadtest_requests_total") and name.endswith("pay")
    )
    assert told == 2 * pay > 0


def test_a_refused_run_is_counted_by_its_reason() -> None:
    it = board(NAME)
    now = datetime.now(UTC)
    for code in ("busy", "mystery"):
        why = Why(Verdict.REFUSED, code, "want x, got y")
        it.begin(NAME)
        it.end(NAME, LoadReport(NAME, "r", Verdict.REFUSED, 4, (why,), now, now))

    found = values(it)

    assert found["loadtest_refused_total busy"] == found["loadtest_refused_total other"] == 1
    assert found["loadtest_last_run_verdict refused"] == 1


def test_a_run_of_before_is_shown_and_not_counted_and_an_older_one_changes_nothing() -> None:
    it, report = board(NAME), reports.passed()
    it.found(NAME, report, is_new=False)
    older = replace(report, verdict=Verdict.FAIL, started_at=report.started_at - timedelta(1))

    it.found(NAME, older, is_new=True)

    found = values(it)
    assert found["loadtest_last_run_verdict pass"] == 1
    assert (found["loadtest_runs_total pass"], found["loadtest_runs_total fail"]) == (0, 1)


def test_a_scenario_that_leaves_the_file_goes_when_its_run_has_ended() -> None:
    """Parent 6: a reload during a run leaves the run alone."""
    it = board(NAME, "other")
    it.begin(NAME)
    it.set_scenarios({}, frozenset())
    during = it.text(PageQuery()).decode()

    it.end(NAME, None)

    assert 'scenario="other"' not in during
    assert f'loadtest_run_active{{scenario="{NAME}"}} 1' in during
    assert it.text(PageQuery()) == b""


def test_a_family_can_be_asked_for_or_dropped() -> None:
    it = board(NAME)
    asked = it.text(PageQuery(names=frozenset({"loadtest_runs_total"}))).decode()
    it.set_scenarios({NAME: SHOP}, frozenset({"loadtest_runs_total"}))

    assert {line.split("{")[0] for line in asked.splitlines() if line[0] != "#"} == {
        "loadtest_runs_total"
    }
    assert "loadtest_runs_total" not in it.text(PageQuery()).decode()
    assert "loadtest_run_active" in it.text(PageQuery()).decode()


def filled() -> Board:
    made = board(NAME, known=replace(SHOP, compat=("locust", "k6")))
    made.begin(NAME)
    made.end(NAME, reports.stalled())
    made.expect(NAME, datetime(2026, 11, 22, tzinfo=UTC))
    return made


@pytest.mark.parametrize("openmetrics", [False, True])
def test_the_page_of_a_failed_run_holds_every_family_and_is_read_back(*, openmetrics: bool) -> None:
    text = filled().text(PageQuery(openmetrics=openmetrics)).decode()

    found = parsed(text + "# EOF\n" * openmetrics, openmetrics=openmetrics)

    shown = {
        name
        for family in found.values()
        for name in (family.name, f"{family.name}_total", f"{family.name}_info")
    }
    missing = {family.name for family in (*LOAD, *LOCUST, *K6)} - shown
    assert missing == set()


def test_names_of_locust_and_k6_are_shown_where_a_scenario_wants_them() -> None:
    found = values(filled())

    assert found["locust_workers_count"] == 2
    assert found["locust_running"] == 0
    assert found["locust_requests_num_requests POST pay"] > 0
    assert found["locust_errors timeout POST login"] > 0
    assert 0 < found["k6_checks_rate"] < 1
    assert found["k6_iterations_total"] > 0


@pytest.mark.service
def test_the_linter_of_prometheus_finds_nothing_in_our_own_names() -> None:
    it = filled()
    it.set_scenarios({NAME: SHOP}, frozenset())
    done = subprocess.run(
        [find_program("promtool"), "check", "metrics"], input=it.text(PageQuery()),
        capture_output=True, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


def test_a_page_of_200_steps_costs_less_than_50_ms() -> None:
    """load.md 13: while they run, and every histogram has grown since the last scrape."""
    it, tally = board(NAME), Tally(reports.plan())
    it.begin(NAME)
    grown = Book()
    for number in range(200):
        key = Key("request.duration", "checkout", f"step {number}", "GET", "2xx", "up")
        for share in range(300):
            grown.time(key, 0.001 * 1.02**share)
    took: list[float] = []
    page = b""
    for seq in range(5):
        tally.add(Progress(0, seq, seq + 1.0, book=grown, vitals=Vitals()))
        it.look(NAME, Live(NAME, "load", at_s=1), tally)
        it._changed[NAME] = float("-inf")
        began = perf_counter()
        page = it.text(PageQuery())
        took.append(perf_counter() - began)

    assert page.count(b"\n") > 200 * (len(BUCKETS) + 4)
    # the machine of a test is not alone: its best is the cost
    assert min(took) < 0.05


async def test_it_stands_on_the_page_of_the_service_beside_the_probers_own() -> None:
    from concurrent.futures import ThreadPoolExecutor

    own, it = SelfMetrics("1.2.3"), filled()
    own.beside = it.text

    with ThreadPoolExecutor(1) as pool:
        text = (await own.render(PageQuery(), pool)).decode()

    assert "loadtest_last_run_info" in text
    assert "sonde_build_info" in text
    parsed(text, openmetrics=False)
