"""Thresholds as people of k6, Gatling and Locust write them, in the words of ours.

    http_req_duration: p(95)<200          p95(request.duration) < 200ms
    http_req_failed: rate<0.01            rate(request.failed) < 1%
    global.successfulRequests.percent.gt(99)    rate(request.failed) < 1%

For messages alone: nothing is taken for what it may mean. Pure. Knows no grammar of ours.
"""

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

# foreign word -> metric; the first that a text holds counts. A ! says: of those that went well.
_METRICS: Mapping[str, str] = {
    "http_req_failed": "request.failed",
    "http_reqs": "throughput",
    "http_req_": "request.duration",
    "grpc_req_duration": "request.duration",
    "iteration_duration": "iteration.duration",
    "dropped_iterations": "iteration.dropped",
    "iterations": "throughput",
    "checks": "!request.failed",
    "data_received": "data.received",
    "data_sent": "data.sent",
    "responsetime": "request.duration",
    "response_time": "request.duration",
    "failedrequests": "request.failed",
    "successfulrequests": "!request.failed",
    "requestspersec": "throughput",
    "fail_ratio": "request.failed",
    "p(": "request.duration",
}
_OPS: Mapping[str, str] = {"lt": "<", "lte": "<=", "gt": ">", "gte": ">=", "is": "=="}
# whoever wants many to go well wants few to fail
_TURNED: Mapping[str, str] = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_UNITS: Mapping[str, str] = {"throughput": "/s", "data.received": "B", "data.sent": "B"}
_SHARES = frozenset({"request.failed", "iteration.dropped"})
_COMPARED = re.compile(
    r"(?:(?P<op>[<>]=?|==)|\.(?P<word>lte?|gte?|is)\()\s*(?P<number>[0-9]{1,12}(?:\.[0-9]{1,9})?)"
    r"\s*(?P<unit>ms|s|%)?",
    re.ASCII,
)
_PERCENTILE = re.compile(r"(?:\bp|percentile)\(?([0-9]{1,3}(?:\.[0-9])?)", re.ASCII)
# of Gatling, as it is shipped
_NUMBERED: Mapping[str, str] = {"1": "50", "2": "75", "3": "95", "4": "99"}
_MAX_CHARACTERS = 200
_WHOLE = 100


def translated(text: str) -> str | None:
    """Return what *text* would be as a threshold of ours; None: it is of no known dialect."""
    text = text.lower() if len(text) <= _MAX_CHARACTERS else ""
    found = _COMPARED.search(text)
    metric = next((it for word, it in _METRICS.items() if word in text), None)
    if found is None or metric is None:
        return None
    is_turned, metric = metric.startswith("!"), metric.removeprefix("!")
    op = found["op"] or _OPS[found["word"]]
    aggregate = _aggregate(metric, text[: found.start()])
    try:
        number = Decimal(found["number"])
    except InvalidOperation:
        return None
    unit = _UNITS.get(metric, "")
    if aggregate == "rate":
        # a share of one, unless it says per cent
        unit, number = "%", number if "percent" in text or found["unit"] else number * _WHOLE
        if is_turned:
            op, number = _TURNED.get(op, op), _WHOLE - number
    elif metric.endswith("duration"):
        unit = found["unit"] or "ms"
    return f"{aggregate}({metric}) {op} {_plain(number)}{unit}"


def _aggregate(metric: str, text: str) -> str:
    if metric in _SHARES:
        return "count" if "count" in text or metric == "iteration.dropped" else "rate"
    if metric == "throughput":
        return "avg"
    if metric.startswith("data."):
        return "sum"
    if found := _PERCENTILE.search(text):
        return f"p{_NUMBERED.get(found[1], found[1])}"
    words = {"med": "p50", "avg": "avg", "mean": "avg", "max": "max", "min": "min"}
    return next((it for word, it in words.items() if word in text), "p95")


def _plain(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
