"""The vitals of each page of a run: puts the script in, listens, and keeps the last word of each.

A page is what lies between two ``goto`` steps; its document is the one that stood there when the
first of them was over. Speaks the DevTools protocol, since only that has worlds of one's own.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from probes.browser.child.vitals import SCRIPT, Observed, read
from probes.browser.protocol import Page

if TYPE_CHECKING:
    from playwright.async_api import CDPSession

WORLD = "sonde"
BINDING = "sondeVitals"
# A page that hangs has said before what it had to say.
REPORT_S = 1.0
# Of one run: a page that paints for ever reports for ever.
MAX_REPORTS = 20000
MAX_PAGES = 200
# Documents of a page that goes from one to the next by itself.
MAX_DOCUMENTS = 200


class Pages:
    """What is known of the pages of one run.

    Args:
        source: of the script.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._session: CDPSession | None = None
        self._frame = ""
        self._reports = 0
        self._observed: dict[float, Observed] = {}
        self._names: dict[str, float | None] = {}
        self._resolved: dict[str, float] = {}
        self._current = ""

    async def attach(self, session: "CDPSession") -> None:
        """Put the script into every document that comes.

        Raises:
            playwright Error: the browser is gone.
        """
        self._session = session
        session.on("Runtime.bindingCalled", self._heard)
        await session.send("Page.enable")
        await session.send("Runtime.enable")
        await session.send("Runtime.addBinding", {"name": BINDING, "executionContextName": WORLD})
        await session.send(
            "Page.addScriptToEvaluateOnNewDocument", {"source": self._source, "worldName": WORLD}
        )
        tree: Any = await session.send("Page.getFrameTree")
        self._frame = str(tree["frameTree"]["frame"]["id"])

    def turn(self, name: str) -> None:
        """Begin the page *name*."""
        self._current = name
        if len(self._names) < MAX_PAGES:
            self._names[name] = None

    async def landed(self) -> None:
        """Note which document the page is, now that its ``goto`` is over."""
        document = await self.report()
        if self._current in self._names and document is not None:
            self._names[self._current] = document

    async def report(self) -> float | None:
        """Let the page say what it has not said yet; return its document, None: no answer."""
        from playwright.async_api import Error

        if self._session is None:
            return None
        with suppress(Error, TimeoutError, KeyError, TypeError):
            async with asyncio.timeout(REPORT_S):
                world: Any = await self._session.send(
                    "Page.createIsolatedWorld", {"frameId": self._frame, "worldName": WORLD}
                )
                answer: Any = await self._session.send(
                    "Runtime.evaluate",
                    {"expression": "sondeReport()", "contextId": world["executionContextId"],
                     "returnByValue": True, "awaitPromise": True},
                )  # fmt: skip
                value = answer["result"].get("value")
                return float(value) if isinstance(value, int | float) else None
        return None

    def resolved(self, seconds: float) -> None:
        """Note how long the name of the page under way was looked up for it."""
        self._resolved[self._current] = seconds

    def told(self) -> tuple[Page, ...]:
        """Return what was measured, in the order of the journey."""
        return tuple(
            Page(name, seen.vitals, self._timing(name, seen))
            for name in self._names
            if (seen := self._seen(name)) is not None
        )

    def timing(self) -> Mapping[str, float]:
        """Return the timing of the page under way; empty before it is known."""
        seen = self._seen(self._current)
        return self._timing(self._current, seen) if seen is not None else {}

    def _seen(self, name: str) -> Observed | None:
        document = self._names.get(name)
        return self._observed.get(document) if document is not None else None

    def _timing(self, name: str, seen: Observed) -> Mapping[str, float]:
        """Return the timing with the name's share of the connection taken out of it.

        Chromium leaves names to the proxy: for it there is no ``dns`` at all.
        """
        timing = {key: value for key, value in seen.timing.items() if key != "dns"}
        connect, seconds = timing.get("connect"), self._resolved.get(name)
        if connect is not None and seconds is not None:
            timing["dns"] = min(seconds, connect)
            timing["connect"] = connect - timing["dns"]
        return timing

    def _heard(self, event: Any) -> None:
        """Take a report; it is foreign data, and there may be any number of them."""
        self._reports += 1
        if self._reports > MAX_REPORTS or event.get("name") != BINDING:
            return
        try:
            seen = read(str(event.get("payload")))
        except ValueError:
            # the page's own process is in the hands of the page: not measured then
            return
        if seen.document in self._observed or len(self._observed) < MAX_DOCUMENTS:
            self._observed[seen.document] = seen


def source() -> str:
    """Return the script; it is read once, at the start of the child."""
    return SCRIPT.read_text("utf-8")
