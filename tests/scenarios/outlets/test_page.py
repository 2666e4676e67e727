"""The page of a load run: complete, by itself, and of a bounded size."""

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from scenarios.book import Book, Key
from scenarios.outlets.markdown import to_markdown
from scenarios.outlets.page import POLICY, to_html
from scenarios.plan import Stage
from scenarios.report import LoadReport, Second
from tests.scenarios.outlets.test_cleaning import Skeleton
from tests.scenarios.reports import EVERY, closed, half_lost, passed, plan, refused, small, stalled

MAKERS = {**EVERY, "small": small, "closed": closed}
OUTSIDE = re.compile(r"https?://(?!shop\.)|src=|href=|@import|url\(|<script|javascript:")


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_the_page_is_whole_and_needs_nothing_from_outside(make: Callable[[], LoadReport]) -> None:
    page = to_html(make())

    names = [it for it in Skeleton(page).found if it[0] in ("script", "link", "img", "iframe")]
    assert names == []
    assert OUTSIDE.findall(page) == []
    assert page.index(POLICY) < page.index("<style>")
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    wanted = re.findall(r'<svg[^>]* aria-labelledby="([^ "]+) ([^ "]+)"', page)
    assert len(wanted) == page.count('role="img"')
    assert {it for title_and_text in wanted for it in title_and_text} <= set(ids)


def test_a_usual_run_fits_in_eighty_kilobytes() -> None:
    sizes = {name: len(to_html(make()).encode()) for name, make in EVERY.items()}

    assert max(sizes.values()) <= 80_000
    assert sizes["refused"] < 12_000


def hours(number: int) -> LoadReport:
    made = passed()
    seconds = [
        replace(made.timeline[at % 120], at=at, is_measured=True) for at in range(number * 3600)
    ]
    stages = (Stage(number * 3600, 20, 20),)
    return replace(made, timeline=tuple(seconds), seconds=3600.0 * number, plan=plan(stages=stages))


def test_a_run_of_hours_makes_no_larger_page() -> None:
    page = to_html(hours(6))

    assert len(page) <= 80_000
    assert ">6:00:00<" in page


def test_two_hundred_steps_make_a_page_that_is_still_read() -> None:
    book = Book()
    for number in range(200):
        key = Key("request.duration", "all", f"step-{number:03}", "GET", "2xx", "up")
        for at in range(40):
            book.time(key, 0.001 * 1.2**at)

    page = to_html(replace(passed(), book=book, plan=None))

    assert page.count("<code>step-") == 60
    assert "and 140 more, see result.json" in page
    assert len(page) < 150_000


def test_the_parts_of_a_failed_run() -> None:
    page = to_html(stalled())

    heads = re.findall(r"<h[1-3]>([^<]+)<", page)
    assert heads == [
        "shop-evening", "Thresholds", "Rate", "Latency", "Failed requests", "Virtual users",
        "Generator CPU", "Generator lag", "Steps", "Errors", "Baseline", "Generators", "Conditions",
    ]  # fmt: skip
    assert "✗ breach" in page
    assert "2 of 6 do not hold" in page
    assert "16.4 times as bad: regression" in page
    assert "good requests, log scale" in page
    assert '<span class="lim" style="bottom:' in page


def test_where_nothing_went_well_there_is_no_percentile_of_nought() -> None:
    book = Book()
    key = Key("request.duration", "checkout", "pay", "POST", "5xx", "down")
    book.time(key, 0.1)
    book.count(key._replace(metric="request.failed", reason="status"))
    report = replace(stalled(), book=book)

    tiles = to_html(report).partition('<dl class="tiles">')[2].partition("</dl>")[0]
    p95 = to_markdown(report).partition("p95 **")[2].partition("**")[0]

    assert tiles.count("<dd>–</dd><dd>p99 –</dd>") == 2  # noqa: RUF001 - no value
    assert p95 == "–"  # noqa: RUF001 - no value


def test_what_is_broken_is_not_told_by_its_colour_alone() -> None:
    bad = re.findall(r'class="tile bad"><dt>(.*?)</dt>', to_html(stalled()))

    assert bad
    assert all(it.startswith("✗ ") for it in bad)


def test_a_refused_run_shows_no_empty_parts() -> None:
    page = to_html(refused())

    assert re.findall(r"<h[1-3]>([^<]+)<", page) == ["shop-evening", "Conditions"]
    assert "want --yes-load shop.example for a protected host, got none" in page
    assert "192.0.2.10, 2001:db8::10" in page


def test_a_lost_generator_stands_where_it_was_lost() -> None:
    page = to_html(half_lost())

    assert page.count('<span class="mk left" style="left:59.17%">generator 1 lost</span>') == 6
    assert "? no data" in page


def test_a_closed_run_shows_users_that_were_wanted_and_no_drops() -> None:
    page = to_html(closed())

    assert "Dropped" not in page
    assert "iterations ended" in page
    assert "from its due time" not in page


@pytest.mark.parametrize(
    "timeline",
    [
        pytest.param((Second(0),), id="one empty second"),
        pytest.param((Second(7, p50=0.0, p95=0.0, p99=0.0, rate=0.0),), id="nothing but zeros"),
        pytest.param(
            tuple(Second(at, p50=1e-6, p95=10.0**at, p99=3600.0) for at in range(4)),
            id="from a microsecond to an hour",
        ),
        pytest.param(
            tuple(Second(at, requests=10**9, users=10**6, cpu=1.0) for at in range(2)), id="huge"
        ),
        pytest.param(tuple(Second(at, is_measured=False) for at in range(9)), id="all warm-up"),
        pytest.param(
            tuple(Second(at, p95=0.1 if at % 2 else None) for at in range(9)), id="gaps everywhere"
        ),
    ],
)
def test_odd_timelines_make_sound_pages(timeline: tuple[Second, ...]) -> None:
    page = to_html(replace(small(), timeline=timeline))

    assert Skeleton(page).found
    assert not re.search(r"\b(nan|inf|None)\b", page.partition("</style>")[2])
    for number in re.findall(r"(?:left|bottom|width):([^;%]+)%", page.partition("</style>")[2]):
        assert 0 <= float(number) <= 100


def test_series_are_told_apart_and_described_in_words() -> None:
    page = to_html(passed())

    (rate,) = re.findall(r'<desc id="d-rate">([^<]+)</desc>', page)
    assert "started: 1/s to 40/s" in rate
    assert "dropped: 0/s to 0/s" in rate
    for shape in ("line", "dash", "area", "band", "bars"):
        assert f'class="k {shape}' in page
