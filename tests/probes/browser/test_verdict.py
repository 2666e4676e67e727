from typing import Any

import pytest

from probes.browser.protocol import Fault, Page
from probes.browser.verdict import miss_in_vitals, unobserved
from probes.result import Reason

PAGES = (Page("home", {"lcp": 1.0, "cls": 0.05}), Page("pay", {"lcp": 3.0, "cls": 0.2}))


@pytest.mark.parametrize(
    ("vitals", "wanted"),
    [
        pytest.param({"lcp": {"lt": "4s"}, "cls": {"lt": 0.3}}, None, id="all hold"),
        pytest.param({"lcp": "3s"}, None, id="a bare duration is the most"),
        pytest.param(
            {"lcp": {"lt": "2.5s"}},
            Fault(Reason.LATENCY, "lcp of page pay: want duration < 2.5s, got 3s", "pay"),
            id="one page is too slow",
        ),
        pytest.param(
            {"cls": {"lt": 0.1}},
            Fault(Reason.VALUE, "cls of page pay: want < 0.1, got 0.2", "pay"),
            id="a number",
        ),
        pytest.param({"inp": {"lt": "1ms"}}, None, id="not observed"),
    ],
)
def test_every_page_is_judged(vitals: dict[str, Any], wanted: Fault | None) -> None:
    assert miss_in_vitals(vitals, PAGES) == wanted


def test_what_was_not_observed_is_named() -> None:
    assert unobserved({"lcp": "1s", "inp": "1s", "cls": 1}, PAGES) == ["inp"]
    assert unobserved({"lcp": "1s"}, ()) == ["lcp"]
