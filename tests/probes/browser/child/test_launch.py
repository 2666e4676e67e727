"""How Chromium is started, and what is said when it does not."""

import pytest

from probes.browser.child.launch import FLAGS, look_options, start_fault
from probes.result import Reason


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
