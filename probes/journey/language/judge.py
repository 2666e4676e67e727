"""What the answer to a step should be, and where it is not: ``expect``, ``warn`` and ``until``.

    expect:
      status: 2xx
      headers: {content-type: {contains: json}}
      json: {$.items: {size: {gte: 1}}, $.owner: "${user_id}"}
      body: {not_contains: stack trace}
      css: {h1: Welcome, .item: {size: 3}}
      duration: {lt: 800ms}

Everything is compiled once; only matchers with ``${}`` in them are made anew for each answer. Pure
judgement over a `View`: knows neither how it came here nor what a miss means for a run.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, model_validator

from probes.errors import CheckFailed
from probes.expect import JsonPathText, Statuses
from probes.journey.language.expression import Scope
from probes.journey.language.view import View, check_selector
from probes.journey.language.wish import CssWish, DurationWish, Wish
from probes.jsonpath import json_path
from probes.matcher import MISSING, Nodes
from probes.result import Failure, Reason
from probes.settings import Settings
from probes.units import short
from probes.wire.http_check.answer import miss_in_header

PASSED = "passed"
FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What an expectation says of an answer.

    Args:
        failure: the first miss; None when all hold. Its phase is None.
        counts: ``(expect, "passed" | "failed") -> number``.
    """

    failure: Failure | None = None
    counts: Mapping[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])

    @property
    def missed(self) -> str:
        """Which kind of expectation was missed first."""
        return next((word for word, how in self.counts if how == FAILED), "body")


def _selector(text: str) -> str:
    check_selector(text)
    return text


class ExpectKeys(Settings):
    """What an answer should be; a bare ``200``, ``2xx`` or list is its status."""

    status: Statuses | None = None
    """Status codes: ``200``, ``2xx``, ``200-299``, a list, or ``{not: 5xx}``."""
    headers: dict[str, Wish] = Field(default={})
    """Header -> what one of its values must be."""
    header: dict[str, Wish] = Field(default={})
    """The same as ``headers``; one of both."""
    json_: dict[JsonPathText, Wish] = Field(default={}, alias="json")
    """JSONPath -> what must stand there."""
    body: Wish | None = None
    """What the decoded body must be, as text: ``{contains: healthy}``, ``{matches: "^ok"}``."""
    css: dict[Annotated[str, AfterValidator(_selector)], CssWish] = Field(default={})
    """CSS selector -> what the texts of its elements must be: ``size`` and ``exists`` judge how
    many there are, ``ne`` and ``not_...`` must hold for each text, all else for one of them."""
    duration: DurationWish | None = None
    """How long the answer may take, redirects included: ``800ms`` or ``{lt: 800ms}``; of a poll,
    its last attempt."""

    @model_validator(mode="before")
    @classmethod
    def _bare_is_status(cls, data: Any) -> Any:
        return {"status": data} if isinstance(data, int | str | list) else data

    @model_validator(mode="after")
    def _one_spelling(self) -> Self:
        if self.header and self.headers:
            raise ValueError("want headers or header, got both")
        return self


Check = Callable[[View, Scope, float], Failure | None]


class Expect:
    """Status, headers, body, JSON and duration that are wanted, compiled once."""

    __slots__ = ("_checks", "_head", "_keys", "_passed", "reads")

    reads: frozenset[str]

    def __init__(self, keys: ExpectKeys) -> None:
        self._keys = keys
        self._head = tuple(_checks_of_head(keys))
        self._checks = (*self._head, *_checks_of_body(keys))
        passed: dict[tuple[str, str], int] = {}
        for word, _ in self._checks:
            passed[word, PASSED] = passed.get((word, PASSED), 0) + 1
        self._passed = Judgement(counts=passed)
        wishes: list[Wish | CssWish] = [*keys.headers.values(), *keys.header.values()]
        wishes += [*keys.json_.values(), *keys.css.values()]
        wishes += [keys.body] if keys.body is not None else []
        self.reads = frozenset().union(*(wish.reads for wish in wishes))

    @classmethod
    def status_2xx(cls) -> Self:
        """Return what a step expects that says nothing."""
        return cls(ExpectKeys(status=Statuses("2xx")))

    @classmethod
    def anything(cls) -> Self:
        """Return what is met by everything."""
        return cls(ExpectKeys())

    def bound(self, scope: Scope) -> "Expect":
        """Return it with every expression filled in, for who judges later.

        Raises:
            Unset, ValueError: of an expression in it.
        """
        if not self.reads:
            return self
        keys = self._keys
        update: dict[str, object] = {
            name: {key: wish.bound(scope) for key, wish in getattr(keys, name).items()}
            for name in ("headers", "header", "json_", "css")
        }
        update["body"] = None if keys.body is None else keys.body.bound(scope)
        return Expect(keys.model_copy(update=update))

    def judge(self, view: View, scope: Scope, seconds: float) -> Judgement:
        """Judge an answer that took *seconds*.

        Raises:
            Unset, ValueError: of an expression in it.
        """
        return self._judge(self._checks, view, scope, seconds)

    def judge_head(self, view: View, scope: Scope) -> Judgement:
        """Judge status and headers alone, of an answer whose body broke off.

        Raises:
            Unset, ValueError: as `judge`.
        """
        return self._judge(self._head, view, scope, 0.0)

    def _judge(
        self, checks: tuple[tuple[str, Check], ...], view: View, scope: Scope, seconds: float
    ) -> Judgement:
        missed: list[tuple[str, Failure]] = []
        for word, check in checks:
            failure = check(view, scope, seconds)
            if failure is not None:
                missed.append((word, failure))
        if not missed and checks is self._checks:
            return self._passed
        counts: dict[tuple[str, str], int] = {}
        for word, _ in checks:
            counts[word, PASSED] = counts.get((word, PASSED), 0) + 1
        for word, _ in missed:
            counts[word, PASSED] -= 1
            counts[word, FAILED] = counts.get((word, FAILED), 0) + 1
        counts = {key: number for key, number in counts.items() if number}
        return Judgement(missed[0][1] if missed else None, counts)


def compile_expect(keys: ExpectKeys, *, wants_2xx: bool = False) -> Expect:
    """Compile what the file says.

    Args:
        keys: as read.
        wants_2xx: no ``status`` means 2xx, as for the ``expect`` of a request; else it means any.
    """
    if wants_2xx and keys.status is None:
        keys = keys.model_copy(update={"status": Statuses("2xx")})
    return Expect(keys)


def _checks_of_head(keys: ExpectKeys) -> list[tuple[str, Check]]:
    checks: list[tuple[str, Check]] = []
    if keys.status is not None:
        checks.append(("status", _status(keys.status)))
    headers = {**keys.headers, **keys.header}
    return [*checks, *(("header", _header(name, wish)) for name, wish in headers.items())]


def _checks_of_body(keys: ExpectKeys) -> list[tuple[str, Check]]:
    checks: list[tuple[str, Check]] = [
        ("json", _json(path, wish)) for path, wish in keys.json_.items()
    ]
    if keys.body is not None:
        checks.append(("body", _body(keys.body)))
    checks += [("body", _css(selector, wish)) for selector, wish in keys.css.items()]
    if keys.duration is not None:
        checks.append(("duration", _duration(keys.duration)))
    return checks


def _status(wanted: Statuses) -> Check:
    def check(view: View, scope: Scope, seconds: float) -> Failure | None:  # noqa: ARG001 - a Check
        if wanted.admits(view.status):
            return None
        return Failure(Reason.STATUS, f"want status {wanted}, got {view.status or 'none'}")

    return check


def _header(name: str, wish: Wish) -> Check:
    def check(view: View, scope: Scope, seconds: float) -> Failure | None:  # noqa: ARG001 - a Check
        miss = miss_in_header(wish.matcher(scope), view.header(name))
        return None if miss is None else Failure(Reason.BODY, f"header {name}: {miss}")

    return check


def _json(text: str, wish: Wish) -> Check:
    path = json_path(text)
    select, is_singular = path.select, path.singular

    def check(view: View, scope: Scope, seconds: float) -> Failure | None:  # noqa: ARG001 - a Check
        try:
            document = view.document()
        except ValueError as error:
            return _no_json(view, error)
        try:
            nodes = select(document)
        except CheckFailed as failed:
            return Failure(failed.reason, failed.message)
        value: Any = (nodes[0] if nodes else MISSING) if is_singular else Nodes(nodes)
        miss = wish.matcher(scope).miss(value)
        return None if miss is None else Failure(Reason.BODY, f"{text}: {miss}")

    return check


def _no_json(view: View, error: ValueError) -> Failure:
    # load.md 14: 204 without a body is an answer as good as any, only not the one that is wanted
    if not view.body:
        return Failure(Reason.BODY, "want a JSON body, got an empty one")
    return Failure(Reason.PROTOCOL, f"want a JSON body, got {short(str(error))}")


def _body(wish: Wish) -> Check:
    def check(view: View, scope: Scope, seconds: float) -> Failure | None:  # noqa: ARG001 - a Check
        miss = wish.matcher(scope).miss(view.text)
        return None if miss is None else Failure(Reason.BODY, f"body: {miss}")

    return check


def _css(selector: str, wish: CssWish) -> Check:
    def check(view: View, scope: Scope, seconds: float) -> Failure | None:  # noqa: ARG001 - a Check
        try:
            texts = view.css(selector, None)
        except ValueError as error:
            return Failure(Reason.TOO_LARGE, str(error))
        miss = wish.miss(texts, scope)
        return None if miss is None else Failure(Reason.BODY, f"css {selector}: {miss}")

    return check


def _duration(wish: DurationWish) -> Check:
    def check(view: View, scope: Scope, seconds: float) -> Failure | None:  # noqa: ARG001 - a Check
        miss = wish.miss(seconds)
        return None if miss is None else Failure(Reason.LATENCY, miss)

    return check
