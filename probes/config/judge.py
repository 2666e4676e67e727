"""Judges the keys of one probe, module or ``defaults``, and shares equal results.

Ten thousand probes with the same settings are judged once. Knows neither files nor what the keys
of a kind mean.
"""

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from probes.config.journeys import Journeys
from probes.config.mistakes import Layered, Mistakes, Place
from probes.config.sections import (
    CHAIN_HEAD_KEYS,
    COMMON_KEYS,
    DEFAULT_KEYS,
    HEAD_KEYS,
    CommonKeys,
    SafetySettings,
)
from probes.config.wording import got
from probes.families import FREE_LABELS, REFUSED_LABELS, REFUSED_PREFIXES, all_label_names
from probes.kind import Kind
from probes.kinds import find_kind, kind_names, missing_extra
from probes.units import short

_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# metrics.md 2.2
MAX_LABEL_NAME_BYTES = 64
MAX_LABEL_VALUE_BYTES = 128
MAX_LABELS = 10


class Judge:
    """Turns merged values into typed settings, or into mistakes.

    Args:
        mistakes: where they go.
        allowed: third-party kinds that may be imported.
        directory: what relative paths of secret files begin at.
        environ: for ``{env: NAME}``.
    """

    def __init__(
        self,
        mistakes: Mistakes,
        allowed: Collection[str],
        directory: Path,
        environ: Mapping[str, str],
    ) -> None:
        self.secret_files: set[Path] = set()
        """Files that secrets were read from."""
        self.context: dict[str, Any] = {
            "directory": directory,
            "environ": environ,
            "secret_files": self.secret_files,
        }
        self._mistakes = mistakes
        self._journeys: Journeys | None = None
        self._allowed = allowed
        self._kinds: dict[str, type[Kind] | str] = {}
        self._common: dict[str, CommonKeys] = {}
        self._settings: dict[tuple[str, str], Kind] = {}
        self._taken = all_label_names()

    def use(self, journeys: Journeys, safety: SafetySettings) -> None:
        """Let kinds find the *journeys* that they name, and the ceilings of *safety*."""
        self._journeys = journeys
        self.context |= {"journeys": journeys.compiled, "safety": safety}

    def is_broken(self, values: Mapping[str, Any]) -> bool:
        """Return whether a journey that *values* name has mistakes: told where it stands."""
        return self._journeys is not None and self._journeys.is_broken(values.get("journey"))

    @property
    def kinds(self) -> Mapping[str, type[Kind]]:
        """The kinds that were found so far."""
        return {name: kind for name, kind in self._kinds.items() if not isinstance(kind, str)}

    def kind(self, name: object, place: Place) -> type[Kind] | None:
        """Return the class of the kind *name*, which stands at *place*."""
        if not isinstance(name, str):
            self._mistakes.add(place, f"want the name of a kind, got {got(name)}")
            return None
        found = self._kinds.get(name)
        if found is None:
            found = self._kinds[name] = self._find(name)
        if isinstance(found, str):
            self._mistakes.add(place, found)
            return None
        return found

    def groups(self) -> list[str]:
        """Return the names of the kinds that may stand in ``chains``."""
        found = {name: self._find(name) for name in (*kind_names(), *self._allowed)}
        return sorted(
            name for name, kind in found.items() if not isinstance(kind, str) and kind.is_group
        )

    def _find(self, name: str) -> type[Kind] | str:
        try:
            kind = find_kind(name, allowed=self._allowed)
        except ValueError as error:
            return str(error)
        return missing_extra(kind) or kind

    def common(self, data: Layered) -> CommonKeys | None:
        """Return the common keys among *data*; None after a mistake."""
        values = {
            key: value
            for key, value in data.values.items()
            if key in COMMON_KEYS and value is not None
        }
        if isinstance(labels := values.get("labels"), dict):
            # null takes an inherited label away
            values["labels"] = {name: text for name, text in labels.items() if text is not None}
        key = repr(values)
        known = self._common.get(key)
        if known is not None:
            return known
        data = Layered(values, data.places)
        before = len(self._mistakes)
        self._judge_labels(values.get("labels"), data)
        try:
            common = CommonKeys.model_validate(values, context=self.context)
        except ValidationError as error:
            self._mistakes.refuse(error, data, CommonKeys)
            return None
        if len(self._mistakes) == before:
            self._common[key] = common
        return common

    def settings(
        self,
        kind: type[Kind],
        data: Layered,
        title: str,
        *,
        is_module: bool = False,
        in_chains: bool = False,
    ) -> Kind | None:
        """Return *kind* with its settings among *data*; None after a mistake.

        Args:
            kind: whose settings they are.
            data: all keys of the probe or module.
            title: of the probe or module, for a kind that wants to know it.
            is_module: a required key may still come from a probe.
            in_chains: the keys that say what is checked are the kind's own.
        """
        if "journey" in kind.model_fields and self.is_broken(data.values):
            return None
        values = self.own_values(kind, data)
        if kind.named_by is not None and title:
            values.setdefault(kind.named_by, title)
        key = (kind.name, repr(values))
        known = self._settings.get(key)
        if known is not None:
            return known
        try:
            settings = kind.model_validate(values, context=self.context)
        except ValidationError as error:
            self._mistakes.refuse(
                error,
                Layered(values, data.places),
                kind,
                known=_other_keys(is_module=is_module, in_chains=in_chains),
                ignore_missing=is_module,
            )
            return None
        self._settings[key] = settings
        return settings

    def own_values(self, kind: type[Kind], data: Layered) -> dict[str, Any]:
        """Return those of *data* that are for *kind* and not for every probe."""
        return {
            key: value
            for key, value in data.values.items()
            if (key not in COMMON_KEYS or _is_taken_over(key, kind, data))
            and key not in HEAD_KEYS
            # an unknown key stays even when it is empty: it is told
            and (value is not None or key not in kind.model_fields)
        }

    def _judge_labels(self, labels: object, data: Layered) -> None:
        if not isinstance(labels, dict):
            return
        for name, value in labels.items():
            place = data.place_of(("labels", name))
            if text := self._label_name(name):
                self._mistakes.add(place, text, at_key=True)
            if isinstance(value, str) and (text := _label_value(value)):
                self._mistakes.add(place, text)
        if len(labels) > MAX_LABELS:
            place = data.place_of(("labels",))
            self._mistakes.add(place, f"want at most {MAX_LABELS} labels, got {len(labels)}")

    def _label_name(self, name: str) -> str | None:
        """Return why *name* cannot be a label, or None."""
        if not _LABEL_NAME.fullmatch(name) or len(name) > MAX_LABEL_NAME_BYTES:
            return f"want a label name such as 'team' or 'data_center', got {short(name)}"
        if name in FREE_LABELS:
            return None
        if name in self._taken:
            return f"want a free label name, got {name!r} (used by {self._taken[name]})"
        if name in REFUSED_LABELS or name.startswith(REFUSED_PREFIXES):
            return f"want a free label name, got {name!r} (Prometheus and its rules use it)"
        return None


def _is_taken_over(key: str, kind: type[Kind], data: Layered) -> bool:
    """Whether *key* is the kind's own; what ``defaults`` say was meant for the common one."""
    return key in kind.takes_over and data.place_of((key,)).path[:1] != ("defaults",)


def _other_keys(*, is_module: bool, in_chains: bool) -> Collection[str]:
    """Return the keys that may stand beside those of a kind."""
    if is_module:
        return DEFAULT_KEYS
    return COMMON_KEYS | (CHAIN_HEAD_KEYS if in_chains else HEAD_KEYS)


def _label_value(value: str) -> str | None:
    """Return why *value* cannot be a label's value, or None."""
    if len(value.encode("utf-8", "replace")) > MAX_LABEL_VALUE_BYTES:
        return f"want at most {MAX_LABEL_VALUE_BYTES} bytes, got {short(value)}"
    if has_control(value):
        return f"want a text without control characters, got {short(value)}"
    return None


def taken_by_kinds(kinds: Mapping[str, type[Kind]]) -> dict[str, str]:
    """Return the label names that samples of *kinds* declare, each with one family."""
    return {
        label: metric.name
        for kind in kinds.values()
        for metric in kind.metrics
        for label in metric.labels
        if label not in FREE_LABELS
    }


def has_control(text: str) -> bool:
    """Return whether *text* has characters that no name, label or target may have."""
    return _CONTROL.search(text) is not None
