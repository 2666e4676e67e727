"""How Chromium is started: silent, without a network of its own, with the sandbox as told.

What Playwright sets by default is kept, but for what would take the page's brakes off. Every
connection of the browser itself goes to a proxy that lets nothing out.
"""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from probes.browser.protocol import Fault, Hello
from probes.result import Reason
from probes.units import short

if TYPE_CHECKING:
    from playwright.async_api import Browser, Playwright

# Chromium starts in 0.3 to 2 s; a machine that needs longer has no room for it.
START_S = 30.0
# Playwright takes these brakes off for its tests; a page of the wild keeps them.
KEPT_BRAKES = ["--disable-popup-blocking", "--disable-ipc-flooding-protection"]
FLAGS = (
    "--disable-dev-shm-usage",
    # UDP does not go through the proxy: no HTTP/3, no WebRTC but over it
    "--disable-quic",
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    # its name in older versions, which do not know the other one
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    # without quotes, which Chromium would take as a part of the rule: no name is asked for here
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    # what the browser would ask its maker for; the flags for it differ from version to version, and
    # the proxies let nothing of it out either
    "--gaia-url=http://127.0.0.1:1",
    "--component-updater=url-source=http://127.0.0.1:1/",
    "--autofill-server-url=http://127.0.0.1:1/",
    "--disable-domain-reliability",
    "--disable-client-side-phishing-detection",
    "--disable-print-preview",
    "--no-pings",
    "--disable-notifications",
    "--disable-speech-api",
)
# A line of Chromium's in Playwright's message.
_SAID = re.compile(r"^\[pid=\d+\]\[err\] (.+)$", re.MULTILINE)
# No container has a bus; the shell script around Debian's Chromium cannot count its memory.
_NOISE = ("dbus/bus.cc", ": [: ")
# What Chromium says when it cannot start -> what remedies it.
_REMEDIES: tuple[tuple[str, Reason, str], ...] = (
    (
        "Running as root without --no-sandbox",
        Reason.PERMISSION,
        (
            "want a sandbox, got Chromium as root, which has none: run the prober as another"
            " user, or write browser.sandbox: false"
        ),
    ),
    (
        "No usable sandbox",
        Reason.PERMISSION,
        (
            "want user namespaces for the sandbox, got none: allow them (sysctl"
            " kernel.unprivileged_userns_clone=1, user.max_user_namespaces, or Ubuntu's"
            " kernel.apparmor_restrict_unprivileged_userns=0), or write browser.sandbox: false"
        ),
    ),
    (
        "Failed to move to new namespace",
        Reason.PERMISSION,
        (
            "want user namespaces for the sandbox, got them denied: allow them in the seccomp"
            " profile, or write browser.sandbox: false"
        ),
    ),
    (
        "executable doesn't exist",
        Reason.CONFIG,
        "want Chromium at browser.executable, got no such program: apt install chromium",
    ),
    (
        "error while loading shared libraries",
        Reason.CONFIG,
        "want a whole installation of Chromium, got one without a library: apt install chromium",
    ),
)


async def launch(playwright: "Playwright", hello: Hello, proxy_port: int) -> "Browser":
    """Start Chromium.

    Raises:
        playwright Error: it does not start; `start_fault` says why.
    """
    heap = hello.max_heap_bytes // 2**20
    return await playwright.chromium.launch(
        executable_path=hello.executable,
        headless=True,
        chromium_sandbox=hello.sandbox,
        handle_sigint=False,
        handle_sigterm=False,
        handle_sighup=False,
        timeout=START_S * 1000,
        proxy={"server": f"socks5://127.0.0.1:{proxy_port}"},
        ignore_default_args=KEPT_BRAKES,
        args=[*FLAGS, f"--js-flags=--max-old-space-size={heap}"],
    )


def start_fault(text: str) -> Fault:
    """Return why Chromium did not start, by what Playwright says of it."""
    for word, reason, message in _REMEDIES:
        if word in text:
            return Fault(reason, message)
    return Fault(Reason.RESOURCE, f"want Chromium to start, got {_last_words(text)}")


def _last_words(text: str) -> str:
    """Return why Chromium gave up: in its own words, else in Playwright's."""
    said = [words for words in _SAID.findall(text) if not any(it in words for it in _NOISE)]
    fatal = next((words for words in said if ":FATAL:" in words), said[0] if said else "")
    if fatal:
        return short(fatal.rpartition("] ")[2])
    first = text.partition("\n")[0].removeprefix("BrowserType.launch: ")
    if "has been closed" in first:
        return "its end without a word: look at the limits of descriptors, processes and memory"
    return short(first)


def look_options(locale: str, timezone: str, user_agent: str) -> Mapping[str, Any]:
    """Return the options of a context that are not Chromium's own."""
    options = {"locale": locale, "timezone_id": timezone, "user_agent": user_agent}
    return {name: value for name, value in options.items() if value}
