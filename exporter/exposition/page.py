"""One Result as a page of its own: what ``/probe`` and ``sonde probe --output prometheus`` say.

    render_result ── plain samples ──> lines known by their sample
                  ── the others ─────> lines known by all of them together

A target that works says nearly the same in each run, and a page is asked for thousands of times:
what was said before is not worded again. Knows neither the labels of a probe nor a request.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache

from exporter.exposition.blocks import decimal, heads, number
from exporter.exposition.catalogue import DURATION, FAILURE_INFO, OUTCOME, SUCCESS, TIMEOUT
from exporter.exposition.series import NO_LABELS, Shape, outcome_lines, sample_lines, shape_of
from probes.families import BLACKBOX_BY_NAME
from probes.kind import Kind, Metric
from probes.result import Outcome, Result, Sample

# Of one kind: most samples have few values; what always differs (seconds) passes through.
MAX_LINES = 4096
# Certificates and versions of the targets of one kind.
MAX_GROUPS = 512
# Of what whole runs have measured: against an address nothing of it differs from run to run, with a
# name the time of its resolution does.
MAX_WHOLE = 256
# A kind, and each set of metrics that its settings name; what a page has said is kept with it.
KEPT_PAGES = 64


def render_result(
    result: Result, kind: Kind, timeout_s: float | None = None, *, is_strict: bool = False
) -> bytes:
    """Return one Result as a page of text 0.0.4, without the labels of a probe.

    Args:
        result: of any outcome; ``probe_success`` is 0 after unknown here, as blackbox_exporter's.
        kind: what checked.
        timeout_s: that was in force; None leaves ``probe_timeout_seconds`` out.
        is_strict: for a module with ``compat: strict``.
    """
    return _pages_of(type(kind), kind.named_metrics, is_strict).render(result, timeout_s)


class _Pages:
    """The pages of one kind with some settings.

    Args:
        shape: of its samples.
    """

    def __init__(self, shape: Shape) -> None:
        known = {**BLACKBOX_BY_NAME, **shape.by_name}
        known |= {family.name: family for family in (OUTCOME, FAILURE_INFO)}
        self._shape = shape
        self._heads: Mapping[str, str] = {
            it.name: heads(it.name, it.type, it.help)[0].decode() for it in known.values()
        }
        self._always = {name: f"{self._heads[name]}{name} 0\n" for name in shape.always}
        self._lines: dict[Sample, str] = {}
        self._groups: dict[tuple[Sample, ...], str] = {}
        self._whole: dict[tuple[Sample, ...], str] = {}

    def render(self, result: Result, timeout_s: float | None) -> bytes:
        """Return the page of *result*."""
        heads, phases = self._heads, self._shape.phases
        parts = [
            f"{heads[SUCCESS.name]}{SUCCESS.name} {int(result.ok)}\n",
            f"{heads[DURATION.name]}{DURATION.name} {decimal(result.seconds)}\n",
        ]
        if timeout_s is not None:
            parts.append(f"{heads[TIMEOUT.name]}{TIMEOUT.name} {number(timeout_s)}\n")
        parts.append(self._measured(result))
        if told := phases.text(result.phases, NO_LABELS.more):
            parts += (heads[phases.family.name], told)
        for name, text in outcome_lines(result, NO_LABELS).items():
            parts += (heads[name], text)
        return "".join(parts).encode()

    def _measured(self, result: Result) -> str:
        """Return the lines of all samples of *result*."""
        if self._shape.is_strict:
            return self._joined_lines(result)  # they depend on more than the samples
        key = result.samples
        try:
            text = self._whole.get(key)
        except TypeError:
            return self._joined_lines(result)
        if text is None:
            if len(self._whole) >= MAX_WHOLE:
                self._whole.clear()
            text = self._whole[key] = self._joined_lines(result)
        return text

    def _joined_lines(self, result: Result) -> str:
        parts = list[str]()
        known, told, others = self._lines, dict[str, None](), list[Sample]()
        for sample in result.samples:
            name = sample[0]
            try:
                line = known.get(sample)
            except TypeError:  # what a kind of others has recorded cannot even be hashed
                line = ""
            if line is None:
                line = self._line(sample)
            if not line:
                others.append(sample)
            elif name not in told:  # of two the first counts
                told[name] = None
                parts.append(line)
        names = {self._shape.families[name].name for name in told}
        parts += [text for name, text in self._always.items() if name not in names]
        if others or self._shape.is_strict:
            parts.append(self._others(result, others, names))
        return "".join(parts)

    def _line(self, sample: Sample) -> str:
        """Return head and line of a sample; empty when it does not stand alone."""
        is_grouped = bool(sample.labels) or sample.name in self._shape.grouped
        lost: list[str] = []
        text = "" if is_grouped else self._joined(self._worded((sample,), lost))
        text = "" if lost else text
        if len(self._lines) >= MAX_LINES:
            self._lines.clear()
        self._lines[sample] = text
        return text

    def _others(self, result: Result, samples: Sequence[Sample], names: set[str]) -> str:
        """Return the lines of all samples that do not stand alone."""
        if self._shape.is_strict:
            # what is missing is judged by all that is there
            lines = sample_lines(result, self._shape, NO_LABELS, _drop)
            lines.pop(self._shape.phases.family.name, None)
            told = names | self._always.keys()
            return self._joined({key: it for key, it in lines.items() if key not in told})
        key = tuple(samples)
        try:
            text = self._groups.get(key)
        except TypeError:
            return self._grouped(key)
        if text is None:
            if len(self._groups) >= MAX_GROUPS:
                self._groups.clear()
            text = self._groups[key] = self._grouped(key)
        return text

    def _grouped(self, samples: tuple[Sample, ...]) -> str:
        # of those that are always told nothing but what is broken comes here
        lines = self._worded(samples, [])
        return self._joined({name: it for name, it in lines.items() if name not in self._always})

    def _worded(self, samples: tuple[Sample, ...], lost: list[str]) -> dict[str, str]:
        """Return the lines of these samples alone; why one has none is added to *lost*."""
        result = _NOTHING._replace(samples=samples)
        lines = sample_lines(result, self._shape, NO_LABELS, lambda reason, _: lost.append(reason))
        families = self._shape.families
        own = {families[it.name].name for it in samples if it.name in families}
        return {name: text for name, text in lines.items() if name in own}

    def _joined(self, lines: Mapping[str, str]) -> str:
        return "".join(f"{self._heads[name]}{text}" for name, text in lines.items())


@lru_cache(KEPT_PAGES)
def _pages_of(
    kind: type[Kind],
    named: tuple[Metric, ...],
    is_strict: bool,  # noqa: FBT001 - in each request
) -> _Pages:
    return _Pages(shape_of(kind, named, is_strict=is_strict))


def _drop(_reason: str, _count: int) -> None:
    """Drop what a page of one run has no place for: nobody counts it."""


_NOTHING = Result("", "", "", Outcome.UP, datetime.min.replace(tzinfo=UTC), 0.0)
