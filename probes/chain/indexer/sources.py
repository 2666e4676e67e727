"""Asks an indexer how far it is: over HTTP, or by the kind that speaks to its database.

The I/O shell of `probes.chain.indexer.judge`. Knows no verdict.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from probes.chain.answer.classify import classify_get
from probes.chain.answer.quantity import quantity
from probes.chain.indexer.judge import Reading, read_document
from probes.chain.indexer.settings import IndexerKeys, Selector
from probes.chain.reasons import ChainReason, Finding
from probes.chain.settings import endpoint_url, header_pairs
from probes.chain.talk import MAX_BODY_BYTES, Answer
from probes.errors import CheckFailed
from probes.kind import Kind
from probes.recorder import Recorder
from probes.result import Outcome, Reason
from probes.units import parse_number, short
from probes.wire.address import ANY_IP, IpChoice, literal_address
from probes.wire.http.options import HTTP1_ALPN, Options
from probes.wire.jsonrpc import Line, Reply
from probes.wire.tls.settings import TlsOptions

FindKind = Callable[[str], type[Kind]]
# A status has a few hundred bytes. A hostile one is parsed and searched in one turn of the loop:
# 1 MiB of empty objects took 3 s for a path with ``..``, 8 MiB half a minute (2026-11).
MAX_STATUS_BYTES = 64 * 1024
# An exposition page of a large indexer is longer than a JSON answer; it is searched, not parsed.
MAX_PAGE_BYTES = 8 * MAX_BODY_BYTES
# What only a database says; the rest are faults of a transport.
_DATABASE_REASONS = {
    Reason.AUTH: ChainReason.AUTH_FAILED,
    Reason.STATUS: ChainReason.METHOD_ERRORS,
    Reason.VALUE: ChainReason.METHOD_ERRORS,
}


class Source:
    """Where one indexer tells its progress.

    Args:
        keys: of the file.
        find: the registry of kinds, for ``source: sql``.
        tls: how its server is verified when its own keys do not say.
        ip: which address of a name is dialled.
    """

    def __init__(
        self, keys: IndexerKeys, find: FindKind, tls: TlsOptions, ip: IpChoice = ANY_IP
    ) -> None:
        self.keys = keys
        self._sql = _sql_kind(keys, find) if keys.asked_by == "sql" else None
        self._options = Options(ip=ip, tls=keys.tls or tls, alpn=HTTP1_ALPN, follow_redirects=False)

    async def read(self, recorder: Recorder, timeout_s: float) -> Reading:
        """Ask once; what goes wrong is in the `Reading`.

        Args:
            recorder: of this indexer alone.
            timeout_s: seconds it may take.
        """
        try:
            if self._sql is None:
                return await self._ask_server(recorder, timeout_s)
            async with asyncio.timeout(timeout_s):
                return await self._ask_database(self._sql, recorder)
        except TimeoutError:
            where = f" in phase {recorder.phase_name}" if recorder.phase_name else ""
            text = f"want an answer within {timeout_s:g} s, got none{where}"
            return Reading(finding=Finding(ChainReason.TIMEOUT, Outcome.DOWN, text))
        except CheckFailed as failure:
            reason = _DATABASE_REASONS.get(failure.reason)
            if reason is not None:
                text, phase = failure.message, failure.phase
                return Reading(finding=Finding(reason, Outcome.DOWN, text, phase, failure.reason))
            # the classifier turns it into words of the chain, as for any endpoint
            return _unread(classify_get(Reply(failure=failure)))

    async def _ask_server(self, recorder: Recorder, timeout_s: float) -> Reading:
        keys = self.keys
        if keys.url is None:
            raise CheckFailed(Reason.CONFIG, "want url for an indexer, got none")
        url = endpoint_url(keys.url.get_secret_value())
        if literal_address(url.host, url.port) is None:
            # as of an endpoint, its name in the file is all that is shown
            recorder.hide(url.host)
        is_page = keys.asked_by == "prometheus"
        line = Line(
            url,
            recorder,
            self._options,
            headers=header_pairs(
                {"Accept": "text/plain"} if is_page else {}, keys.headers, keys.auth
            ),
            call_timeout_s=timeout_s,
            retries=0,
        )
        try:
            if keys.asked_by == "graphql":
                body: dict[str, Any] = {"query": keys.told("query")}
                if keys.subgraph:
                    body["variables"] = {"name": keys.subgraph}
                reply = await line.post(json.dumps(body).encode(), max_body=MAX_STATUS_BYTES)
            else:
                limit = MAX_PAGE_BYTES if is_page else MAX_STATUS_BYTES
                reply = await line.get("", max_body=limit)
        finally:
            line.close()
        # a page is no JSON, and to find that out takes as long as it is
        answer = classify_get(replace(reply, body=b"") if is_page else reply)
        if not answer.ok:
            return _unread(answer)
        return _on_page(keys, reply.body) if is_page else _understood(keys, answer.result)

    async def _ask_database(self, kind: Kind, recorder: Recorder) -> Reading:
        if self.keys.target is None:
            raise CheckFailed(Reason.CONFIG, "want target for source: sql, got none")
        await kind.run(self.keys.target.get_secret_value(), recorder)
        value = recorder.facts.get("value")
        if value is None:
            text = "want the height in the first column of the first row, got no row"
            return Reading(finding=Finding(ChainReason.INVALID_RESPONSE, Outcome.DOWN, text))
        return _height(value.strip("'\""))


def _sql_kind(keys: IndexerKeys, find: FindKind) -> Kind:
    """Return the kind that runs the query.

    Raises:
        ValueError: no such kind, or one without a query.
    """
    kind = find(keys.kind)
    if "query" not in kind.model_fields:
        raise ValueError(f"want a kind with a query such as postgres, got {keys.kind!r}")
    made = kind.model_validate({"query": keys.query})
    if keys.target is not None:
        made.check_target(keys.target.get_secret_value())
    return made


def _unread(answer: Answer) -> Reading:
    reason = answer.reason or ChainReason.INVALID_RESPONSE
    is_ours = answer.cause is not None and answer.cause.is_own_fault
    outcome = Outcome.UNKNOWN if is_ours else Outcome.DOWN
    return Reading(finding=Finding(reason, outcome, answer.detail, answer.phase, answer.cause))


def _on_page(keys: IndexerKeys, page: bytes) -> Reading:
    value = Selector(keys.height).select(page)
    return _invalid(f"want the series {keys.height}, got none") if value is None else _height(value)


def _understood(keys: IndexerKeys, document: Any) -> Reading:
    if not isinstance(document, dict | list):
        return _invalid("want JSON, got other text")
    if message := _graphql_error(document):
        text = f"want data, got the error {short(message)}"
        return Reading(finding=Finding(ChainReason.INDEXER_UNHEALTHY, Outcome.DOWN, text))
    try:
        return read_document(keys, document)
    except ValueError as error:
        return _invalid(str(error))


def _graphql_error(document: Any) -> str:
    """Return the first error of a GraphQL answer that has no data."""
    errors = document.get("errors") if isinstance(document, dict) else None
    if not isinstance(errors, list) or not errors or document.get("data"):
        return ""
    first = errors[0]
    message = first.get("message") if isinstance(first, Mapping) else first
    return message if isinstance(message, str) and message else "one without a message"


def _height(text: str) -> Reading:
    """Read a height that may be written as ``1.2e+07``, as exposition pages do."""
    try:
        return Reading(height=quantity(text))
    except ValueError:
        pass
    try:
        value = parse_number(text)
    except ValueError:
        return _invalid(f"want a height, got {short(text)}")
    if value < 0 or value != int(value):
        return _invalid(f"want a height, got {short(text)}")
    return Reading(height=int(value))


def _invalid(text: str) -> Reading:
    return Reading(finding=Finding(ChainReason.INVALID_RESPONSE, Outcome.DOWN, text))
