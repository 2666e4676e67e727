"""The groups of keys in the probe file that belong to no kind: what they are called and may hold.

Field names are the keys, docstrings their descriptions in the schema. Knows neither YAML nor where
a value came from.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)

from probes.journey.safety import BrowserSafety, LoadSafety, TargetSafety
from probes.pattern import suggest
from probes.probe import Severity
from probes.redact import Secret
from probes.result import TARGET_REASONS, Reason
from probes.settings import Settings
from probes.units import Duration, Ratio, format_duration, short
from probes.wire.policy import PolicyOptions

# product.md: the most frequent check that is still a check and no load.
MIN_EVERY_S = 0.1
DEFAULT_EVERY_S = 30.0
DEFAULT_TIMEOUT_S = 10.0
# A probe that needs more attempts than this is no check of anything.
MAX_RETRIES = 10
MAX_RUNS_IN_A_ROW = 1000
Compat = Literal["fixed", "strict"]
"""Whether quirks of blackbox_exporter are kept in modules that come from its file."""
# blackbox.md 8.6
MAX_IN_FLIGHT = 200
# More runs at a time than this are no probes but a load.
MAX_AT_ONCE = 10_000
# metrics.md 2.6
DEFAULT_SERIES = 500_000
DEFAULT_SERIES_PER_PROBE = 100
# metrics.md 2.5: the longest label value
MAX_RUNBOOK_BYTES = 200
MAX_TAG_CHARACTERS = 64
TAG = r"^[^\s,\x00-\x1f\x7f]{1,64}$"
METRIC_NAME = r"^[a-zA-Z_:][a-zA-Z0-9_:]*$"


def _often_enough(seconds: float) -> float:
    if seconds < MIN_EVERY_S:
        raise ValueError(
            f"want at least {format_duration(MIN_EVERY_S)}, got {format_duration(seconds)}"
        )
    return seconds


def _web_address(text: str) -> str:
    if text and not text.startswith(("http://", "https://")):
        raise ValueError(f"want an http:// or https:// URL, got {short(text)}")
    if len(text.encode("utf-8", "replace")) > MAX_RUNBOOK_BYTES:
        raise ValueError(f"want a URL of at most {MAX_RUNBOOK_BYTES} bytes, got {short(text)}")
    return text


def _proper_share(ratio: float) -> float:
    if not 0 < ratio < 1:
        raise ValueError("want a share between 0% and 100% such as 99.9%, got one of the ends")
    return ratio


def _word(text: str) -> str:
    if not re.fullmatch(TAG, text):
        raise ValueError(
            f"want a word of at most {MAX_TAG_CHARACTERS} characters without blanks and commas"
            f", got {short(text)}"
        )
    return text


Tag = Annotated[str, AfterValidator(_word), WithJsonSchema({"type": "string", "pattern": TAG})]
WebAddress = Annotated[str, AfterValidator(_web_address)]


def _to_reasons(value: Any) -> frozenset[Reason]:
    """Return the reasons for which a run may fail; none: it must work."""
    if isinstance(value, bool):
        return TARGET_REASONS if value else frozenset()
    if not isinstance(value, list | tuple | frozenset) or not value:
        raise ValueError(f"want true, false or a list of reasons, got {short(value)}")
    for text in value:
        if text not in _REASONS:
            hint = suggest(text, _REASONS) if isinstance(text, str) else ""
            raise ValueError(f"want a reason that blames the target, got {short(text)}{hint}")
    return frozenset(map(Reason, value))


def _written(reasons: frozenset[Reason]) -> bool | list[str]:
    return (reasons == TARGET_REASONS) if reasons in _ALL_OR_NONE else sorted(reasons)


_ALL_OR_NONE = (TARGET_REASONS, frozenset[Reason]())
_REASONS = tuple(sorted(it.value for it in TARGET_REASONS))
MustFail = Annotated[
    frozenset[Reason],
    PlainValidator(_to_reasons),
    PlainSerializer(_written, return_type=bool | list[str]),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "boolean"},
                {"type": "array", "items": {"enum": list(_REASONS)}, "minItems": 1},
            ]
        }
    ),
]


class IncidentKeys(Settings):
    """After how many runs in a row an incident opens and closes."""

    open_after: int = Field(default=3, ge=1, le=MAX_RUNS_IN_A_ROW)
    """Failed runs in a row that open an incident."""
    close_after: int = Field(default=2, ge=1, le=MAX_RUNS_IN_A_ROW)
    """Good runs in a row that close it."""


class SloKeys(Settings):
    """A service level objective over 30 days."""

    objective: Annotated[Ratio, AfterValidator(_proper_share)]
    """Share of the runs that must pass, such as 99.9%."""
    latency: Duration | None = None
    """A run that took longer counts as slow."""


class CommonKeys(Settings):
    """Keys that every probe, every module and ``defaults`` may hold, whatever the kind."""

    every: Annotated[Duration, AfterValidator(_often_enough)] = DEFAULT_EVERY_S
    """Time between two runs; at least 100ms."""
    timeout: Duration = DEFAULT_TIMEOUT_S
    """Time one run may take, all of it; at most ``every``."""
    tags: tuple[Tag, ...] = ()
    """Words to select probes by, as in ``sonde smoke --tag release``."""
    labels: dict[str, str] = Field(default_factory=dict)
    """Static labels on every series of the probe."""
    severity: Severity = "warning"
    """How bad it is when the probe fails; for rules and routes."""
    incident: IncidentKeys = IncidentKeys()
    """When an incident opens and closes."""
    slo: SloKeys | None = None
    """What share of the runs must pass, and how fast."""
    runbook: WebAddress = ""
    """Where to read what to do about it."""
    retries: int = Field(default=0, ge=0, le=MAX_RETRIES)
    """Further attempts inside one run, before it counts as failed."""
    retry_every: Duration = 1.0
    """Time between two attempts."""
    must_fail: MustFail = Field(default=frozenset(), json_schema_extra={"default": False})
    """Whether the target must not work: ``true``, or a list of the reasons that count as success,
    such as ``[refused]`` for a port that must be closed. A run that works is down then, by
    ``value``; the prober's own faults stay unknown."""
    depends_on: tuple[str, ...] = ()
    """Names of probes that this one needs; with ``--shard`` they are run by the same process."""


class ChainKeys(CommonKeys):
    """One chain whose endpoints are judged together; the keys of its kind stand beside these."""

    name: str
    """Unique name among chains and probes; the label ``probe`` of its series."""
    kind: str
    """What speaks to the endpoints."""


class ProbeKeys(CommonKeys):
    """One thing that is checked; the keys of its kind stand beside these."""

    name: str
    """Unique name among probes and chains; the label ``probe`` of its series."""
    kind: str | None = None
    """What speaks to the target; or give ``module``."""
    module: str | None = None
    """Name of an entry of ``modules`` whose settings are taken over; own keys win."""
    target: str | dict[str, str] | None = None
    """What is checked, in the form of the kind; ``{env: NAME}`` or ``{file: path}`` hides it."""
    targets: list[str | dict[str, str]] | None = None
    """Several targets: each becomes a probe of its own, NAME/<8 hex digits of the target>."""


COMMON_KEYS = frozenset(CommonKeys.model_fields)
HEAD_KEYS = frozenset(ProbeKeys.model_fields) - COMMON_KEYS
CHAIN_HEAD_KEYS = frozenset(ChainKeys.model_fields) - COMMON_KEYS
# A module is used by many probes, `defaults` by all: what names one probe cannot stand there.
OWN_KEYS = HEAD_KEYS | {"depends_on"}
DEFAULT_KEYS = COMMON_KEYS - OWN_KEYS


class ProberSettings(Settings):
    """The prober itself."""

    connectivity: tuple[str, ...] = ()
    """Control targets (``host:port`` or a name): when none answers, the prober has no network."""
    kinds: tuple[str, ...] = ()
    """Kinds of other installed packages that may be imported."""


def _buckets(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, list):
        return value
    numbers = [v for v in value if isinstance(v, int | float) and not isinstance(v, bool)]
    if (
        len(numbers) != len(value)
        or not numbers
        or sorted({*numbers}) != numbers
        or numbers[0] <= 0
    ):
        raise ValueError("want true, false or rising numbers of seconds > 0, got another list")
    return tuple(map(float, numbers))


class MetricsSettings(Settings):
    """What the page of metrics holds."""

    drop: tuple[Annotated[str, Field(pattern=METRIC_NAME)], ...] = ()
    """Exact names of families that are left out."""
    compat: tuple[Literal["blackbox"], ...] = ()
    """Other exporters whose own metrics are served too."""
    latency_buckets: Annotated[bool | tuple[float, ...], BeforeValidator(_buckets)] = False
    """``true`` or own bounds in seconds: the latency of each probe as a histogram."""
    instance_label: bool = False
    """Whether ``instance`` and ``job`` are set here and not by Prometheus."""


class LimitsSettings(Settings):
    """How many series may exist."""

    series: int = Field(default=DEFAULT_SERIES, ge=1)
    """In the whole process."""
    series_per_probe: int = Field(default=DEFAULT_SERIES_PER_PROBE, ge=1)
    """Of one probe."""


class WebSettings(Settings):
    """The web server."""

    admin_token: Secret | None = None
    """Allows reload and other changes by ``Authorization: Bearer``; without it they are off."""
    hosts: tuple[str, ...] = ()
    """Names under which a loopback listener may be called, beside those of the loopback itself."""
    open_health: bool = False
    """Whether ``/-/healthy`` and ``/-/ready`` answer without credentials."""
    external_url: WebAddress = ""
    """How others reach this server."""

    @model_validator(mode="after")
    def _hosts_are_names(self) -> "WebSettings":
        for host in self.hosts:
            if not host or "/" in host or any(map(str.isspace, host)):
                raise ValueError(f"want host names in hosts, got {short(host)}")
        return self


class ProbePolicy(PolicyOptions):
    """Which targets that the file does not name ``/probe`` may reach, and how many at a time."""

    max_in_flight: int = Field(default=MAX_IN_FLIGHT, ge=1, le=MAX_AT_ONCE)
    """Runs of ``/probe`` at a time; fewer where the limit on open files is too low for that."""
    max_queue: int = Field(default=MAX_IN_FLIGHT, ge=0, le=MAX_AT_ONCE)
    """Requests that wait for one of them to end; more are answered 503."""


class SafetySettings(Settings):
    """Hard ceilings of what this prober may take and send."""

    browser: BrowserSafety = BrowserSafety()
    """Of all browsers together."""
    targets: TargetSafety = TargetSafety()
    """Where loads may go."""
    load: LoadSafety = LoadSafety()
    """Of each load."""


class Sections(Settings):
    """Top-level groups of the main file."""

    prober: ProberSettings = ProberSettings()
    """The prober itself."""
    metrics: MetricsSettings = MetricsSettings()
    """What the page of metrics holds."""
    limits: LimitsSettings = LimitsSettings()
    """How many series may exist."""
    web: WebSettings = WebSettings()
    """The web server."""
    probe_policy: ProbePolicy = ProbePolicy()
    """Which targets beside those of the file ``/probe`` may reach."""
    safety: SafetySettings = SafetySettings()
    """Hard ceilings of what this prober may take and send."""
    compat: Compat = "fixed"
    """``strict`` keeps three quirks of blackbox_exporter in modules that come from a blackbox.yml:
    only IPv6 for gRPC without a section, a date of year 1 for chains that nobody has verified, and
    zeros for phases that never ran."""


SECTION_KEYS = frozenset(Sections.model_fields)
FILE_KEYS = frozenset({"version", "include", "defaults", "modules", "journeys", "probes", "chains"})
# Sections that the design names and this version does not have: refused, with the reason.
LATER_KEYS = frozenset(
    {
        "alerts", "dashboards", "generate", "history", "maintenance", "measure",
        "notify", "sinks", "status", "targets_from",
    }
)  # fmt: skip
