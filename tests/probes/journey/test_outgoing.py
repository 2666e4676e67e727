"""What goes out for a request, and what is said of an answer that came too late."""

import pytest

from probes.errors import CheckFailed
from probes.journey.model import Request
from probes.journey.outgoing import bare, judge_lines, outgoing, too_late
from probes.recorder import Recorder
from probes.result import Reason
from probes.wire.url import parse_url

URL = parse_url("http://shop.test/")


def test_ours_are_added_and_theirs_win() -> None:
    theirs = (("accept-encoding", "br"), ("USER-AGENT", "me"), ("X-A", "1"), ("X-A", "2"))

    assert outgoing(Request("ask", "GET", URL, theirs)).headers == theirs
    names = [name for name, _ in outgoing(Request("ask", "GET", URL)).headers]
    assert names == ["User-Agent", "Accept-Encoding"]


def test_the_host_is_the_wires_own_business() -> None:
    sent = outgoing(Request("ask", "GET", URL, (("host", "a.test"), ("X-A", "1"))))

    assert sent.host == "a.test"
    assert ("X-A", "1") in sent.headers
    assert all(name.lower() != "host" for name, _ in sent.headers)


def test_a_url_is_bared_of_its_user() -> None:
    url = parse_url("http://ann:pw@shop.test/a?b")

    assert (bare(url).user, bare(url).password, str(bare(url))) == ("", "", str(url))
    assert bare(URL) is URL


@pytest.mark.parametrize(
    "line", [("X A", "1"), ("", "1"), ("X-A", "1\n"), ("X-A", "\0"), ("X-A", "\udfff")]
)
def test_a_line_that_is_none_is_refused_without_its_value(line: tuple[str, str]) -> None:
    with pytest.raises(CheckFailed) as caught:
        judge_lines((line,))

    assert caught.value.reason is Reason.CONFIG


@pytest.mark.parametrize(
    ("phase", "reason", "where"),
    [
        (None, Reason.TIMEOUT, ""),
        ("connect", Reason.TIMEOUT, " in phase connect"),
        ("resolve", Reason.DNS_TIMEOUT, " in phase resolve"),
    ],
)
def test_the_phase_that_waited_is_told(phase: str | None, reason: Reason, where: str) -> None:
    recorder = Recorder()
    if phase:
        recorder.enter(phase)

    failure = too_late(1.5, recorder)

    assert (failure.reason, failure.phase) == (reason, phase)
    assert failure.message == f"want an answer within 1.5 s, got none{where}"
