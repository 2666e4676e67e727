"""The verdict of a run that nobody scrapes: as a textfile, or pushed to a Pushgateway.

Knows the form of the page and how it gets there; the group of families is load.md 9.2's. Never
imports prometheus_client: a gate starts without it.

Source:
    https://github.com/prometheus/pushgateway (PUT /metrics/job/...),
    https://github.com/prometheus/node_exporter (textfile collector)
"""

import asyncio
import base64
from collections.abc import Iterable, Iterator
from urllib.parse import quote

from exporter.blocks import heads, label_text, moment, number
from probes.errors import CheckFailed
from probes.families import Family
from probes.recorder import Recorder
from probes.redact import display_target
from probes.units import short
from probes.wire.http import HTTP1_ALPN, Options, exchange
from probes.wire.message import Limits, Request
from probes.wire.url import Url, parse_url
from scenarios.report import LoadReport, Verdict

# A gateway that does not answer must not hold a gate up.
PUSH_S = 10.0
# Its answer is empty or a line that says why.
MAX_ANSWER_BYTES = 64 * 1024
JOB = "sonde_load"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
ACCEPTED = frozenset({200, 202})
# load.md 9.2: the normalised expression, cut.
MAX_THRESHOLD = 128
QUANTILES = (0.5, 0.9, 0.95, 0.99)

Samples = Iterable[tuple[tuple[str, ...], float]]

VERDICT = Family(
    "loadtest_last_run_verdict", "1 for the verdict of the last run, else 0", ("verdict",)
)
STARTED = Family(
    "loadtest_last_run_start_timestamp_seconds", "When the last run began, as Unix time"
)
ENDED = Family("loadtest_last_run_end_timestamp_seconds", "When the last run ended, as Unix time")
INFO = Family(
    "loadtest_last_run_info",
    "Identity of the last run",
    ("run_id", "git_ref", "config_hash"),
    "info",
)
VALUE = Family(
    "loadtest_threshold_value", "Value of a threshold; absent without data", ("threshold",)
)
LIMIT = Family("loadtest_threshold_limit", "Limit of a threshold, in its unit", ("threshold",))
IS_OK = Family(
    "loadtest_threshold_ok", "1 if a threshold held, 0 if not or without data", ("threshold",)
)
QUANTILE = Family(
    "loadtest_last_run_quantile_seconds",
    "Quantile of the measured requests of the last run that were up or degraded",
    ("step", "quantile"),
)
BEFORE = Family("loadtest_baseline_value", "Value of a statistic in the baseline", ("stat",))
RATIO = Family(
    "loadtest_regression_ratio", "By what share a statistic is worse than the baseline", ("stat",)
)


def page(report: LoadReport) -> str:
    """Return the verdict group of a run as text of Prometheus."""
    parts: list[str] = []
    for family, samples in _group(report):
        lines = [
            f"{family.name}{{{_labels(report, family, values)}}} {_written(family, value)}"
            for values, value in samples
        ]
        if lines:
            head = heads(family.name, family.type, family.help)[0].decode()
            parts.append(head + "\n".join(lines) + "\n")
    return "".join(parts)


def _labels(report: LoadReport, family: Family, values: tuple[str, ...]) -> str:
    return label_text(
        (("scenario", report.scenario), *zip(family.labels, values, strict=True)), MAX_THRESHOLD
    )


def _written(family: Family, value: float) -> str:
    return moment(value) if family.name.endswith("_timestamp_seconds") else number(value)


def _group(report: LoadReport) -> Iterator[tuple[Family, Samples]]:
    yield VERDICT, [((it.value,), float(it is report.verdict)) for it in Verdict]
    yield STARTED, [((), report.started_at.timestamp())]
    yield ENDED, [((), report.ended_at.timestamp())]
    yield INFO, [((report.run_id, report.git_ref, report.config_hash), 1.0)]
    told = {it.expr: it for it in reversed(report.thresholds)}
    judged = [((expr,), it) for expr, it in reversed(told.items())]
    yield VALUE, [(key, it.value) for key, it in judged if it.value is not None]
    yield LIMIT, [(key, it.limit) for key, it in judged]
    yield IS_OK, [(key, float(it.result == "ok")) for key, it in judged]
    yield QUANTILE, list(_quantiles(report))
    stats = report.comparison.stats if report.comparison is not None else ()
    yield BEFORE, [((it.stat,), it.before) for it in stats if it.before is not None]
    yield RATIO, [((it.stat,), it.ratio) for it in stats if it.ratio is not None]


def _quantiles(report: LoadReport) -> Samples:
    book = report.book
    steps = sorted({key.step for key in book.durations if key.metric == "request.duration"})
    for step in steps:
        found = book.timed("request.duration", step=step, outcome="up", measured=True)
        found.merge(book.timed("request.duration", step=step, outcome="degraded", measured=True))
        if found.count:
            for share in QUANTILES:
                yield (step, number(share)), found.quantile(share)


def address(text: str, scenario: str) -> Url:
    """Return where the group of *scenario* is put, below the URL of a Pushgateway.

    Raises:
        ValueError: no URL, or one with a query.
    """
    try:
        url = parse_url(text)
    except ValueError as error:
        raise ValueError(f"--push: {error}") from None
    if "?" in url.path_query:
        raise ValueError(f"want the URL of a Pushgateway, got {short(display_target(text))}")
    base = text.rstrip("/")
    if "/metrics/job" not in url.path_query:
        base += f"/metrics/job/{JOB}"
    return parse_url(f"{base}/scenario/{quote(scenario, safe='')}")


async def push(url: Url, text: str) -> str | None:
    """Replace the group at *url*; return why that failed."""
    headers = [("Content-Type", CONTENT_TYPE)]
    if url.user or url.password:
        pair = base64.b64encode(f"{url.user}:{url.password}".encode()).decode()
        headers.append(("Authorization", f"Basic {pair}"))
    request = Request(url, "PUT", tuple(headers), text.encode())
    options = Options(
        limits=Limits(max_body=MAX_ANSWER_BYTES), alpn=HTTP1_ALPN, follow_redirects=False
    )
    where = f"{url.scheme}://{url.authority}"
    try:
        async with asyncio.timeout(PUSH_S):
            deadline = asyncio.get_running_loop().time() + PUSH_S
            answer = await exchange(request, Recorder(deadline), options)
    except TimeoutError:
        return f"want {where} to take the verdict, got no answer within {PUSH_S:g} s"
    except CheckFailed as failed:
        return f"want {where} to take the verdict, got {failed.message} ({failed.reason})"
    if answer.status not in ACCEPTED:
        return f"want {where} to take the verdict, got {answer.status_line}"
    return None
