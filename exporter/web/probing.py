"""``/probe?module=&target=``: reads the request, and how long its answer may take.

Knows the parameters and the header of a scraper, not what is run.
"""

import logging
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote_to_bytes

from exporter.web.limits import REQUEST_S
from probes.units import parse_number, short

log = logging.getLogger("sonde.web")

DEFAULT_MODULE = "http_2xx"
TIMEOUT_HEADER = "x-prometheus-scrape-timeout-seconds"
# blackbox.md 5.3
DEFAULT_TIMEOUT_S = 120.0
# The server cuts a request off there; blackbox_exporter has no such limit, and no scraper waits.
MAX_TIMEOUT_S = REQUEST_S - 1.0
OFFSET_S = 0.5
MIN_TIMEOUT_S = 0.1
MAX_PARAMETERS = 100
# Of blackbox_exporter; named here so that nobody believes they had an effect.
LATER = ("debug", "hostname")
_IGNORED = ("nan", "inf", "infinity")


class BadRequest(ValueError):
    """A request that cannot be understood; ``status`` is that of HTTP."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for; ``limit_s`` seconds at most, <= 0: there is no time at all."""

    module: str
    target: str
    limit_s: float


def wanted(query: str, timeout: str | None) -> Wanted:
    """Read a request.

    Args:
        query: as sent, without the question mark.
        timeout: the header of the scraper, None without one.

    Raises:
        BadRequest: something that is missing, broken, or not there yet.
    """
    if query.count("&") >= MAX_PARAMETERS:
        raise BadRequest(400, f"want at most {MAX_PARAMETERS} parameters, got more")
    found: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True, errors="replace"):
        found.setdefault(name, value)
    for name in LATER:
        if name in found:
            raise BadRequest(400, f"want no {name}, got one: this version has no such feature yet")
    limit_s = scrape_limit_s(timeout)
    target = found.get("target", "")
    if not target:
        raise BadRequest(400, "Target parameter is missing")
    return Wanted(found.get("module") or DEFAULT_MODULE, _unescaped(target), limit_s)


def _unescaped(target: str) -> str:
    """Return *target* unescaped once more, as blackbox_exporter does, where that works."""
    try:
        return unquote_to_bytes(target).decode("utf-8")
    except UnicodeDecodeError:
        return target


def scrape_limit_s(header: str | None) -> float:
    """Return how long the answer may take: the time of the scraper, less what the way back takes.

    Raises:
        BadRequest: no number at all.
    """
    seconds = _seconds((header or "").strip())
    if not seconds:
        seconds = DEFAULT_TIMEOUT_S
    limit = min(seconds, MAX_TIMEOUT_S) - OFFSET_S
    return limit if limit <= 0 else max(limit, MIN_TIMEOUT_S)


def _seconds(text: str) -> float:
    if not text:
        return 0.0
    try:
        seconds = parse_number(text)
    except ValueError:
        if text.lower().lstrip("+-") not in _IGNORED and "_" not in text:
            want = "Failed to parse timeout from Prometheus header: want a number of seconds"
            raise BadRequest(500, f"{want}, got {short(text)}") from None
        seconds = -1.0
    if seconds < 0:
        log.warning("want a scrape timeout of seconds >= 0, got %s: ignored", short(text))
        return 0.0
    return seconds
