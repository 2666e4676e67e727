"""The verdict of a run that nobody scrapes: as a textfile, or pushed to a Pushgateway.

Knows the form of the page and how it gets there; the group of families is load.md 9.2's. Never
imports prometheus_client: a gate starts without it.

Source:
    https://github.com/prometheus/pushgateway (PUT /metrics/job/...),
    https://github.com/prometheus/node_exporter (textfile collector)
"""

import asyncio
import base64
from urllib.parse import quote

from exporter.exposition.blocks import heads
from exporter.loads.verdicts import lines_of, of_report
from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.redact import display_target
from probes.units import short
from probes.wire.http.exchange import exchange
from probes.wire.http.message import Limits, Request
from probes.wire.http.options import HTTP1_ALPN, Options
from probes.wire.url import Url, parse_url
from scenarios.report import LoadReport

# A gateway that does not answer must not hold a gate up.
PUSH_S = 10.0
# Its answer is empty or a line that says why.
MAX_ANSWER_BYTES = 64 * 1024
JOB = "sonde_load"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
ACCEPTED = frozenset({200, 202})


def page(report: LoadReport) -> str:
    """Return the verdict group of a run as text of Prometheus."""
    parts: list[str] = []
    for family, samples in of_report(report):
        if lines := lines_of(report.scenario, family, samples):
            parts += (heads(family.name, family.type, family.help)[0].decode(), lines)
    return "".join(parts)


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
