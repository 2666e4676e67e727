"""No text that came from outside breaks any outlet, and no secret gets through one."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings

from probes.redact import Redactor
from scenarios.outlets.cleaning import cleaned
from scenarios.outlets.junit import to_junit
from scenarios.outlets.markdown import to_markdown
from scenarios.outlets.page import to_html
from scenarios.outlets.structure import from_json, to_json
from scenarios.outlets.text import to_text
from scenarios.records import Told
from scenarios.report import LoadReport, Verdict, Why
from tests.scenarios.outlets.hostile import OUTLETS, TEXTS, spoilt, texts
from tests.scenarios.reports import small

MANY = settings(max_examples=10, deadline=None)
BARE_PIPE = re.compile(r"(?<!\\)\|")


class Skeleton(HTMLParser):
    """Tags and names of attributes; demands that what is opened is closed."""

    VOID = frozenset({"meta", "wbr"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, ...]] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        if tag != "wbr":
            self.found.append((tag, *(name for name, _ in attrs)))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, *(name for name, _ in attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def shape_of_junit(text: str) -> list[tuple[str, ...]]:
    return [(it.tag, *it.attrib) for it in ElementTree.fromstring(text).iter()]


def shape_of_markdown(text: str) -> list[int]:
    return [len(BARE_PIPE.findall(line)) for line in text.splitlines() if line.startswith("| ")]


SKELETON = Skeleton(to_html(spoilt("x"))).found
SHAPE_OF_JUNIT = shape_of_junit(to_junit(spoilt("x")))
MARKDOWN = to_markdown(spoilt("x"))
LINES = to_text(spoilt("x")).count("\n")


@MANY
@given(texts)
def test_no_text_changes_the_elements_of_the_page(text: str) -> None:
    page = to_html(spoilt(text))

    assert Skeleton(page).found == SKELETON
    assert page.encode()


@MANY
@given(texts)
def test_no_text_changes_the_elements_of_the_junit_report(text: str) -> None:
    assert shape_of_junit(to_junit(spoilt(text))) == SHAPE_OF_JUNIT


@MANY
@given(texts)
def test_no_text_leaves_its_cell_of_a_markdown_table(text: str) -> None:
    found = to_markdown(spoilt(text))

    assert shape_of_markdown(found) == shape_of_markdown(MARKDOWN)
    assert found.count("\n") == MARKDOWN.count("\n")


@MANY
@given(texts)
def test_no_text_steers_the_terminal(text: str) -> None:
    found = to_text(spoilt(text))

    assert found.count("\n") == LINES
    assert found.encode()
    assert not set(found) & set("\x00\x07\x1b\x7f\x9b\r\u202e\u2066\ud800")


@MANY
@given(texts)
def test_what_json_was_written_is_read_and_written_again_the_same(text: str) -> None:
    found = to_json(spoilt(text))

    assert found.isascii()
    assert to_json(from_json(found)) == found


@MANY
@given(texts)
def test_what_is_clean_stays_as_it_is(text: str) -> None:
    once = cleaned(spoilt(text))
    twice = cleaned(once)

    assert replace(twice, book=once.book) == once
    assert twice.book.as_dict() == once.book.as_dict()


def test_texts_of_ten_thousand_characters_do_not_fill_the_report() -> None:
    """Data 11: very long names too."""
    page = to_html(spoilt("x" * 10_000))

    assert "x" * 119 + "…" in page
    assert "x" * 600 not in page
    assert len(page) < 100_000


SECRETS = ("hunter2", "s3cr3t-canary-of-this-run", "abcdefghijklmnop0123456789")


def leaking() -> LoadReport:
    text = "GET https://bob:hunter2@shop.test/a?token=zzz failed, Bearer abcdefghijklmnop0123456789"
    made = small()
    assert made.plan is not None
    return replace(
        made,
        target="https://bob:hunter2@shop.test/?key=hunter2",
        errors=(Told("login", "status", f"{text} s3cr3t-canary-of-this-run", 1),),
        reasons=(Why(Verdict.FAIL, "threshold", text),),
        notes=(text, "password=hunter2"),
        plan=replace(
            made.plan,
            variables={"api_key": "hunter2", "user": "s3cr3t-canary-of-this-run"},
            journeys={
                "checkout": {
                    "steps": [
                        {
                            "name": "pay",
                            "headers": {"Authorization": "hunter2"},
                            "json": {"password": ["hunter2"], "token": "${secret.token}"},
                        }
                    ]
                }
            },
        ),
    )


@pytest.mark.parametrize("outlet", OUTLETS.values(), ids=OUTLETS)
def test_no_secret_gets_through(outlet: Callable[..., str]) -> None:
    found = outlet(leaking(), hide=Redactor({"s3cr3t-canary-of-this-run"}))

    assert [secret for secret in SECRETS if secret in found] == []
    assert "***" in found


def test_a_template_that_names_a_secret_is_no_secret() -> None:
    found = json.loads(to_json(leaking(), Redactor({"s3cr3t-canary-of-this-run"})))

    (step,) = found["plan"]["journeys"]["checkout"]["steps"]
    assert step["json"] == {"password": ["***"], "token": "${secret.token}"}
    assert step["headers"] == {"Authorization": "***"}


def test_there_is_something_hostile() -> None:
    assert len(TEXTS) > 15
