"""Asks a Prometheus server for one number: thresholds of the form ``promql(...) < 1``.

Source:
    https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries

An error, an empty vector, more than one series and NaN are no data: each says why. Knows no
threshold.
"""

import asyncio
import base64
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from probes.errors import CheckFailed
from probes.jsonpath import parse_json
from probes.recorder import Recorder
from probes.units import format_duration, parse_number, short
from probes.wire.http.exchange import exchange
from probes.wire.http.message import Limits, Request, Response
from probes.wire.http.options import HTTP1_ALPN, Options
from probes.wire.url import Url, parse_url

# One number; a vector of thousands of series is a mistake in the query.
MAX_ANSWER_BYTES = 1024 * 1024
# A run may have hundreds of such thresholds: the server answers others too.
MAX_AT_ONCE = 4
_OK = 200
# Vectors and scalars are pairs of a time and a text.
_PAIR = 2


@dataclass(frozen=True, slots=True)
class Answer:
    """What Prometheus said.

    Args:
        query: that was asked.
        value: finite; None: no data.
        why: there is none.
    """

    query: str
    value: float | None
    why: str = ""


async def ask(base: str, query: str, timeout_s: float) -> Answer:
    """Ask the server below the URL *base* for the value of *query*, now."""
    try:
        url = parse_url(f"{base.rstrip('/')}/api/v1/query")
    except ValueError as error:
        return Answer(query, None, str(error))
    where = f"{url.scheme}://{url.authority}"
    try:
        async with asyncio.timeout(timeout_s):
            response = await _post(url, query, timeout_s)
    except TimeoutError:
        return Answer(
            query, None, f"want an answer of {where} within {format_duration(timeout_s)}, got none"
        )
    except CheckFailed as failed:
        return Answer(query, None, f"{where}: {failed.message}")
    try:
        return Answer(query, _value(response))
    except ValueError as error:
        return Answer(query, None, f"{where}: {error}")


async def ask_all(base: str, queries: Iterable[str], timeout_s: float) -> tuple[Answer, ...]:
    """Ask several, a few at the same time; answers in the order of the questions."""
    gate = asyncio.Semaphore(MAX_AT_ONCE)

    async def one(query: str) -> Answer:
        async with gate:
            return await ask(base, query, timeout_s)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(query)) for query in queries]
    return tuple(task.result() for task in tasks)


async def _post(url: Url, query: str, timeout_s: float) -> Response:
    headers = [
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Accept", "application/json"),
    ]
    if url.user or url.password:
        pair = base64.b64encode(f"{url.user}:{url.password}".encode()).decode()
        headers.append(("Authorization", f"Basic {pair}"))
    # a form: long queries do not fit into a URL
    body = urlencode({"query": query, "timeout": f"{math.ceil(timeout_s)}s"}).encode()
    request = Request(url, "POST", tuple(headers), body)
    options = Options(
        limits=Limits(max_body=MAX_ANSWER_BYTES), alpn=HTTP1_ALPN, follow_redirects=False
    )
    deadline = asyncio.get_running_loop().time() + timeout_s
    response = await exchange(request, Recorder(deadline), options)
    response.check()
    return response


def _value(response: Response) -> float:
    """Return the one number of an answer.

    Raises:
        ValueError: there is not exactly one.
    """
    try:
        document = parse_json(response.body.data)
    except ValueError:
        if response.status != _OK:
            raise ValueError(f"want status 200, got {response.status_line}") from None
        raise
    if not isinstance(document, dict) or document.get("status") != "success":
        told = document.get("error") if isinstance(document, dict) else None
        what = short(told) if told else response.status_line
        raise ValueError(f"want a result, got {what}")
    return _number(document.get("data"))


def _number(data: Any) -> float:
    data = data if isinstance(data, dict) else {}
    kind, result = data.get("resultType"), data.get("result")
    if kind == "vector" and isinstance(result, list):
        if len(result) != 1:
            raise ValueError(f"want one series, got {len(result)}")
        result = result[0].get("value") if isinstance(result[0], dict) else None
    elif kind != "scalar":
        raise ValueError(f"want a vector or a scalar, got {short(kind)}")
    if not (isinstance(result, list) and len(result) == _PAIR and isinstance(result[1], str)):
        raise ValueError(f"want a time and a value, got {short(result)}")
    return parse_number(result[1])
