"""Groups of recording and alerting rules as values, and as the text that Prometheus reads.

Knows no rule and no metric.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import yaml

Severity = Literal["critical", "warning", "info"]


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording rule, named ``level:metric:operations``."""

    record: str
    expr: str

    def as_dict(self) -> dict[str, Any]:
        """Return the form of the file."""
        return {"record": self.record, "expr": _text(self.expr)}


@dataclass(frozen=True, slots=True)
class Alert:
    """An alerting rule.

    Args:
        name: in CamelCase, unique over all packs.
        expr: PromQL.
        lasts: how long it must hold, such as ``5m``; empty: not at all.
        severity: of the label.
        summary: one line; may hold ``{{ $labels.x }}``.
        description: what it means and where to look first.
        labels: more labels.
    """

    name: str
    expr: str
    lasts: str
    severity: Severity
    summary: str
    description: str
    labels: Mapping[str, str] = field(default_factory=dict[str, str])

    def as_dict(self, runbooks: str = "") -> dict[str, Any]:
        """Return the form of the file; *runbooks* is the page whose sections are the alerts."""
        annotations = {"summary": self.summary, "description": self.description}
        if runbooks:
            annotations["runbook_url"] = f"{runbooks}#{self.name.lower()}"
        held = {"for": self.lasts} if self.lasts else {}
        return {
            "alert": self.name,
            "expr": _text(self.expr),
            **held,
            "labels": {"severity": self.severity, **self.labels},
            "annotations": annotations,
        }


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that are evaluated one after the other."""

    name: str
    rules: Sequence[Recording | Alert]


def _text(expr: str) -> str:
    """Return an expression as it is written: one of several lines keeps them."""
    return expr.strip() + ("\n" if "\n" in expr.strip() else "")


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, as people do."""


def _represent(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent)


def as_yaml(groups: Iterable[Group], *, head: str = "", runbooks: str = "") -> str:
    """Return a rule file; the same groups give the same bytes.

    Args:
        groups: of all packs.
        head: first line, without ``# ``.
        runbooks: page whose sections are the alerts.
    """
    document = {
        "groups": [
            {
                "name": group.name,
                "rules": [
                    rule.as_dict(runbooks) if isinstance(rule, Alert) else rule.as_dict()
                    for rule in group.rules
                ],
            }
            for group in groups
            if group.rules
        ]
    }
    text = yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=1000, allow_unicode=True)
    return f"# {head}\n{text}" if head else text
