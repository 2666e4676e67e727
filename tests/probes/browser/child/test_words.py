"""What Playwright and Chromium say, in our words."""

import pytest

from probes.browser.child.words import element_fault, is_gone, net_error, net_fault
from probes.result import Reason

WAITING = """Locator.click: Timeout 700ms exceeded.
Call log:
  - waiting for get_by_role("button", name="Pay")
    - locator resolved to <button>Pay</button>
  - attempting click action
    2 \u00d7 waiting for element to be visible, enabled and stable
"""
WANTED = 'button "Pay" to be clickable'


@pytest.mark.parametrize(
    ("log", "got"),
    [
        pytest.param("      - element is not visible\n", "it hidden", id="hidden"),
        pytest.param("      - element is not enabled\n", "it disabled", id="disabled"),
        pytest.param("      - element is not stable\n", "it moving", id="moving"),
        pytest.param("    - did not find some options\n", "it without that option", id="option"),
        pytest.param(
            '      - <div class="b" id="veil">x</div> intercepts pointer events\n',
            "it covered by <div#veil>",
            id="covered",
        ),
        pytest.param(
            "      - <p>x</p> from <div>y</div> subtree intercepts pointer events\n",
            "it covered by <p>",
            id="covered by something below",
        ),
        pytest.param(
            "      - element is not visible\n      - element is not enabled\n",
            "it disabled",
            id="the last word counts",
        ),
        pytest.param("", "it not ready", id="nothing more is known"),
    ],
)
def test_the_state_in_which_an_element_stayed_is_told(log: str, got: str) -> None:
    fault = element_fault(WAITING + log, WANTED, 0.7)

    assert fault.reason is Reason.BODY
    assert fault.message == f'want button "Pay" to be clickable within 0.7 s, got {got}'


@pytest.mark.parametrize(
    ("text", "reason", "message"),
    [
        pytest.param(
            "Locator.click: Timeout 5000ms exceeded.\nCall log:\n  - waiting for locator('x')\n",
            Reason.BODY,
            f"want {WANTED} within 5 s, got none",
            id="not there",
        ),
        pytest.param(
            'Locator.click: Error: strict mode violation: get_by_role("button") resolved to 3'
            " elements:\n    1) <button>",
            Reason.BODY,
            f"want one element for {WANTED}, got 3",
            id="three",
        ),
        pytest.param(
            "Locator.fill: Error: Element is not an <input>, <textarea>, <select> or",
            Reason.BODY,
            f"want {WANTED}, got an element that takes no text",
            id="paragraph",
        ),
        pytest.param(
            'Locator.press: Unknown key: "Foo"\nCall log:\n',
            Reason.CONFIG,
            f"want {WANTED}, got 'Unknown key: \"Foo\"'",
            id="key",
        ),
        pytest.param(
            'Locator.click: Unexpected token "" while parsing css selector "a[[".\nCall log:\n',
            Reason.CONFIG,
            f'want {WANTED}, got \'Unexpected token "" while parsing css selector "a[[".\'',
            id="selector",
        ),
    ],
)
def test_what_is_no_matter_of_waiting_is_told_at_once(
    text: str, reason: Reason, message: str
) -> None:
    fault = element_fault(text, WANTED, 5.0)

    assert (fault.reason, fault.message) == (reason, message)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("ERR_CERT_DATE_INVALID", Reason.CERTIFICATE_EXPIRED),
        ("ERR_CERT_COMMON_NAME_INVALID", Reason.CERTIFICATE_NAME),
        ("ERR_CERT_AUTHORITY_INVALID", Reason.CERTIFICATE_UNTRUSTED),
        ("ERR_CERT_WEAK_SIGNATURE_ALGORITHM", Reason.CERTIFICATE_UNTRUSTED),
        ("ERR_SSL_UNRECOGNIZED_NAME_ALERT", Reason.TLS),
        ("ERR_TOO_MANY_REDIRECTS", Reason.REDIRECT),
        ("ERR_EMPTY_RESPONSE", Reason.CLOSED),
        ("ERR_UNSAFE_PORT", Reason.CONFIG),
        ("ERR_OF_TOMORROW", Reason.PROTOCOL),
    ],
)
def test_a_network_error_has_a_reason(name: str, reason: Reason) -> None:
    text = f"Page.goto: net::{name} at https://shop.example/\nCall log:\n"

    fault = net_fault(net_error(text), "https://shop.example/")

    assert fault.reason is reason
    assert fault.message.startswith("want the page 'https://shop.example/', got ")
    assert fault.message.endswith(f" ({name})")


def test_an_error_without_a_name_has_none() -> None:
    assert net_error("Page.goto: Timeout 700ms exceeded.") == ""


def test_a_page_that_is_no_more_is_known() -> None:
    assert is_gone("Page.title: Target page, context or browser has been closed")
    assert not is_gone("Page.title: Timeout")
