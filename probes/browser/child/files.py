"""The files of a failed run: screenshot, console, requests, trace and HAR, mode 0600, no secret.

Written into the run's own directory; a run that went well leaves none. What is in a picture cannot
be taken out: password fields show dots, everything else shows what the page shows.
"""

import asyncio
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from probes.browser.child.scrub import scrub_har, scrub_trace
from probes.browser.child.stage import GRACE_S
from probes.browser.protocol import Artefact
from probes.redact import Redactor

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, Page

Kind = Literal["screenshot", "trace", "har", "console", "requests"]
# A page that cannot be drawn must not hold up the report of its failure.
SCREENSHOT_S = 3.0
TRACE_S = 3.0
# Of one run; a journey of two hundred screenshots is a film.
MAX_SCREENSHOTS = 20
# Beyond this nobody opens it.
MAX_FILE_BYTES = 50 * 1024 * 1024
RAW_HAR, RAW_TRACE = "raw.har", "raw.zip"


class Files:
    """What one run leaves behind.

    Args:
        directory: of the run; exists.
        full: trace and HAR too.
    """

    def __init__(self, directory: Path, *, full: bool) -> None:
        self.directory = directory
        self.full = full
        self._made: list[Artefact] = []
        self._shots = 0

    @property
    def har(self) -> Path | None:
        """Where the browser writes its HAR; None: it writes none."""
        return self.directory / RAW_HAR if self.full else None

    async def begin(self, context: "BrowserContext") -> None:
        """Begin to record."""
        if self.full:
            await context.tracing.start(screenshots=True, snapshots=True)

    async def shoot(self, page: "Page") -> bool:
        """Take a screenshot; return whether there is one.

        Raises:
            OSError: there is no place for it.
        """
        from playwright.async_api import Error

        # Chromium's own page of an error says less than the failure does
        if self._shots >= MAX_SCREENSHOTS or not page.url.startswith("http"):
            return True
        name = f"screenshot-{self._shots + 1}.png"
        try:
            async with asyncio.timeout(SCREENSHOT_S + GRACE_S):
                data = await page.screenshot(timeout=SCREENSHOT_S * 1000, animations="disabled")
        except (Error, TimeoutError):
            return False
        self._shots += 1
        self._write("screenshot", name, data)
        return True

    async def end_trace(self, context: "BrowserContext", seconds: float) -> None:
        """Write the trace, before the context is closed; it may take *seconds*."""
        from playwright.async_api import Error

        if not self.full:
            return
        try:
            async with asyncio.timeout(min(TRACE_S, seconds)):
                await context.tracing.stop(path=self.directory / RAW_TRACE)
        except (Error, TimeoutError):
            # a browser that hangs: the run has said so
            (self.directory / RAW_TRACE).unlink(missing_ok=True)

    def finish(
        self, console: list[str], requests: list[str], redact: Redactor
    ) -> tuple[Artefact, ...]:
        """Write what is text, scrub what the browser wrote; return what there is.

        Raises:
            OSError: there is no place for it.
        """
        if console:
            self._write("console", "console.log", _lines(console, redact))
        if requests:
            self._write("requests", "requests.log", _lines(requests, redact))
        self._scrub("har", RAW_HAR, "network.har", redact)
        self._scrub("trace", RAW_TRACE, "trace.zip", redact)
        return tuple(self._made)

    def drop(self) -> tuple[Artefact, ...]:
        """Remove all but what ``screenshot`` steps took, for the run went well; return those."""
        shots = {made.name for made in self._made}
        for path in self.directory.iterdir():
            if path.name in shots:
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        return tuple(self._made)

    def _scrub(self, kind: Kind, raw: str, name: str, redact: Redactor) -> None:
        source = self.directory / raw
        if not source.exists():
            return
        try:
            if source.stat().st_size > MAX_FILE_BYTES:
                return
            scrub = scrub_har if kind == "har" else scrub_trace
            try:
                data = scrub(source.read_bytes(), redact)
            except ValueError:
                # cut off by the end of the browser: nothing that can be opened
                return
            self._write(kind, name, data)
        finally:
            source.unlink(missing_ok=True)

    def _write(self, kind: Kind, name: str, data: bytes) -> None:
        descriptor = os.open(
            self.directory / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600
        )
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        self._made.append(Artefact(kind, name))


def _lines(lines: list[str], redact: Redactor) -> bytes:
    return "".join(f"{redact(line)}\n" for line in lines).encode("utf-8", "replace")
