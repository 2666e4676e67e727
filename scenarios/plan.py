"""What the shards of one run are to do: plain values that travel as JSON.

    Plan
    ├── mix       Part, ...: journeys and locust files by weight
    ├── stages    Stage, ...: rate or users over time
    ├── pool      users at the start and at most
    ├── fences    where packets may go
    └── limits    what is counted exactly

A plan holds names of secrets, never their values. Pure. Knows no file, no child and no Locust.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, Self

from probes.units import short

Model = Literal["open", "closed", "iterations"]
SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Stage:
    """A stretch of time.

    Args:
        seconds: > 0.
        first: rate (iterations a second) or users at its begin.
        last: the same at its end; a line between the two.
        warmup: its samples are not measured.
    """

    seconds: float
    first: float
    last: float
    warmup: bool = False

    @property
    def is_measured(self) -> bool:
        """Whether its samples count: no warm-up, and something is asked of the target."""
        return not self.warmup and (self.first > 0 or self.last > 0)


@dataclass(frozen=True, slots=True)
class Part:
    """One share of a mix: a journey, or a user class of a locust file.

    Args:
        name: label ``journey``: name of the journey, or the user class.
        weight: > 0.
        locustfile: absolute path; empty: a journey.
        sha256: of the locust file.
    """

    name: str
    weight: int = 1
    locustfile: str = ""
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Pool:
    """Virtual users of the open model."""

    start: int = 1
    max: int = 100


@dataclass(frozen=True, slots=True)
class Fences:
    """Where packets of a run may go; judged on names and on every address that is dialled.

    Args:
        allow: host patterns and networks; none: nowhere.
        deny: the same; wins.
        within: of whoever leads from another machine: what is allowed is in here too; none: no
            such bound.
    """

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    within: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """One run, the same for each of its shards.

    Args:
        run_id: unique.
        scenario: its name.
        target: base URL of all journeys; empty: of each its own.
        model: see load.md 5.2.
        stages: of the open and the closed model.
        mix: at least one.
        users: of the models ``closed`` (the greatest number) and ``iterations``.
        iterations: of the model ``iterations``, of all shards together.
        pool: of the open model, of all shards together.
        pace_s: at least so long from one begin to the next of a closed user.
        graceful_stop_s: for running iterations when the last stage has ended.
        shards: how many share the work; arrival *n* is of shard *n* modulo this.
        seed: of everything that is random.
        variables: of ``--var``.
        journeys: name -> its keys as the file says them; of a secret only its name. Empty for
            workers on other machines, who read their own file.
        directory: absolute; of the probe file, for files of data.
        data: name of a journey -> sha256 of its file of data.
        fences: where packets may go.
        limits: metric -> microseconds, see `scenarios.book.Book`.
        requests_per_iteration: of the mix on average, for sizing.
        config_hash: see load.md 10.2.
        locust_html: whether Locust's own report is wanted.
        max_seconds: when a run without stages is ended at the latest; 0: never.
    """

    run_id: str
    scenario: str
    target: str
    model: Model
    stages: tuple[Stage, ...]
    mix: tuple[Part, ...]
    users: int = 1
    iterations: int = 0
    pool: Pool = Pool()
    pace_s: float = 0.0
    graceful_stop_s: float = 20.0
    shards: int = 1
    seed: int = 0
    variables: Mapping[str, str] = field(default_factory=dict)
    journeys: Mapping[str, Any] = field(default_factory=dict)
    directory: str = ""
    data: Mapping[str, str] = field(default_factory=dict)
    fences: Fences = Fences()
    limits: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    requests_per_iteration: float = 1.0
    config_hash: str = ""
    locust_html: bool = False
    max_seconds: float = 0.0

    @property
    def seconds(self) -> float:
        """Length of all stages; 0 for the model ``iterations``."""
        return sum(stage.seconds for stage in self.stages)

    def to_json(self) -> str:
        """Return it as text; `from_json` reads it."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return what `to_json` has written.

        Raises:
            ValueError: it is no plan, or one of another version.
        """
        try:
            values: dict[str, Any] = json.loads(text)
            if values.pop("schema") != SCHEMA:
                raise ValueError(f"want a plan of schema {SCHEMA}, got another")
            if unknown := values.keys() - {it.name for it in fields(cls)}:
                raise ValueError(f"want the keys of a plan, got {short(sorted(unknown))} too")
            values |= {
                "stages": tuple(Stage(**it) for it in values["stages"]),
                "mix": tuple(Part(**it) for it in values["mix"]),
                "pool": Pool(**values["pool"]),
                "fences": Fences(**{key: tuple(it) for key, it in values["fences"].items()}),
                "limits": {key: tuple(it) for key, it in values["limits"].items()},
            }
            return cls(**values)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"want a plan of a load run, got {short(repr(error))}") from None
