"""The line dialog: expansion as Go does it, labels, one buffer, what ends a talk."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from probes.errors import CheckFailed
from probes.pattern import Pattern
from probes.recorder import Recorder
from probes.redact import Secret
from probes.result import Reason
from probes.wire.dialog.steps import MAX_LABEL_CHARACTERS, Step, Talk, expand
from probes.wire.net import dial
from probes.wire.tls.settings import TlsOptions
from tests.faults.tcp import Handler, answering, ending, talking, tcp_fault

BLACKBOX = {"dialect": "blackbox"}


def step(*, dialect: bool = False, **keys: Any) -> Step:
    return Step.model_validate(keys, context=BLACKBOX if dialect else None)


def match_of(pattern: str, line: bytes) -> Any:
    match = Pattern(pattern).search(line)
    assert match is not None
    return match


async def talk_through(
    handler: Handler, *steps: dict[str, Any], line_end: str = ""
) -> tuple[Recorder, CheckFailed | None]:
    recorder, failure = Recorder(), None
    talk = Talk(recorder, TlsOptions(), line_end=line_end)
    async with tcp_fault(handler) as port:
        try:
            async with dial(f"127.0.0.1:{port}", recorder) as connection:
                await talk.through([step(**keys) for keys in steps], connection)
        except CheckFailed as raised:
            failure = raised
    talk.record()
    return recorder, failure


def told(recorder: Recorder, name: str) -> list[dict[str, str]]:
    return [dict(sample.labels) for sample in recorder.samples if sample.name == name]


# --- expansion


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        pytest.param("$1", "abc", id="by number"),
        pytest.param("${1}x", "abcx", id="in braces"),
        pytest.param("$1x", "", id="the longest run: the group 1x"),
        pytest.param("$1-$2", "abc-7", id="a run ends where no word goes on"),
        pytest.param("$0", "abc 7", id="the whole match"),
        pytest.param("$num ${num}", "7 7", id="by name"),
        pytest.param("$number", "", id="a longer name"),
        pytest.param("$9", "", id="no such group"),
        pytest.param("$3", "", id="a group that took no part"),
        pytest.param("$01", "", id="a leading zero is a name"),
        pytest.param("$99999999999999999999", "", id="a number beyond all groups"),
        pytest.param("$$1", "$1", id="a dollar"),
        pytest.param("$$$1", "$abc", id="a dollar and a group"),
        pytest.param("a $ b ${ ${} ${1 $-", "a $ b ${ ${} ${1 $-", id="no references"),
        pytest.param("$é1", "", id="letters are not only ours"),
    ],
)
def test_references_are_replaced_as_go_does(template: str, expected: str) -> None:
    match = match_of(r"([a-z]+) (?P<num>[0-9])(?P<rest>x)?", b"... abc 7")

    assert expand(template, match) == expected


def test_words_of_a_line_are_no_references() -> None:
    assert expand("<$1>", match_of("(.*)", b"$1 ${1} $$")) == "<$1 ${1} $$>"


@given(template=st.text(alphabet=st.sampled_from("$${}1a_ é")), line=st.text())
def test_any_template_expands_to_its_plain_pieces(template: str, line: str) -> None:
    expanded = expand(template, match_of("^", line.encode("utf-8", "replace")))

    # every group is empty: what is left stood in the template, in that order
    rest = iter(template)
    assert all(character in rest for character in expanded)


# --- settings of a step


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        pytest.param({}, "want expect, expect_bytes, send or starttls, got none", id="nothing"),
        pytest.param({"expect": "a", "expect_bytes": "b"}, "got both", id="both"),
        pytest.param(
            {"send": "x", "labels": {"a": "$1"}}, "want expect beside labels", id="labels alone"
        ),
        pytest.param(
            {"expect": "a", "labels": {"a-b": "$1"}}, "want a label name such as", id="a dash"
        ),
        pytest.param(
            {"expect": "a", "labels": {"__name__": "x"}}, "want a label name such as", id="__"
        ),
        pytest.param(
            {"expect": "a", "labels": {"probe": "x"}}, "a label name that is not taken", id="taken"
        ),
        pytest.param(
            {"expect": "a", "labels": [{"name": "a", "value": "1"}, {"name": "a", "value": "2"}]},
            "want each label once, got 'a' twice",
            id="twice",
        ),
        pytest.param({"expect": "a", "labels": ["a"]}, "want a name and a value", id="no pair"),
        pytest.param({"send": {"hex": "0"}}, "want bytes in hex, got '0'", id="hex"),
    ],
)
def test_a_step_that_makes_no_sense_is_told(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        step(**keys)


@pytest.mark.parametrize(
    "keys",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"send": "", "expect_bytes": ""}, id="empty texts"),
        pytest.param({"send": "x", "labels": [{"name": "a", "value": "$1"}]}, id="labels alone"),
        pytest.param({"expect": "", "labels": [{"name": "job", "value": ""}]}, id="a taken name"),
    ],
)
def test_what_upstream_loads_is_loaded(keys: dict[str, Any]) -> None:
    """blackbox.md 3.3: every other mistake is one there too."""
    step(dialect=True, **keys)


def test_a_step_can_be_shown_and_read_again() -> None:
    written = step(expect="a", labels={"a": "$1"}, send={"hex": "00ff"})
    hidden = step(send=Secret("hunter2"))

    assert Step.model_validate(written.model_dump(mode="json")) == written
    assert "hunter2" not in hidden.model_dump_json()


# --- talks


async def test_what_is_sent_takes_up_the_line_before() -> None:
    """blackbox.md 4.3: IRC's PING is answered with its own word."""
    handler = answering({b"": b"NOTICE hi\r\nPING :x$1\r\n", b"PONG x$1 for $5\n": b"welcome\n"})

    _, failure = await talk_through(
        handler,
        {"expect": "^PING :(?P<word>.*)$", "send": "PONG ${word} for $$5"},
        {"expect": "^welcome"},
        line_end="\n",
    )

    assert failure is None


@pytest.mark.parametrize(
    ("send", "sent"),
    [
        pytest.param({"hex": "00ff2431"}, b"\x00\xffhi\n", id="bytes"),
        pytest.param(Secret("pa$1$$"), b"pa$1$$\n", id="a secret as it is"),
        pytest.param("$2", b"", id="nothing is left, no line end either"),
    ],
)
async def test_bytes_secrets_and_nothing(send: Any, sent: bytes) -> None:
    handler = answering({b"": b"hi\n", sent + b"end\n": b"bye\n"})

    _, failure = await talk_through(
        handler, {"expect": "(hi)", "send": send}, {"send": "end"}, {"expect": "bye"}, line_end="\n"
    )

    assert failure is None


async def test_text_without_a_match_is_sent_raw() -> None:
    _, failure = await talk_through(
        answering({b"$1 $$": b"ok\n"}), {"send": "$1 $$"}, {"expect": "ok"}
    )

    assert failure is None


async def test_lines_and_bytes_come_out_of_one_buffer() -> None:
    """D8: upstream loses what its line buffer holds."""
    _, failure = await talk_through(
        talking(b"hello\r\n\x00\x01rest\nend"),
        {"expect": "^hello$"},
        {"expect_bytes": {"hex": "0001"}},
        {"expect": "^rest$"},
        {"expect_bytes": "end"},
    )

    assert failure is None


async def test_labels_of_several_steps_are_one_family() -> None:
    """D7: upstream panics."""
    recorder, failure = await talk_through(
        talking(b"220 mail ESMTP Postfix\r\n250 SIZE 42\r\n"),
        {"expect": r"^220 (\S+) ESMTP (.*)$", "labels": {"host": "$1", "software": "${2}"}},
        {"expect": "SIZE ([0-9]+)", "labels": {"size": "$1", "nothing": "$2"}},
    )

    assert failure is None
    assert told(recorder, "expect_info") == [
        {"host": "mail", "nothing": "", "size": "", "software": "Postfix"},
        {"host": "", "nothing": "", "size": "42", "software": ""},
    ]


async def test_steps_that_say_the_same_are_one_series() -> None:
    labels = {"word": "$0"}
    recorder, _ = await talk_through(
        talking(b"a\na\n"), {"expect": "a", "labels": labels}, {"expect": "a", "labels": labels}
    )

    assert told(recorder, "expect_info") == [{"word": "a"}]


async def test_labels_of_a_talk_that_fails_later_are_kept() -> None:
    recorder, failure = await talk_through(
        ending(b"v1\n"), {"expect": "v(.*)", "labels": {"version": "$1"}}, {"expect": "v2"}
    )

    assert failure is not None
    assert failure.reason is Reason.CLOSED
    assert told(recorder, "expect_info") == [{"version": "1"}]


async def test_a_label_is_cut_and_holds_text_only() -> None:
    recorder, _ = await talk_through(
        talking(b"\xff" * 2000 + b"\n"), {"expect": "(.*)", "labels": {"junk": "$1"}}
    )

    assert told(recorder, "expect_info") == [{"junk": "\ufffd" * MAX_LABEL_CHARACTERS}]


async def test_a_line_is_not_made_larger_without_end() -> None:
    recorder, failure = await talk_through(
        talking(b"x" * 60_000 + b"\n"), {"expect": "(.*)", "send": "$1" * 1000}
    )

    assert failure is not None
    assert failure.reason is Reason.TOO_LARGE
    assert failure.message == "want at most 1048576 bytes out of a line, got more"
    assert recorder.phase_name == "dialog"


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(b"220 go\r\nQUIT\r\n", id="behind the line"),
        pytest.param(b"220 go\n\x16\x03\x01", id="the start of a record"),
    ],
)
async def test_words_in_clear_text_ahead_of_tls_fail_the_talk(lines: bytes) -> None:
    """CVE-2011-0411: they would else pass for encrypted ones."""
    recorder, failure = await talk_through(talking(lines), {"expect": "^220", "starttls": True})

    assert failure is not None
    assert failure.reason is Reason.PROTOCOL
    assert failure.message.startswith("want nothing before TLS, got b'")
    assert not [phase for phase in recorder.phases if phase.name == "tls"]
