"""A kind of another package, so that the tests of the config need none of ours."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from probes.config.load import Config, load
from probes.errors import ConfigError

DEMO_KIND = '''
"""A kind that another package brings."""

from typing import ClassVar, Literal

from pydantic import Field, PrivateAttr, model_validator

from probes.errors import CheckFailed
from probes.expect import DurationBand, Matcher, Statuses
from probes.kind import Kind, Metric
from probes.recorder import Recorder
from probes.redact import Secret
from probes.result import Reason
from probes.settings import Settings
from probes.units import Duration, Size


class Tls(Settings):
    """How to speak TLS."""

    verify: bool = True
    """Whether the certificate is judged."""
    key: Secret | None = None
    """The private key."""


class Expect(Settings):
    """What the answer must be."""

    status: Statuses = Statuses("2xx")
    """Wanted status."""
    latency: DurationBand | None = None
    """Wanted latency."""
    json_: dict[str, Matcher] = Field(default_factory=dict, alias="json")
    """Wanted values."""


class Demo(Kind):
    """Answer what the target says.

    Target:
        ``up`` or ``down``, perhaps with a path behind it
    """

    name = "demo"
    network = False
    metrics: ClassVar = (Metric("demo_answers", "Answers read", labels=("flavour",)),)

    mode: Literal["fast", "slow"] = "fast"
    """How to look."""
    query: str = ""
    """What to ask."""
    headers: dict[str, str] = Field(default_factory=dict)
    """What to send."""
    password: Secret | None = None
    """Whom to be."""
    tls: bool | Tls = False
    """How to speak TLS."""
    expect: Expect = Expect()
    """What the answer must be."""
    size: Size = 1024
    """What to read."""
    pause: Duration = 1.0
    """How long to wait."""
    count: int = Field(default=1, ge=1, le=9)
    """How often."""
    share: float = 0.5
    """How much."""

    def check_target(self, target: str) -> None:
        if not target.startswith(("up", "down", "http")):
            raise ValueError(f"want up or down, got {target!r}")

    async def run(self, target: str, recorder: Recorder) -> None:
        recorder.sample("demo_answers", 1, flavour="plain")
        if target.startswith("down"):
            raise CheckFailed(Reason.BODY, "want up, got down")


class Picky(Demo):
    """Want a query.

    Target:
        ``up`` or ``down``
    """

    name = "picky"
    query: str
    """What to ask; there is no default."""


class Member(Settings):
    """One of several."""

    name: str
    """Its name."""
    url: Secret
    """Where it is."""


class Herd(Kind):
    """Check several members under one name.

    Target:
        ``up``
    """

    name = "herd"
    network = False
    is_group = True
    named_by = "brand"
    takes_over = frozenset({"retries"})

    brand: str
    """Name of the herd."""
    pace: Duration = 12.0
    """Time between two looks."""
    endpoints: tuple[Member, ...] = ()
    """The members."""
    reference: tuple[Member, ...] = ()
    """Whom a single one is compared with."""
    number: int | None = None
    """How many there should be."""
    retries: int = Field(default=1, ge=0, le=3)
    """Further looks at one member."""

    @property
    def default_every_s(self):
        return self.pace

    @property
    def default_timeout_s(self):
        return 20.0

    def check_target(self, target: str) -> None:
        if not self.endpoints and target != "up":
            raise ValueError(f"want endpoints or the target up, got {target!r}")

    def check_times(self, every_s: float, timeout_s: float) -> None:
        if every_s > 7200:
            raise ValueError(f"want a herd that is seen every 2h, got {every_s:g} s")

    def advice(self, target: str):
        if self.number is None:
            yield "want number: to know how many there should be, got none"
            for member in self.endpoints:
                yield f"want number: for {member.url.get_secret_value()}, got none"

    async def run(self, target: str, recorder: Recorder) -> None: ...


class Walker(Kind):
    """Walk a journey.

    Target:
        ``up``
    """

    name = "walker"
    network = False

    journey: str
    """Which one."""
    _found: object = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _find(self, info):
        journeys = info.context["journeys"]
        if self.journey not in journeys:
            raise ValueError(f"want the name of a journey, got {self.journey!r}")
        self._found = journeys[self.journey]
        return self

    @property
    def default_target(self):
        return self._found.base_url or None

    def check_target(self, target: str) -> None:
        if "forbidden" in target:
            raise ValueError("want another base_url, got a forbidden one")

    async def run(self, target: str, recorder: Recorder) -> None: ...


class Bare(Demo):
    """Need a driver that nobody has.

    Target:
        ``up``
    """

    name = "bare"
    requires = "bare"
    driver = "no_such_driver"
'''
ENTRY_POINTS = """[sonde.kinds]
demo = sonde_demo:Demo
picky = sonde_demo:Picky
bare = sonde_demo:Bare
walker = sonde_demo:Walker
herd = sonde_demo:Herd
lost = sonde_demo:Lost
misnamed = sonde_demo:Demo
settings = sonde_demo:Tls
"""
METADATA = "Metadata-Version: 2.1\nName: sonde-demo\nVersion: 1.0\n"
HEAD = "version: 1\nprober: {kinds: [demo, picky, bare, herd, walker]}\n"


@pytest.fixture(scope="session", autouse=True)
def demo_package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Install a package with kinds, as pip would: a module and its metadata on the path."""
    site = tmp_path_factory.mktemp("site")
    (site / "sonde_demo.py").write_text(DEMO_KIND)
    info = site / "sonde_demo-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(METADATA)
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    sys.path.insert(0, str(site))
    yield site
    sys.path.remove(str(site))
    sys.modules.pop("sonde_demo", None)


Loader = Callable[..., Config]
Refused = Callable[..., list[str]]


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loader:
    """Write a probe file behind `HEAD` and load it."""
    monkeypatch.chdir(tmp_path)

    def loaded(text: str, head: str = HEAD, **environ: str) -> Config:
        Path("probes.yaml").write_text(head + text)
        return load(Path("probes.yaml"), environ=environ)

    return loaded


@pytest.fixture
def refused(loaded: Loader) -> Refused:
    """Load a probe file that must be refused and return what is said, with line and column."""

    def refused(text: str, head: str = HEAD, **environ: str) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            loaded(text, head, **environ)
        return [problem.with_column() for problem in caught.value.problems]

    return refused
