"""What happens in a page beside its steps, counted: requests, errors, popups, dialogs, downloads.

A hostile page makes any number of them: each is counted, the first ones are kept as cut texts.
Knows Playwright's events by their shape alone, and answers to dialogs and popups by callbacks.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from probes.browser.child.words import net_error
from probes.browser.protocol import Ending, Party
from probes.redact import display_target

# Of console and requests, as an artefact; a page that logs more says the same again.
MAX_LINES = 500
MAX_LINE_CHARACTERS = 500
# The first of a kind, as a fact.
MAX_FACT_CHARACTERS = 200
# Requests that are remembered until they end.
MAX_OPEN = 5000
FIRST_BAD = 400
# How Chromium begins to tell of a status >= 400, or of none at all.
_NOT_LOADED = "Failed to load resource"
# The page itself, or the journey, gave them up: nothing failed.
_GIVEN_UP = frozenset({"ERR_ABORTED", "ERR_BLOCKED_BY_CLIENT", "inspector"})


def cut(text: str, limit: int = MAX_LINE_CHARACTERS) -> str:
    """Return *text* as one line of at most *limit* characters that can be written anywhere."""
    head = text[: limit + 1].encode("utf-8", "replace").decode()
    line = "".join(letter if letter.isprintable() else " " for letter in head)
    return line if len(line) <= limit else f"{line[:limit]}…"


def party(host: str, own: str) -> Party:
    """Return whether *host* belongs to the site of the journey's host *own*.

    It does when it is that host, or lies below it; ``www.`` does not count.
    """
    site = own.removeprefix("www.")
    return "first" if host in (own, site) or host.endswith(f".{site}") else "third"


def host_of(url: str) -> str:
    """Return the host of a URL that a page asked for; empty when it has none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


# without slots: Playwright writes an attribute on the owner of a method that it is to call
@dataclass
class Watch:
    """The counts of one run.

    Args:
        own: host of the journey's ``base_url``.
    """

    own: str
    requests: Counter[tuple[str, Party, Ending]] = field(
        default_factory=Counter[tuple[str, Party, Ending]]
    )
    console_errors: int = 0
    page_errors: int = 0
    failed_requests: int = 0
    popups: int = 0
    dialogs: int = 0
    downloads: int = 0
    is_crashed: bool = False
    console: list[str] = field(default_factory=list[str])
    lines: list[str] = field(default_factory=list[str])
    firsts: dict[str, str] = field(default_factory=dict[str, str])
    # by identity, and held: the number of one that is gone would be given to the next
    _answered: dict[int, Any] = field(default_factory=dict[int, Any])

    def facts(self) -> dict[str, str]:
        """Return what people want to read: the first of each kind, and how many more."""
        found = dict(self.firsts)
        counts = {"popups": self.popups, "dialogs": self.dialogs, "downloads": self.downloads}
        found.update({name: str(count) for name, count in counts.items() if count})
        return found

    def counted(self) -> tuple[tuple[str, Party, Ending, int], ...]:
        """Return the requests as a `Done` tells them."""
        return tuple((*key, count) for key, count in sorted(self.requests.items()))

    # --- called by the browser

    def on_console(self, message: Any) -> None:
        """Count a message of the console."""
        is_error = message.type == "error" and not _is_of_icon(message)
        self.console_errors += is_error
        if len(self.console) < MAX_LINES or (is_error and "console error" not in self.firsts):
            text = cut(message.text)
            if len(self.console) < MAX_LINES:
                self.console.append(f"{message.type}: {text}")
            if is_error:
                self._first("console error", text)

    def on_page_error(self, error: Any) -> None:
        """Count an exception that the page did not catch."""
        self.page_errors += 1
        if len(self.console) < MAX_LINES or "page error" not in self.firsts:
            text = cut(str(error))
            if len(self.console) < MAX_LINES:
                self.console.append(f"exception: {text}")
            self._first("page error", text)

    def on_response(self, response: Any) -> None:
        """Count a request that was answered."""
        request = response.request
        ending: Ending = "good" if response.status < FIRST_BAD else "bad"
        if len(self._answered) < MAX_OPEN:
            self._answered[id(request)] = request
        self._count(request, ending, str(response.status))
        if ending == "bad":
            self.failed_requests += 1
            self._first("failed request", f"{self._named(request)}: status {response.status}")

    def on_request_failed(self, request: Any) -> None:
        """Count a request without a whole answer."""
        text = request.failure or ""
        name = net_error(text) or cut(text, 60) or "no answer"
        was_answered = id(request) in self._answered
        self._answered.pop(id(request), None)
        if was_answered:
            # its body broke off, or nobody wanted it any more: it is counted
            if name not in _GIVEN_UP:
                self._note(request, name)
            return
        self._count(request, "failed", name)
        if name not in _GIVEN_UP:
            self.failed_requests += 1
            self._first("failed request", f"{self._named(request)}: {name}")

    def on_request_finished(self, request: Any) -> None:
        """Forget a request that is over."""
        self._answered.pop(id(request), None)

    def on_dialog(self, dialog: Any) -> None:
        """Count an alert, a question, or a page that does not want to be left."""
        self.dialogs += 1
        self._first("dialog", f"{dialog.type}: {cut(dialog.message, MAX_FACT_CHARACTERS)}")

    def on_popup(self, page: Any) -> None:
        """Count a window that the page opened."""
        self.popups += 1
        self._first("popup", cut(display_target(page.url), MAX_FACT_CHARACTERS))

    def on_download(self, download: Any) -> None:
        """Count a download that was refused."""
        self.downloads += 1
        self._first("download", cut(download.suggested_filename, MAX_FACT_CHARACTERS))

    def on_crash(self, *_: Any) -> None:
        """Note that the page's process died."""
        self.is_crashed = True

    def _count(self, request: Any, ending: Ending, how: str) -> None:
        kind = request.resource_type
        self.requests[kind, party(host_of(request.url), self.own), ending] += 1
        self._note(request, how)

    def _note(self, request: Any, how: str) -> None:
        if len(self.lines) < MAX_LINES:
            self.lines.append(f"{request.method} {self._named(request)} {how}")

    def _named(self, request: Any) -> str:
        return cut(display_target(request.url), MAX_FACT_CHARACTERS)

    def _first(self, name: str, text: str) -> None:
        self.firsts.setdefault(name, text[: MAX_FACT_CHARACTERS + 1])


def _is_of_icon(message: Any) -> bool:
    """Return whether an error is that of an icon which no page asked for: browsers look there."""
    if not message.text.startswith(_NOT_LOADED):
        return False
    try:
        return urlsplit(str(message.location.get("url"))).path == "/favicon.ico"
    except ValueError:
        return False


def bytes_by_party(received: Mapping[str, int], own: str) -> tuple[tuple[Party, int], ...]:
    """Return the bytes that came, by party; *received* by host."""
    found: Counter[Party] = Counter()
    for host, size in received.items():
        found[party(host, own)] += size
    return tuple(sorted(found.items()))
