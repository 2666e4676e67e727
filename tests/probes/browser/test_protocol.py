from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.browser.plan import Action, Locator, Look, Plan, Step, Take
from probes.browser.protocol import (
    MAX_LINE_BYTES,
    PROTOCOL,
    Artefact,
    Begun,
    Done,
    Ended,
    Fault,
    Hello,
    Order,
    Page,
    Quit,
    Ready,
    Report,
    Run,
    Stop,
    Trouble,
    Values,
    line,
    read_order,
    read_report,
)
from probes.result import Reason
from probes.wire.policy import Policy, Rule

PLAN = Plan(
    "signup",
    "http://x/",
    (
        Step("home", Action.GOTO, text="/", statuses=("200-299",)),
        Step("pay", Action.CLICK, Locator("role", "button", "Pay"), condition="${a}"),
        Step("take", Action.EXTRACT, extract=(Take("a", "url", pattern="x", default=[1]),)),
        Step("judge", Action.EXPECT, expect={"title": {"contains": "${a}"}}),
    ),
    vitals={"lcp": {"lt": "2s"}},
    look=Look(800, 600, "en-GB"),
    headers=(("X-A", "b"),),
    block=("*.ads",),
)
RULE = Rule(
    cidr=ip_network("10.0.0.0/8"), host="*.x", ports=(range(1, 9),), schemes=frozenset({"http"})
)
VALUES = Values("r", 3, 4, {"a": [1, None]}, {"user": "ann"}, {"p": "s3cret"}, {"HOME": "/"})
POLICY = Policy(
    trusts_first=False, allow=(RULE, Rule(unix="/run/*")), deny=(Rule(cidr=ip_network("fd00::/8")),)
)
ORDERS: list[Order] = [
    Hello(PROTOCOL, "/usr/bin/chromium", sandbox=True, work="/tmp/x"),
    Run("1", PLAN, VALUES, 3.5, POLICY, "full", "/tmp/x/1"),
    Stop("1"),
    Quit(),
]
REPORTS: list[Report] = [
    Ready(PROTOCOL, "156.0", "1.65"),
    Begun("1", "home"),
    Ended("1", "home", "goto", "failed", 1, Fault(Reason.STATUS, "m"), (("tls", 0.1),), 500),
    Done(
        "1", Fault(Reason.LATENCY, "m"),
        (Page("home", {"lcp": 1.0}, {"load": 2.0}),), (("document", "first", "good", 1),),
        (("third", 5),), 1, 2, 3, {"a": "b"}, ("hidden",), (Artefact("har", "x.har"),),
    ),
    Trouble("", Reason.PERMISSION, "want user namespaces"),
]  # fmt: skip


@pytest.mark.parametrize("order", ORDERS, ids=lambda it: type(it).__name__)
def test_an_order_comes_back_equal(order: Order) -> None:
    text = line(order)
    assert text.endswith(b"\n")
    assert text.count(b"\n") == 1
    assert read_order(text) == order


@pytest.mark.parametrize("report", REPORTS, ids=lambda it: type(it).__name__)
def test_a_report_comes_back_equal(report: Report) -> None:
    assert read_report(line(report)) == report


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(b"", "want one JSON text a line, got b''", id="nothing"),
        pytest.param(b"Segmentation fault", "want one JSON text a line", id="no JSON"),
        pytest.param(b"[" * 100_000, "want one JSON text a line", id="deep"),
        pytest.param(b"[]", "want a message of ready, begun, ended, done, trouble", id="no object"),
        pytest.param(b'{"t":"quit"}', "want a message of ready", id="an order"),
        pytest.param(b'{"t":[]}', "want a message of ready", id="unhashable"),
        pytest.param(b'{"t":"begun","id":"1"}', "want the keys of Begun", id="a key less"),
        pytest.param(b'{"t":"begun","id":1,"step":""}', "want str at id, got 1", id="type"),
        pytest.param(b" " * (MAX_LINE_BYTES + 1), "want a line of at most", id="long"),
        pytest.param(b'{"t":"begun","id":NaN,"step":""}', "want str at id, got nan", id="NaN"),
    ],
)
def test_a_line_that_is_no_report_is_refused(text: bytes, message: str) -> None:
    with pytest.raises(ValueError, match="want") as refused:
        read_report(text)
    assert message in str(refused.value)


def test_a_line_that_is_too_long_is_not_sent() -> None:
    with pytest.raises(ValueError, match="want a line of at most 4194304 bytes, got"):
        line(Begun("1", "x" * MAX_LINE_BYTES))


def test_secrets_are_in_no_repr() -> None:
    assert "s3cret" not in repr(ORDERS[1])
    assert "hidden" not in repr(REPORTS[3])


@given(st.binary(max_size=200))
def test_any_bytes_are_a_report_or_a_value_error(text: bytes) -> None:
    try:
        read_report(text)
    except ValueError:
        return


def test_a_locator_names_itself() -> None:
    assert str(Locator("role", "button", "Pay")) == "button 'Pay'"
    assert str(Locator("label", "E-mail")) == "label 'E-mail'"
