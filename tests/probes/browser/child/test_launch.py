"""How Chromium is started, and what is said when it does not."""

import pytest

from probes.browser.child.launch import FLAGS, look_options, start_fault
from probes.result import Reason

CLOSED = "BrowserType.launch: Target page, context or browser has been closed\nBrowser logs:\n\n"
NOISE = (
    "[pid=7][err] /usr/bin/chromium: 9: [: 25275437056: unexpected operator\n"
    "[pid=7][err] [7:7:1121/192028.8:ERROR:dbus/bus.cc:405] Failed to connect to the bus\n"
)


@pytest.mark.parametrize(
    ("text", "reason", "remedy"),
    [
        ("[err] Running as root without --no-sandbox is not", Reason.PERMISSION, "sandbox: false"),
        ("FATAL: No usable sandbox! Update your kernel", Reason.PERMISSION, "userns_clone"),
        ("Failed to move to new namespace: EPERM", Reason.PERMISSION, "seccomp"),
        (
            "BrowserType.launch: Failed to launch chromium because executable doesn't exist at /x",
            Reason.CONFIG,
            "apt install chromium",
        ),
        ("error while loading shared libraries: libnss3.so", Reason.CONFIG, "apt install"),
        ("BrowserType.launch: Timeout 30000ms\nlog", Reason.RESOURCE, "got 'Timeout 30000ms'"),
        (f"{CLOSED}{NOISE}", Reason.RESOURCE, "got its end without a word: look at the limits of"),
        (
            f"{CLOSED}{NOISE}[pid=7][err] unknown option --x\n[pid=7][err] usage: y",
            Reason.RESOURCE,
            "want Chromium to start, got 'unknown option --x'",
        ),
        (
            f"{CLOSED}[pid=7][err] a\n[pid=7][err] [7:7:1/2:FATAL:a/b.cc(9)] Check failed: x.",
            Reason.RESOURCE,
            "want Chromium to start, got 'Check failed: x.'",
        ),
    ],
)
def test_a_browser_that_does_not_start_tells_the_remedy(
    text: str, reason: Reason, remedy: str
) -> None:
    fault = start_fault(text)

    assert fault.reason is reason
    assert fault.message.startswith("want ")
    assert remedy in fault.message


def test_nothing_passes_the_proxy_by() -> None:
    assert "--disable-quic" in FLAGS
    assert "--force-webrtc-ip-handling-policy=disable_non_proxied_udp" in FLAGS
    assert "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1" in FLAGS


def test_only_what_is_told_differs_from_chromiums_own_look() -> None:
    assert look_options("", "", "") == {}
    assert look_options("de-DE", "Europe/Berlin", "x") == {
        "locale": "de-DE",
        "timezone_id": "Europe/Berlin",
        "user_agent": "x",
    }
