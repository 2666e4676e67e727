"""What the web server needs from the service behind it.

The service implements it; the server never imports the service.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from exporter.exposition.scrape import PageQuery
from exporter.exposition.stream import Page
from exporter.on_demand.question import Question
from exporter.on_demand.recent import Recent, Run
from probes.errors import Problem
from probes.probe import Probe
from probes.result import Outcome, Result


class MetricsPages(Protocol):
    """Where pages come from: ``exporter.metrics``."""

    def page(self, query: PageQuery) -> Page:
        """Return the page for a query.

        Raises:
            Busy: as many different ones as may be are in the making.
        """
        ...


class Backend(Protocol):
    """The running service, as the web server sees it; asked anew for every request."""

    @property
    def version(self) -> str:
        """Of sonde."""
        ...

    @property
    def probes(self) -> Sequence[Probe]:
        """In the order of the file."""
        ...

    @property
    def metrics(self) -> MetricsPages:
        """The sink that renders ``/metrics``."""
        ...

    @property
    def admin_token(self) -> str | None:
        """``web.admin_token``; None switches the mutating endpoints off."""
        ...

    @property
    def hosts(self) -> Sequence[str]:
        """``web.hosts``: names a loopback listener answers to beside the loopback ones."""
        ...

    @property
    def open_health(self) -> bool:
        """``web.open_health``: the health endpoints need no password."""
        ...

    @property
    def last_tick(self) -> float:
        """When the event loop last turned, by ``time.monotonic``; read from another thread."""
        ...

    def readiness(self) -> tuple[bool, str]:
        """Return whether the service does its work, and why not."""
        ...

    def last_result(self, name: str) -> Result | None:
        """Return the last Result of a probe; None before its first run has ended."""
        ...

    def state(self, name: str) -> Outcome | None:
        """Return the confirmed state of a probe; None before its first Result."""
        ...

    def memories(self) -> Iterable[tuple[Probe, object, object]]:
        """Return the probes whose kind remembers something, what, and what was known before.

        The last is what runs under other rules left, None once one under those of now has ended.
        """
        ...

    @property
    def runs(self) -> Recent:
        """The last runs that `ask` was asked for."""
        ...

    async def ask(self, question: Question) -> bytes:
        """Return the page of one run, or with ``debug`` the account of it.

        Raises:
            Refused: it is not run.
        """
        ...

    async def account(self, run: Run) -> bytes:
        """Return the account of a run that is kept."""
        ...

    async def config_text(self) -> bytes:
        """Return the config in force as YAML, its defaults filled in, without its secrets."""
        ...

    async def reload(self) -> Sequence[Problem]:
        """Read the probe file again and swap it in whole; return what is odd and was not before.

        Raises:
            ConfigError: the file is bad; the old config stays.
        """
        ...

    def count_request(self, handler: str, code: str) -> None:
        """Count an answered request; *code* is ``2xx`` ... ``5xx``. From any thread."""
        ...

    def count_rejected(self, reason: str) -> None:
        """Count a refusal by auth, host, rate, limit or header_timeout. From any thread."""
        ...
