"""What the tests of pages share: a kind with every sort of sample, Results of it, pages as text."""

import gzip
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from prometheus_client import Metric as Parsed
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.exposition.scrape import PageQuery
from exporter.metrics import MetricsOptions, MetricsSink, SelfMetrics
from exporter.on_demand.plans import Plan, Source, digest_of
from exporter.on_demand.recent import Recent
from probes.kind import Kind, Metric
from probes.probe import Probe
from probes.result import Failure, Outcome, Phase, Reason, Result, Sample
from probes.wire.policy import Policy

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HTTP_PHASES = ("resolve", "connect", "tls", "processing", "transfer")


class Web(Kind):
    """A kind with the compatible families of http, and a sample of each other sort."""

    name = "web"
    metrics = (
        Metric("http_status_code", "overridden by the table"),
        Metric("http_ssl", "overridden by the table"),
        Metric("failed_due_to_regex", "overridden by the table"),
        Metric("web_body_bytes", "Length of the body"),
        Metric("web_hits_total", "Hits at the target", type="counter"),
        Metric("web_pool_size", "Connections by state", ("state",)),
        Metric("web_part_up", "Parts of the target", ("part",), dynamic=True),
        Metric("web_server_info", "Name of the server", ("server",), dynamic=True),
    )
    phase_family = "http_duration_seconds"
    phases = HTTP_PHASES


class Plain(Kind):
    """A kind without a compatible phase family."""

    name = "plain"
    metrics = (Metric("plain_banner_bytes", "Length of the banner"),)
    phases = ("connect", "banner")


def probe(name: str = "frontend", kind: Kind | None = None, **fields: Any) -> Probe:
    """Return a probe of the kind `Web`."""
    kind = kind or Web()
    return Probe(name=name, kind=kind, target=fields.pop("target", "http://example.org/"), **fields)


def up(name: str = "frontend", *samples: Sample, **fields: Any) -> Result:
    """Return a Result that is up."""
    fields.setdefault("outcome", Outcome.UP)
    return Result(
        probe=name,
        kind=fields.pop("kind", "web"),
        target="http://example.org/",
        started_at=fields.pop("started_at", NOW),
        seconds=fields.pop("seconds", 0.25),
        samples=samples,
        **fields,
    )


def down(name: str = "frontend", reason: Reason = Reason.REFUSED, **fields: Any) -> Result:
    """Return a Result that is not up; of the prober's own reasons it is unknown."""
    outcome = Outcome.UNKNOWN if reason.is_own_fault else Outcome.DOWN
    failure = Failure(reason, "want a connection, got none", "connect")
    return up(
        name, outcome=outcome, failure=failure, phases=(Phase("connect", 0.1, False),), **fields
    )


def plan_of(target: str, module: str = "m") -> Plan:
    """Return what was run when somebody asked for *target*."""
    kind = Plain()
    probe = Probe("asked", kind, target, module=module)
    return Plan(probe, Policy(), Source(kind, module), digest_of(target))


def kept(limit: int, *results: Result) -> Recent:
    """Return the history behind these runs."""
    recent = Recent(limit)
    for result in results:
        recent.add(plan_of(result.target), result, 5.0)
    return recent


def sink_of(*probes: Probe, options: MetricsOptions | None = None, **clocks: Any) -> MetricsSink:
    """Return a sink with these probes registered."""
    own = SelfMetrics("1.2.3")
    sink = MetricsSink(own, options, **clocks)
    own.bind_sink(sink)
    sink.set_probes(probes)
    return sink


def shown(sink: MetricsSink) -> str:
    """Return the lines of the probes, without heads and own metrics."""
    families = sink.blocks.families.values()
    return b"".join(b"".join(family.pieces()) for family in families).decode()


def lines_of(sink: MetricsSink, family: str) -> list[str]:
    """Return the lines of one family, each without the labels of the probe `frontend`."""
    text = b"".join(sink.blocks.families[family].pieces()).decode()
    common = 'kind="web",probe="frontend",target="http://example.org/"'
    return [
        line.replace("{" + common + "}", "").replace("{" + common + ",", "{")
        for line in text.splitlines()
    ]


async def body(sink: MetricsSink, **query: Any) -> str:
    """Return a page as text."""
    page = sink.page(PageQuery(**query))
    packed = b"".join([chunk async for chunk in page.chunks()])
    return (gzip.decompress(packed) if page.encoding else packed).decode()


def parsed(text: str, *, openmetrics: bool) -> Mapping[str, Parsed]:
    """Return what the client library's own parser reads, by name."""
    parse: Callable[[str], Iterable[Parsed]] = parse_openmetrics if openmetrics else parse_text
    families = list(parse(text))
    by_name = {family.name: family for family in families}
    assert len(by_name) == len(families), "a family is told twice"
    return by_name


def values_of(
    families: Mapping[str, Parsed], sample: str
) -> Sequence[tuple[dict[str, str], float]]:
    """Return (labels, value) of every series with this sample name."""
    return [
        (found.labels, found.value)
        for family in families.values()
        for found in family.samples
        if found.name == sample
    ]
