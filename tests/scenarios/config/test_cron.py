"""Cron expressions: what is read, and when the next time is."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.config.cron import parse_cron

BERLIN = ZoneInfo("Europe/Berlin")


def times(text: str, after: str, count: int = 3) -> list[str]:
    """Return the next times in Berlin behind one in UTC."""
    cron, now = parse_cron(text), datetime.fromisoformat(after).replace(tzinfo=UTC)
    found = []
    for _ in range(count):
        following = cron.next_after(now, BERLIN)
        assert following is not None
        assert following > now
        now = following
        found.append(f"{now.astimezone(BERLIN):%m-%d %H:%M%z}")
    return found


@pytest.mark.parametrize(
    ("text", "after", "wanted"),
    [
        pytest.param(
            "17 3 * * 1-5",
            "2026-11-20T12:00",
            ["11-23 03:17+0100", "11-24 03:17+0100"],
            id="weekdays",
        ),
        pytest.param(
            "0 3 1 * mon",
            "2026-03-29T12:00",
            ["03-30 03:00+0200", "04-01 03:00+0200"],
            id="either day",
        ),
        pytest.param(
            "0 0 29 2 *",
            "2026-03-01T00:00",
            ["02-29 00:00+0100", "02-29 00:00+0100"],
            id="leap days",
        ),
        pytest.param("5 4 * * 7", "2026-11-21T12:00", ["11-22 04:05+0100"], id="Sunday is 7"),
        pytest.param(
            "0 9 * * fri-mon",
            "2026-11-18T12:00",
            [
                "11-20 09:00+0100",
                "11-21 09:00+0100",
                "11-22 09:00+0100",
                "11-23 09:00+0100",
                "11-27 09:00+0100",
            ],
            id="over the end of the week",
        ),
        pytest.param(
            "30 2 * * *",
            "2026-03-28T12:00",
            ["03-29 03:30+0200", "03-30 02:30+0200"],
            id="a time that the clock skips comes later",
        ),
        pytest.param(
            "30 2 * * *",
            "2026-10-24T12:00",
            ["10-25 02:30+0200", "10-26 02:30+0100"],
            id="a time that comes twice counts once",
        ),
        pytest.param(
            "0 * * * *",
            "2026-10-24T23:30",
            ["10-25 02:00+0200", "10-25 02:00+0100", "10-25 03:00+0100"],
            id="each hour is each hour",
        ),
        pytest.param(
            "*/20 1,3 * jan-feb *",
            "2026-01-01T00:10",
            ["01-01 01:20+0100", "01-01 01:40+0100", "01-01 03:00+0100"],
            id="steps and lists",
        ),
    ],
)
def test_the_next_time_is_the_local_one(text: str, after: str, wanted: list[str]) -> None:
    assert times(text, after, len(wanted)) == wanted


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("* * * *", "want five cron fields such as '17 3 * * 1-5', got '* * * *'"),
        ("@daily", "want five cron fields such as '17 3 * * 1-5', got '@daily'"),
        (5, "want five cron fields such as '17 3 * * 1-5', got 5"),
        ("60 * * * *", "want 0-59, a list, a-b or */n as the minute, got '60'"),
        ("* 5-3 * * *", "want 0-23, a list, a-b or */n as the hour, got '5-3'"),
        ("* * L * *", "want 1-31, a list, a-b or */n as the day, got 'l'"),
        ("* * * 13 *", "want 1-12 or jan-dec, a list, a-b or */n as the month, got '13'"),
        ("* * * * mo", "want 0-7 or sun-sat, a list, a-b or */n as the weekday, got 'mo'"),
        ("*/0 * * * *", "want 0-59, a list, a-b or */n as the minute, got '*/0'"),
        ("1,,2 * * * *", "want 0-59, a list, a-b or */n as the minute, got ''"),
        ("0 0 30 2 *", "want a day that comes, got '0 0 30 2 *': no month has it"),
    ],
)
def test_what_is_no_expression_is_refused(text: object, said: str) -> None:
    with pytest.raises(ValueError, match=r"^want ") as caught:
        parse_cron(text)

    assert str(caught.value) == said


@given(
    st.integers(0, 59),
    st.integers(0, 23),
    st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2040, 1, 1)),  # noqa: DTZ001 - UTC below
)
def test_a_daily_run_comes_once_a_day(minute: int, hour: int, now: datetime) -> None:
    """Data 7: on the days too when the clock changes."""
    cron = parse_cron(f"{minute} {hour} * * *")
    first = cron.next_after(now.replace(tzinfo=UTC), BERLIN)
    assert first is not None
    second = cron.next_after(first, BERLIN)
    assert second is not None

    assert timedelta(hours=22) < second - first < timedelta(hours=26)
    assert (second.astimezone(BERLIN).date() - first.astimezone(BERLIN).date()).days == 1
