"""The context of one run: its way out, its page, what is watched and refused in it.

    room = Room(run, source)
    await room.open(browser)     # room.page, room.watch, room.ledger, room.pages
    await room.close()           # nothing is left, also when the page hangs

Knows no step.
"""

import asyncio
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from probes.browser.child.launch import look_options
from probes.browser.child.pages import Pages
from probes.browser.child.watch import Watch
from probes.browser.protocol import Run
from probes.browser.proxy import Outlet
from probes.journey.playing.evidence import secrets_of_cookie
from probes.wire.url import parse_url

if TYPE_CHECKING:
    from playwright.async_api import Browser, BrowserContext, CDPSession, Page

# A browser that does not close a context in this time is killed by the supervisor.
CLOSE_S = 1.5
# Answers to dialogs and popups under way; a page that makes more waits for them.
MAX_ANSWERS = 1000


class Room:
    """Where one run takes place.

    Args:
        run: that is played.
        source: of the script for vitals.
    """

    page: "Page"

    def __init__(self, run: Run, source: str) -> None:
        self._plan = run.plan
        base_url = parse_url(run.plan.base_url)
        self.own = (base_url.host, base_url.port)
        self.outlet = Outlet(run.policy, base_url)
        self.watch = Watch(self.own[0])
        self.pages = Pages(source)
        self.context: BrowserContext | None = None
        self._answers: set[asyncio.Task[None]] = set()

    async def open(self, browser: "Browser", headers: Mapping[str, str], har: Path | None) -> None:
        """Open context and page.

        Args:
            browser: that runs.
            headers: for the origin of the journey alone.
            har: where the browser writes its HAR.

        Raises:
            playwright Error: the browser is gone.
            OSError: no port or descriptor is left.
        """
        port = await self.outlet.open()
        look = self._plan.look
        recorded: dict[str, Any] = (
            {"record_har_path": har, "record_har_content": "embed"} if har is not None else {}
        )
        self.context = await browser.new_context(
            proxy={"server": f"socks5://127.0.0.1:{port}"},
            viewport={"width": look.width, "height": look.height},
            accept_downloads=False,
            service_workers="block",
            ignore_https_errors=not self._plan.verifies,
            **recorded,
            **look_options(look.locale, look.timezone, look.user_agent),
        )
        self.page = await self.context.new_page()
        self._listen(self.context, self.page)
        session = await self.context.new_cdp_session(self.page)
        await self.pages.attach(session)
        if self._plan.block:
            await session.send("Network.enable")
            await session.send("Network.setBlockedURLs", {"urls": blocked(self._plan.block)})
        if headers:
            await self._send_headers(session, headers)

    def _listen(self, context: "BrowserContext", page: "Page") -> None:
        watch = self.watch
        context.on("response", watch.on_response)
        context.on("requestfinished", watch.on_request_finished)
        context.on("requestfailed", watch.on_request_failed)
        context.on("page", self._on_popup)
        context.on("dialog", self._on_dialog)
        page.on("console", watch.on_console)
        page.on("pageerror", watch.on_page_error)
        page.on("crash", watch.on_crash)
        page.on("download", watch.on_download)

    def _on_popup(self, popup: "Page") -> None:
        self.watch.on_popup(popup)
        self._answer(popup.close())

    def _on_dialog(self, dialog: Any) -> None:
        self.watch.on_dialog(dialog)
        # who leaves a page is asked whether they want to: the journey does
        is_leaving = dialog.type == "beforeunload"
        self._answer(dialog.accept() if is_leaving else dialog.dismiss())

    def _answer(self, work: Coroutine[Any, Any, None]) -> None:
        if len(self._answers) >= MAX_ANSWERS:
            work.close()
            return
        task = asyncio.get_running_loop().create_task(_quietly(work))
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)

    async def _send_headers(self, session: "CDPSession", headers: Mapping[str, str]) -> None:
        """Add *headers* to each request to the journey's origin, and to no other one.

        Each hop of a redirect is asked about by itself, so nothing follows to another origin.
        """
        split = urlsplit(self._plan.base_url)
        session.on("Fetch.requestPaused", partial(self._paused, session, dict(headers)))
        pattern = f"{split.scheme}://{split.netloc.rpartition('@')[2]}/*"
        await session.send("Fetch.enable", {"patterns": [{"urlPattern": pattern}]})

    def _paused(self, session: "CDPSession", headers: Mapping[str, str], event: Any) -> None:
        asked = event["request"]["headers"]
        own = {name.lower() for name in headers}
        merged = {name: value for name, value in asked.items() if name.lower() not in own}
        sent = [{"name": name, "value": value} for name, value in {**merged, **headers}.items()]
        order = {"requestId": event["requestId"], "headers": sent}
        self._answer(_order(session, "Fetch.continueRequest", order))

    async def cookies(self) -> list[str]:
        """Return the cookies of the run that are more than a switch: whoever has one is the user.

        A page may write them on its console, or into a link.
        """
        from playwright.async_api import Error

        if self.context is None:
            return []
        with suppress(Error):
            return [
                text
                for cookie in await self.context.cookies()
                for text in secrets_of_cookie(cookie.get("name", ""), cookie.get("value", ""))
            ]
        return []

    async def close(self) -> bool:
        """Close the context and the way out; return whether the browser obeyed."""
        from playwright.async_api import Error

        obeyed = True
        if self.context is not None:
            try:
                async with asyncio.timeout(CLOSE_S):
                    await self.context.close()
            except TimeoutError:
                obeyed = False
            except Error:
                # it is gone with its browser
                obeyed = False
        for task in tuple(self._answers):
            task.cancel()
        await self.outlet.close()
        return obeyed


async def _order(session: "CDPSession", name: str, order: dict[str, Any]) -> None:
    await session.send(name, order)


async def _quietly(work: Coroutine[Any, Any, None]) -> None:
    from playwright.async_api import Error

    # the page, or the request, may be gone before it is answered
    with suppress(Error):
        await work


def blocked(globs: tuple[str, ...]) -> list[str]:
    """Return the patterns of Chromium for globs over ``host`` or ``host/path``."""
    found: list[str] = []
    for glob in globs:
        host, slash, path = glob.partition("/")
        tail = f"/{path}" if slash else "/*"
        found += [f"*://{host}{tail}", f"*://{host}:*{tail}"]
    return found
