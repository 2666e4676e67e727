from typing import Any

import pytest
from pydantic import ValidationError

from probes.browser.settings import BrowserJourneyKeys

STEPS = [{"name": "home", "goto": "/"}]


def read(**values: Any) -> BrowserJourneyKeys:
    return BrowserJourneyKeys.model_validate({"browser": {}, "steps": STEPS, **values})


def test_the_defaults_are_those_of_the_document() -> None:
    found = read()
    assert found.timeout == 60
    assert found.browser.executable == "/usr/bin/chromium"
    assert found.browser.sandbox is True
    assert found.browser.viewport == (1280, 720)
    assert found.browser.record == "on_failure"
    assert found.browser.evaluate is False


def test_settings_survive_their_json() -> None:
    found = read(browser={"viewport": "800x600"}, expect={"lcp": {"lt": "1s"}, "cls": 0})
    assert BrowserJourneyKeys.model_validate(found.model_dump(mode="json", by_alias=True)) == found


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(
            {"viewport": "big"},
            "want width and height in pixels such as 1280x720, got 'big'",
            id="viewport",
        ),
        pytest.param({"locale": "english!"}, "want a locale such as en-GB", id="locale"),
        pytest.param(
            {"timezone": "Europe/Berlim"},
            "want a time zone such as Europe/Berlin, got 'Europe/Berlim'; did you mean"
            " 'Europe/Berlin'?",
            id="time zone",
        ),
        pytest.param(
            {"block": ["https://ads.example.org"]},
            "want a host or host/path such as '*.ads.example.org', got 'https://ads.example.org'",
            id="block",
        ),
        pytest.param({"user_agent": "${vars.x}"}, "want a fixed text", id="known in a run alone"),
    ],
)
def test_a_browser_that_is_none_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        read(browser=options)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("expect", "message"),
    [
        pytest.param(
            {"lcp": {"below": "1s"}},
            "want a duration or lt, lte, gt, gte of one, got 'below'",
            id="operator",
        ),
        pytest.param({"lcp": 2}, "want a duration with its unit", id="unit"),
        pytest.param({"cls": {"lt": 0.1, "than": 1}}, "want an operator, got 'than'", id="cls"),
        pytest.param({"fid": "1s"}, "Extra inputs are not permitted", id="unknown vital"),
    ],
)
def test_a_vital_that_cannot_be_judged_is_refused(expect: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        read(expect=expect)
    assert message in str(refused.value)
