"""A request as Python code asks for it becomes a step without expressions.

Whatever the code says is meant as it stands: ``${`` in a text is no expression. Knows no answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from pydantic import ValidationError

from probes.errors import CheckFailed
from probes.journey.language.expression import Template, Tree, literal
from probes.journey.language.extract import Extract, ExtractKeys
from probes.journey.language.judge import Expect, ExpectKeys, compile_expect
from probes.journey.steps import Body, Common, HttpStep
from probes.pattern import suggest
from probes.result import Reason
from probes.units import MAX_DURATION_S, short

METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
Expectation = int | str | Sequence[int | str] | Mapping[str, Any]
"""A status (``200``, ``"2xx"``, ``[200, 404]``), or the mapping that ``expect:`` takes in YAML."""


class Keys(TypedDict, total=False):
    """What a request may have, by keyword."""

    params: Mapping[str, Any]
    """Added to the query; a list stands for its name several times."""
    headers: Mapping[str, str]
    """Over those of ``http:``."""
    json: Any
    """Body, sent as JSON; ``form`` and ``body`` are the other two."""
    form: Mapping[str, Any]
    """Body, sent as the fields of a form."""
    body: str
    """Body as it is."""
    timeout: float
    """Seconds for one request, all of it."""
    redirects: int
    """Hops at most; 0 gives the redirect itself."""
    expect: Expectation
    """What fails the step; by default a status of 2xx."""
    warn: Expectation
    """What degrades the run."""
    extract: Mapping[str, Any]
    """Name -> ``$.path``, ``{"regex": ...}``, ``{"css": ...}`` ... as in YAML."""


@dataclass(slots=True)
class Defaults:
    """What every request takes over."""

    headers: tuple[tuple[str, str], ...] = ()
    timeout_s: float = 5.0
    redirects: int = 5
    max_body: int = 2 * 1024 * 1024


def http_step(name: str, method: str, url: str, keys: Keys, defaults: Defaults) -> HttpStep:
    """Return the step of a request.

    Raises:
        CheckFailed: ``config``: the code asks for what there is not.
    """
    for key in keys:
        if key not in Keys.__annotations__:
            text = f"want a key of a request, got {key!r}{suggest(key, Keys.__annotations__)}"
            raise CheckFailed(Reason.CONFIG, text)
    headers = keys.get("headers") or {}
    own = {name.lower() for name in headers}
    inherited = [pair for pair in defaults.headers if pair[0].lower() not in own]
    redirects = keys.get("redirects")
    return HttpStep(
        common=Common(name),
        method=_method(method),
        url=Template(literal(url)),
        params=tuple((key, _tree(value)) for key, value in (keys.get("params") or {}).items()),
        headers=tuple(
            (key, Template(literal(str(value)))) for key, value in (*inherited, *headers.items())
        ),
        inherited=frozenset(key for key, _ in inherited),
        body=_body(keys),
        timeout_s=_seconds(keys.get("timeout"), defaults.timeout_s),
        redirects=defaults.redirects if redirects is None else redirects,
        max_body=defaults.max_body,
        expect=_expect(keys.get("expect"), "expect") or Expect.status_2xx(),
        warn=_expect(keys.get("warn"), "warn"),
        extract=_extracts(keys.get("extract") or {}),
    )


def _body(keys: Keys) -> Body | None:
    made: list[Body] = []
    if "json" in keys:
        made.append(Body("json", _tree(keys["json"])))
    if (form := keys.get("form")) is not None:
        made.append(Body("form", _tree(form)))
    if (text := keys.get("body")) is not None:
        made.append(Body("text", _tree(text)))
    if len(made) > 1:
        raise CheckFailed(Reason.CONFIG, "want one of json, form and body, got several")
    return made[0] if made else None


def _seconds(value: Any, default_s: float) -> float:
    if value is None:
        return default_s
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not (0 < value <= MAX_DURATION_S)
    ):
        raise CheckFailed(Reason.CONFIG, f"want a timeout in seconds, got {short(value)}")
    return float(value)


def _method(method: str) -> str:
    found = str(method).upper()
    if found not in METHODS:
        raise CheckFailed(Reason.CONFIG, f"want a method such as GET, got {short(method)}")
    return found


def _tree(value: Any) -> Tree:
    """Return a value without expressions: what the code says is meant as it stands."""
    return Tree(_literal(value))


def _literal(value: Any) -> Any:
    if isinstance(value, str):
        return literal(value)
    if isinstance(value, Mapping):
        return {str(key): _literal(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_literal(item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    raise CheckFailed(Reason.CONFIG, f"want what JSON can say, got {short(type(value).__name__)}")


def _expect(value: Expectation | None, word: str) -> Expect | None:
    if value is None:
        return None
    try:
        keys = ExpectKeys.model_validate(_literal(value))
        return compile_expect(keys, wants_2xx=word == "expect")
    except ValidationError as error:
        raise CheckFailed(Reason.CONFIG, f"{word}: {_told(error)}") from None
    except ValueError as error:
        raise CheckFailed(Reason.CONFIG, f"{word}: {error}") from None


def _extracts(wanted: Mapping[str, Any]) -> tuple[Extract, ...]:
    made: list[Extract] = []
    for name, source in wanted.items():
        spelled = {"json": source} if isinstance(source, str) else source
        try:
            made.append(Extract(name, source, ExtractKeys.model_validate(spelled)))
        except ValidationError as error:
            raise CheckFailed(Reason.CONFIG, f"extract.{name}: {_told(error)}") from None
    return tuple(made)


def _told(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(map(str, first["loc"]))
    text = first["msg"].removeprefix("Value error, ")
    return f"{where}: {text}" if where else text
