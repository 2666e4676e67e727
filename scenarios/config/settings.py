"""A scenario as the file writes it: a load profile over journeys.

    ScenarioKeys
    ├── mix          PartKeys, ...     which journeys and locust files
    ├── load         LoadKeys          how much of it, when
    ├── thresholds   ThresholdKeys, ...
    └── schedule, target, baseline, guards, preflight, reports ...

Fields are the keys, docstrings their descriptions in the schema. What needs a look at two keys or
at another section is `scenarios.config.reading`'s. Knows neither the file nor how a load is made.
"""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema

from probes.journey.loading.settings import BaseUrl
from probes.journey.safety import HostName
from probes.settings import Bare, Settings, Word
from probes.units import Duration, parse_number, short
from scenarios.config.rates import MAX_USERS, RateRamp, UsersRamp
from scenarios.config.states import State
from scenarios.dialects import translated
from scenarios.plan import Model

# load.md 5.2, 7.1
DEFAULT_GRACEFUL_S = 20.0
# The pool that the open model has when the file does not say.
DEFAULT_POOL = (1, 100)
# A mix, a profile or a list of thresholds with more comes from a program.
MAX_PARTS = 100
MAX_STAGES = 1000
MAX_THRESHOLDS = 500
MAX_WEIGHT = 1_000_000
MAX_SHARDS = 256
MAX_ITERATIONS = 1_000_000_000
MAX_SEED = 2**63 - 1
MAX_IN_A_ROW = 1000
MAX_REPORTS = 10_000
DEFAULT_REPORTS = 30
DEFAULT_ATTEMPTS = 3
DEFAULT_FAILURES = 2
DEFAULT_PROMETHEUS_S = 5.0
_THRESHOLD = "p95(request.duration) < 400ms"
_PERCENT = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)%", re.ASCII)


def _expr_or_keys(value: object) -> object:
    """Take a bare text for ``{expr: text}``, and what k6 writes for a text that is told so."""
    if isinstance(value, dict) and len(value) == 1:
        ((key, it),) = value.items()
        if translated(f"{key}: {it}"):
            return {"expr": f"{key}: {it}"}
    return {"expr": value} if isinstance(value, str) else value


def _one_by_one(value: object) -> object:
    """Refuse thresholds by metric, and show how they are written here."""
    if not isinstance(value, dict):
        return value
    ours = (translated(f"{key}: {it}") for key, it in value.items())
    shown = next(filter(None, ours), _THRESHOLD)
    raise ValueError(f"want a list such as [{shown}], got a mapping")


def _pool_or_keys(value: object) -> object:
    """Take ``users: 20`` for ``users: {start: 20, max: 20}``."""
    if isinstance(value, int) and not isinstance(value, bool):
        return {"start": value, "max": value}
    return value


def _to_text(value: object) -> object:
    """Take a number without unit too."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _shards(value: object) -> int:
    """Read ``auto`` as 0."""
    if value == "auto":
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_SHARDS:
        raise ValueError(f"want auto or a number from 1 to {MAX_SHARDS}, got {short(value)}")
    return value


def _worse(value: object) -> float:
    found = _PERCENT.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"want a share such as 15%, got {short(value)}")
    return parse_number(found[1]) / 100


def _shards_text(shards: int) -> str | int:
    return shards or "auto"


def _worse_text(share: float) -> str:
    return f"{100 * share:.6f}".rstrip("0").rstrip(".") + "%"


def _above_zero(ramp: tuple[float, float]) -> tuple[float, float]:
    if ramp[0] != ramp[1] or ramp[0] == 0:
        raise ValueError("want one number > 0, got a ramp or 0; ramps stand in load.stages")
    return ramp


Shards = Annotated[
    int,
    BeforeValidator(_shards),
    PlainSerializer(_shards_text, when_used="json"),
    Word("`auto` or whole number", default="auto"),
    WithJsonSchema(
        {"anyOf": [{"const": "auto"}, {"type": "integer", "minimum": 1, "maximum": MAX_SHARDS}]}
    ),
]
"""How many; 0 is ``auto``."""
Worse = Annotated[
    float,
    BeforeValidator(_worse),
    PlainSerializer(_worse_text, when_used="json"),
    Word("share"),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?%$", "examples": ["15%"]}),
]
Users = Annotated[int, Field(ge=1, le=MAX_USERS)]


class PartKeys(Settings):
    """One share of a mix: a journey, or a user class of a Locust file."""

    journey: str | None = None
    """Name of a journey."""
    locustfile: str | None = Field(default=None, min_length=1)
    """Or a Locust file inside the directory of the probe file."""
    user_class: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")
    """Which class of the Locust file."""
    weight: int = Field(default=1, ge=1, le=MAX_WEIGHT)
    """Its share, against those of the others."""
    trust: bool = False
    """``true`` lets the Locust file run: it is code."""

    @property
    def name(self) -> str:
        """What it is called in labels and reports."""
        return self.journey or self.user_class or ""


class StageKeys(Settings):
    """A stretch of time."""

    duration: Duration
    """How long."""
    rate: RateRamp | None = None
    """Iterations started: ``20/s``, or ``1/s -> 20/s`` for a line; in the model ``open``."""
    users: UsersRamp | None = None
    """Users at work: ``50``, or ``0 -> 50`` for a line; in the model ``closed``."""
    warmup: bool = False
    """Whether its samples are left out of everything that is judged."""

    @property
    def first(self) -> float:
        """Rate per second or users at its begin."""
        return (self.rate or self.users or (0.0, 0.0))[0]

    @property
    def last(self) -> float:
        """The same at its end."""
        return (self.rate or self.users or (0.0, 0.0))[1]


class PoolKeys(Settings):
    """Virtual users: of the model ``open`` the pool, of ``iterations`` all of them."""

    start: Users = DEFAULT_POOL[0]
    """At the begin."""
    max: Users = DEFAULT_POOL[1]
    """At most; an arrival that finds no free user is dropped and counted."""


class LoadKeys(Settings):
    """How much is asked of the target, and when."""

    model: Model = "open"
    """``open``: a rate of arrivals; ``closed``: users in turn; ``iterations``: a number of them."""
    stages: tuple[StageKeys, ...] = Field(default=(), max_length=MAX_STAGES)
    """One after the other: ``rate`` in the model ``open``, ``users`` in the model ``closed``."""
    users: Annotated[
        PoolKeys | None,
        BeforeValidator(_pool_or_keys),
        Word("mapping or whole number"),
        Bare({"type": "integer", "minimum": 1, "maximum": MAX_USERS}),
    ] = None
    """The pool of the model ``open``, or the users of the model ``iterations``."""
    iterations: Annotated[int, Field(ge=1, le=MAX_ITERATIONS)] | None = None
    """How many in all, in the model ``iterations``."""
    pace: Duration | None = None
    """At least this long from one begin of a user to its next, outside of the model ``open``."""
    graceful_stop: Duration = DEFAULT_GRACEFUL_S
    """Time for what is under way when the last stage has ended."""
    shards: Shards = 0
    """Processes that share the work; ``auto``: by rate and processors."""
    on_lost_shard: Literal["continue", "stop"] = "continue"
    """Whether the rest goes on; the verdict is inconclusive either way."""

    @property
    def pool(self) -> PoolKeys:
        """The users in force; of the model ``closed`` the greatest number of its stages."""
        if self.model == "closed":
            most = max((int(max(it.first, it.last)) for it in self.stages), default=1)
            return PoolKeys(start=1, max=max(1, most))
        if self.users is not None:
            return self.users
        return PoolKeys() if self.model == "open" else PoolKeys(start=1, max=1)

    @property
    def seconds(self) -> float:
        """Length of all stages."""
        return sum(stage.duration for stage in self.stages)

    @property
    def peak(self) -> float:
        """The greatest rate or number of users of all stages."""
        return max((max(it.first, it.last) for it in self.stages), default=0.0)


class ThresholdKeys(Settings):
    """What must hold."""

    expr: str = Field(min_length=1, max_length=1000)
    """Such as ``p95(request.duration) < 400ms``."""
    level: Literal["fail", "warn"] = "fail"
    """What a breach does."""
    abort: bool = False
    """Whether a breach ends the run at once."""
    window: Duration | None = None
    """Looks at the last seconds alone while the run goes on; else at all of it so far."""
    after: Duration | None = None
    """Not judged earlier than this from the start."""
    for_: int = Field(default=1, ge=1, le=MAX_IN_A_ROW, alias="for")
    """Breaches in a row, one a second, that count."""
    source: Literal["load", "prometheus"] | None = None
    """Who knows the number: ``prometheus`` that of ``promql(...)``, ``load`` any other."""


class PrometheusKeys(Settings):
    """The Prometheus that thresholds ask."""

    url: Annotated[BaseUrl, Field(min_length=1)] = "http://127.0.0.1:9090"
    """Where it is."""
    timeout: Duration = DEFAULT_PROMETHEUS_S
    """Time for one question."""


class RegressionKeys(Settings):
    """One statistic that may not become worse than the baseline."""

    stat: str = Field(min_length=1, max_length=1000)
    """Such as ``p95(request.duration)`` or ``throughput``."""
    worse_by: Worse
    """Worsening, relative to the baseline, that counts."""
    and_at_least: Annotated[str, BeforeValidator(_to_text)] | None = None
    """And absolute, with its unit: ``20ms``; both must be exceeded."""


class BaselineKeys(Settings):
    """Which earlier run this one is held against."""

    compare_to: str = Field(
        default="last_pass",
        pattern=r"^(last_pass|median_of_passes\([1-9][0-9]{0,2}\)|(file|ref):\S.*)$",
    )
    """``last_pass``, ``median_of_passes(5)``, ``file:PATH`` or ``ref:NAME`` of a git branch."""
    fail_on: tuple[RegressionKeys, ...] = Field(default=(), max_length=MAX_THRESHOLDS)
    """What fails the run."""
    missing: Literal["warn", "fail", "ignore"] = "warn"
    """What a baseline that is not there does."""


class GuardKeys(Settings):
    """A probe that is watched while the load runs."""

    probe: str
    """Its name."""
    failures: int = Field(default=DEFAULT_FAILURES, ge=1, le=MAX_IN_A_ROW)
    """Results ``down`` in a row that count; ``unknown`` is none."""
    action: Literal["abort", "warn"] = "abort"
    """What they do."""
    every: Duration | None = None
    """Time between two runs; else that of the probe."""


class PreflightKeys(Settings):
    """What must be up before any load is sent."""

    probe: str | None = None
    """Its name; else each journey of the mix is played once."""
    attempts: int = Field(default=DEFAULT_ATTEMPTS, ge=1, le=MAX_IN_A_ROW)
    """Tries at most."""


class ReportKeys(Settings):
    """Which reports are written into the data directory."""

    json_: bool = Field(default=True, alias="json")
    """``result.json``."""
    junit: bool = True
    """``junit.xml``."""
    html: bool = True
    """``report.html``: one page with charts."""
    markdown: bool = True
    """``report.md``."""
    locust_html: bool = False
    """Locust's own page."""
    keep: int = Field(default=DEFAULT_REPORTS, ge=1, le=MAX_REPORTS)
    """Runs whose reports are kept."""


class ScenarioKeys(Settings):
    """A load profile over journeys."""

    description: str = ""
    """What it is, for people."""
    journey: str | None = None
    """Short form: the one journey of the mix, with ``users`` or ``rate``, and ``duration``."""
    users: Annotated[UsersRamp, AfterValidator(_above_zero)] | None = None
    """Short form: so many users in turn, the model ``closed``."""
    rate: Annotated[RateRamp, AfterValidator(_above_zero)] | None = None
    """Short form: so many iterations started, the model ``open``."""
    duration: Duration | None = None
    """Short form: how long."""
    mix_: tuple[PartKeys, ...] = Field(default=(), alias="mix", max_length=MAX_PARTS)
    """Which journeys, in what ratio."""
    load_: LoadKeys | None = Field(default=None, alias="load")
    """How much is asked of the target, and when."""
    target: BaseUrl = ""
    """Where all journeys go, in place of their ``base_url``."""
    schedule: str | None = None
    """Cron expression of five fields; without it the scenario runs by hand and in CI only."""
    timezone: str = "UTC"
    """Of the schedule, such as ``Europe/Berlin``."""
    thresholds: Annotated[
        tuple[
            Annotated[
                ThresholdKeys,
                Word("text or mapping"),
                Bare({"type": "string", "examples": [_THRESHOLD]}),
                BeforeValidator(_expr_or_keys),
            ],
            ...,
        ],
        BeforeValidator(_one_by_one),
    ] = Field(default=(), max_length=MAX_THRESHOLDS)
    """What must hold for the run to pass."""
    prometheus: PrometheusKeys = PrometheusKeys()
    """The Prometheus that thresholds with ``promql(...)`` ask."""
    min_samples: int = Field(default=1, ge=1)
    """Measured requests below which the run is inconclusive."""
    baseline: BaselineKeys | None = None
    """Which earlier run this one is held against."""
    guards: tuple[GuardKeys, ...] = Field(default=(), max_length=MAX_PARTS)
    """Probes that are watched while the load runs, and end it."""
    preflight: PreflightKeys = PreflightKeys()
    """What must be up before any load is sent."""
    skip_if: tuple[State, ...] = ()
    """States in which the run is refused."""
    compat: tuple[Literal["locust", "k6"], ...] = ()
    """Also exposed under the names of locust_exporter or k6, for dashboards that know those."""
    reports: ReportKeys = ReportKeys()
    """Which reports are written."""
    confirm: tuple[HostName, ...] = ()
    """Hosts of ``safety.load.protected`` that this scenario may load."""
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] | None = None
    """Of everything that is random; else drawn for each run and told in its report."""

    @property
    def in_force(self) -> Self:
        """The same, the short form and the users written out."""
        short = dict.fromkeys(("journey", "users", "rate", "duration"))
        load = self.load
        if load.model != "closed":
            load = load.model_copy(update={"users": load.pool})
        return self.model_copy(update={**short, "mix_": self.mix, "load_": load})

    @property
    def mix(self) -> tuple[PartKeys, ...]:
        """Its parts, the short form written out."""
        return self.mix_ if self.journey is None else (PartKeys(journey=self.journey),)

    @property
    def load(self) -> LoadKeys:
        """Its profile, the short form written out."""
        if self.load_ is not None:
            return self.load_
        if self.duration is None:
            return LoadKeys()
        stage = StageKeys.model_construct(
            duration=self.duration, rate=self.rate, users=self.users, warmup=False
        )
        return LoadKeys(model="open" if self.users is None else "closed", stages=(stage,))
