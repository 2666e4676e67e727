"""Cron expressions of five fields: read strictly, and when the next time is.

    minute hour day month weekday      17 3 * * 1-5

As crontab(5) has it: when both day fields are restricted either suffices, Sunday is 0 and 7. Every
time is local: one that a change of the clock skips comes as much later as the clock was put
forward; one that comes twice counts once, unless the hour is ``*``. Pure. Knows no schedule.

Source:
    https://man7.org/linux/man-pages/man5/crontab.5.html
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from probes.units import short

FIELDS = ("minute", "hour", "day", "month", "weekday")
EXAMPLE = "17 3 * * 1-5"
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_RANGES: Mapping[str, tuple[int, int]] = {
    "minute": (0, 59), "hour": (0, 23), "day": (1, 31), "month": (1, 12), "weekday": (0, 7),
}  # fmt: skip
_NAMES: Mapping[str, Mapping[str, int]] = {
    "month": {name: at for at, name in enumerate(_MONTHS, 1)},
    "weekday": {name: at for at, name in enumerate(_WEEKDAYS)},
}
_ITEM = re.compile(
    r"(?:(?P<all>\*)|(?P<first>[a-z]{3}|[0-9]{1,2})(?:-(?P<last>[a-z]{3}|[0-9]{1,2}))?)"
    r"(?:/(?P<step>[0-9]{1,2}))?",
    re.ASCII,
)
_MAX_CHARACTERS = 200
# The longest a day of a month may have: 30 February never comes.
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_DAYS_OF_WEEK = 7
# 29 February on a given weekday comes at the latest after 40 years: 1900, 2100 have none.
_MAX_DAYS = 41 * 366


@dataclass(frozen=True, slots=True)
class Cron:
    """An expression, read.

    Args:
        text: as it was written.
        minutes, hours, days, months, weekdays: that match; Sunday is 0.
        either: whether a day suffices that matches one of the two day fields.
        every_hour: whether the hour was ``*``.
    """

    text: str
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool
    every_hour: bool

    def next_after(self, now: datetime, zone: tzinfo) -> datetime | None:
        """Return the first time later than *now*, in UTC; None: there is none.

        Args:
            now: aware.
            zone: of the fields.
        """
        # a time of yesterday that the clock has skipped may come today
        day = now.astimezone(zone).date() - timedelta(days=1)
        for _ in range(_MAX_DAYS):
            if self._is_meant(day):
                later = [it for it in self._times(day, zone) if it > now]
                if later:
                    return min(later)
            day += timedelta(days=1)
        return None

    def _is_meant(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        is_day, is_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return is_day or is_weekday if self.either else is_day and is_weekday

    def _times(self, day: date, zone: tzinfo) -> Iterator[datetime]:
        for hour in self.hours:
            for minute in self.minutes:
                local = datetime.combine(day, time(hour, minute), zone)
                yield local.astimezone(UTC)
                if self.every_hour:
                    yield local.replace(fold=1).astimezone(UTC)


def parse_cron(text: object) -> Cron:
    """Read an expression.

    Raises:
        ValueError: it is none, or its day never comes.
    """
    fields: list[str] = []
    if isinstance(text, str) and len(text) <= _MAX_CHARACTERS:
        fields = text.lower().split()
    if not isinstance(text, str) or len(fields) != len(FIELDS):
        raise ValueError(f"want five cron fields such as '{EXAMPLE}', got {short(text)}")
    minutes, hours, days, months, weekdays = (
        _field(name, field) for name, field in zip(FIELDS, fields, strict=True)
    )
    cron = Cron(
        text=" ".join(text.split()),
        minutes=tuple(sorted(minutes)),
        hours=tuple(sorted(hours)),
        days=frozenset(days),
        months=frozenset(months),
        weekdays=frozenset(day % _DAYS_OF_WEEK for day in weekdays),
        either=not (fields[2].startswith("*") or fields[4].startswith("*")),
        every_hour=fields[1] == "*",
    )
    if not cron.either and all(min(days) > _LONGEST[month - 1] for month in months):
        raise ValueError(f"want a day that comes, got {short(cron.text)}: no month has it")
    return cron


def _field(name: str, text: str) -> set[int]:
    found: set[int] = set()
    for item in text.split(","):
        match = _ITEM.fullmatch(item)
        if match is None:
            raise _refused(name, item)
        found.update(_item(name, item, match))
    return found


def _item(name: str, item: str, match: re.Match[str]) -> Iterator[int]:
    low, high = _RANGES[name]
    step = int(match["step"]) if match["step"] else 1
    if match["all"]:
        first, last = low, min(high, 6) if name == "weekday" else high
    else:
        first = _number(name, item, match["first"])
        last = _number(name, item, match["last"]) if match["last"] else first
        if match["step"] and not match["last"]:
            last = min(high, 6) if name == "weekday" else high
        if name == "weekday" and last < first:
            last += _DAYS_OF_WEEK  # fri-mon
    if step == 0 or last < first or (match["step"] and step > high):
        raise _refused(name, item)
    yield from range(first, last + 1, step)


def _number(name: str, item: str, text: str) -> int:
    low, high = _RANGES[name]
    value = int(text) if text.isdecimal() else _NAMES.get(name, {}).get(text, -1)
    if not low <= value <= high:
        raise _refused(name, item)
    return value


def _refused(name: str, item: str) -> ValueError:
    low, high = _RANGES[name]
    named = {"month": " or jan-dec", "weekday": " or sun-sat"}.get(name, "")
    return ValueError(
        f"want {low}-{high}{named}, a list, a-b or */n as the {name}, got {short(item)}"
    )
