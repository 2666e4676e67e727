"""``/probe?module=&target=``: reads the request as a `Question`.

Knows the parameters and the header of a scraper, not what they mean.
"""

from functools import lru_cache
from urllib.parse import parse_qsl, unquote_to_bytes

from exporter.on_demand.question import BAD_REQUEST, DEFAULT_MODULE, Question, Refused

TIMEOUT_HEADER = "x-prometheus-scrape-timeout-seconds"
MAX_PARAMETERS = 100
# A Prometheus asks the same again and again.
CACHED_QUESTIONS = 1024
# Longer queries, of 8 KiB at most, would fill 25 MB.
MAX_CACHED_CHARACTERS = 1024
_OWN = ("module", "target", "hostname", "probe", "debug")


def question_of(query: str, timeout: str | None) -> Question:
    """Read a request.

    Args:
        query: as sent, without the question mark.
        timeout: the header of the scraper, None without one.

    Raises:
        Refused: too many parameters.
    """
    return (_again if len(query) <= MAX_CACHED_CHARACTERS else _read)(query, timeout)


def _read(query: str, timeout: str | None) -> Question:
    found = parameters(query)
    own = {name: found.pop(name, "") for name in _OWN}
    return Question(
        module=own["module"] or ("" if own["probe"] else DEFAULT_MODULE),
        target=unescaped(own["target"]),
        hostname=own["hostname"],
        probe=own["probe"],
        timeout=(timeout or "").strip(),
        debug=own["debug"] == "true",
        others=tuple(found.items()),
    )


_again = lru_cache(CACHED_QUESTIONS)(_read)


def parameters(query: str) -> dict[str, str]:
    """Return the parameters of a query; the first of each name counts.

    Raises:
        Refused: too many of them.
    """
    if query.count("&") >= MAX_PARAMETERS:
        raise Refused(BAD_REQUEST, f"want at most {MAX_PARAMETERS} parameters, got more\n")
    found: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True, errors="replace"):
        found.setdefault(name, value)
    return found


def unescaped(target: str) -> str:
    """Return *target* unescaped once more as a query value, where that works.

    As blackbox_exporter does it: relabelling may have escaped what HTTP escapes again.
    """
    text = target.replace("+", " ")
    if any(not _is_escape(rest) for rest in text.split("%")[1:]):
        return target
    try:
        return unquote_to_bytes(text).decode("utf-8")
    except UnicodeDecodeError:
        return target


def _is_escape(rest: str) -> bool:
    return len(rest) > 1 and all(char in "0123456789abcdefABCDEF" for char in rest[:2])
