"""What a request to ``/probe`` asks for, as a value, and how long its answer may take.

Knows no query string, no config and nothing of how a run goes.
"""

import logging
from dataclasses import dataclass
from functools import lru_cache

from probes.units import parse_number, short

log = logging.getLogger("sonde.asked")

DEFAULT_MODULE = "http_2xx"
# blackbox.md 5.3
DEFAULT_TIMEOUT_S = 120.0
MAX_TIMEOUT_S = 600.0
OFFSET_S = 0.5
MIN_TIMEOUT_S = 0.1
# Scrape jobs have a handful of timeouts; what is beyond that comes from somebody who plays.
CACHED_HEADERS = 256
_IGNORED = ("nan", "inf", "infinity")

BAD_REQUEST, FORBIDDEN, NOT_FOUND, ERROR, UNAVAILABLE = 400, 403, 404, 500, 503


class Refused(Exception):
    """A request that is not run; ``status`` is that of HTTP."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked for.

    Args:
        module: its name.
        target: what to check; empty: none was given.
        hostname: name to ask the target for; empty: its own.
        probe: name of a configured probe instead.
        timeout: the header of the scraper, as sent; empty without one.
        debug: whether the account of the run is wanted, not its metrics.
        others: further parameters, of which the first of a name counts.
    """

    module: str = ""
    target: str = ""
    hostname: str = ""
    probe: str = ""
    timeout: str = ""
    debug: bool = False
    others: tuple[tuple[str, str], ...] = ()


def effective_s(header: str, offset_s: float, module_s: float) -> float:
    """Return how long a run may take, in seconds; <= 0: there is no time for one.

    Args:
        header: the timeout of the scraper as it says it; empty: it says none.
        offset_s: what the way back takes.
        module_s: timeout of the module; 0: it has none.

    Raises:
        Refused: the header is no number at all.
    """
    most_s = (_seconds(header) or DEFAULT_TIMEOUT_S) - offset_s
    limit_s = module_s if 0 < module_s < most_s or most_s < 0 else most_s
    return limit_s if limit_s <= 0 else max(limit_s, MIN_TIMEOUT_S)


@lru_cache(CACHED_HEADERS)
def _seconds(text: str) -> float:
    """Return the seconds of a header; 0 for what counts as none."""
    if not text:
        return 0.0
    try:
        seconds = parse_number(text)
    except ValueError:
        if not _is_python(text):
            want = "Failed to parse timeout from Prometheus header: want a number of seconds"
            raise Refused(ERROR, f"{want}, got {short(text)}\n") from None
        seconds = -1.0
    if seconds < 0:
        log.warning("want a scrape timeout of seconds >= 0, got %s: ignored", short(text))
        return 0.0
    return min(seconds, MAX_TIMEOUT_S)


def _is_python(text: str) -> bool:
    """Return whether *text* is no number of ours, but one to ``float``: nan, inf, 1_0."""
    if text.lower().lstrip("+-") in _IGNORED:
        return True
    try:
        parse_number(text.replace("_", ""))
    except ValueError:
        return False
    return True
