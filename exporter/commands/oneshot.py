"""One probe made of the words of a command line: ``sonde probe http https://... --set k=v``.

Knows the form of the words; what they mean is judged by the kind.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from probes.config.document import load_document
from probes.config.wording import findings
from probes.errors import ConfigError, Problem
from probes.kinds import find_kind, missing_extra
from probes.probe import Probe
from probes.units import short

NAME = "command-line"
_WHERE = "--set"


def probe_from_words(kind: str, target: str, settings: Sequence[str], timeout_s: float) -> Probe:
    """Return the probe that the words describe.

    Args:
        kind: name of the kind.
        target: what to check.
        settings: ``key=value`` each; a dotted key reaches into a group, a value is YAML.
        timeout_s: seconds the run may take.

    Raises:
        ConfigError: every mistake, told with the word it stands in.
    """
    try:
        found = find_kind(kind)
    except ValueError as error:
        raise ConfigError([Problem("KIND", 0, 0, "", str(error))]) from None
    if missing := missing_extra(found):
        raise ConfigError([Problem("KIND", 0, 0, "", missing)])
    values = _settings(settings)
    problems: list[Problem] = []
    try:
        checker = found.model_validate(values, context={"directory": Path()})
    except ValidationError as error:
        problems += [
            Problem(_WHERE, 0, 0, ".".join(map(str, finding.path)), finding.message)
            for finding in findings(error, values, found)
        ]
    else:
        try:
            checker.check_target(target)
        except ValueError as error:
            problems.append(Problem("TARGET", 0, 0, "", str(error)))
        else:
            return Probe(name=NAME, kind=checker, target=target, timeout_s=timeout_s)
    raise ConfigError(problems)


def _settings(words: Sequence[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not key:
            # what stands behind a forgotten = may be a secret
            raise ConfigError([Problem(_WHERE, 0, 0, "", f"want KEY=VALUE, got {short(key[:20])}")])
        group = values
        *path, last = key.split(".")
        for step in path:
            inner = group.setdefault(step, {})
            if not isinstance(inner, dict):
                message = f"want a group of keys before {last!r}, got a value"
                raise ConfigError([Problem(_WHERE, 0, 0, step, message)])
            group = inner
        group[last] = _value(text)
    return values


def _value(text: str) -> Any:
    """Read a value as YAML does, ``200`` as a number and ``{gt: 3}`` as a mapping; else as text."""
    document = load_document(text.encode("utf-8", "surrogateescape"), _WHERE)
    return text if document.problems else document.value
