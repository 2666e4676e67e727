"""Questions as bytes, and heads of what comes back."""

import dns.message
import dns.name
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.errors import CheckFailed
from probes.wire.dns.codes import TYPES, flag_names, rcode_name, rcode_number, type_number
from probes.wire.dns.question import Edns, Question, check_head, encode_name, number_of
from tests.probes.wire.dns.made import answer_to


@pytest.mark.parametrize(
    "name", [".", "example", "www.example.org.", r"a\.b.example", r"\000\255.example", "*.example"]
)
def test_a_name_is_encoded_as_dnspython_does(name: str) -> None:
    assert encode_name(name) == dns.name.from_text(name).to_wire()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("a..b", "want a name of a DNS zone, got 'a..b'", id="empty label"),
        pytest.param(".a", "want a name of a DNS zone, got '.a'", id="begins with a dot"),
        pytest.param("a\\", "want a name of a DNS zone", id="half an escape"),
        pytest.param("a\\256", "want an escape up to \\\\255", id="escape"),
        pytest.param("x" * 64, "want labels of at most 63 bytes", id="long label"),
        pytest.param(".".join(["x" * 62] * 5), "want a name of at most 255 bytes", id="long"),
    ],
)
def test_what_is_no_name_is_refused(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encode_name(name)


@given(st.text(max_size=80))
def test_any_text_is_a_name_or_a_mistake(text: str) -> None:
    try:
        wire = encode_name(text)
    except ValueError:
        return
    assert wire[-1] == 0
    assert len(wire) <= 255


def test_a_question_is_read_by_dnspython_as_it_was_meant() -> None:
    question = Question(
        "www.example.", TYPES["AAAA"], recursion=False, checking_disabled=True, authentic=True,
        edns=Edns(payload=1400, dnssec=True, nsid=True),
    )  # fmt: skip

    message = dns.message.from_wire(question.encode(4711))

    assert message.id == 4711
    assert str(message.question[0]) == "www.example. IN AAAA"
    assert flag_names(int(message.flags)) == "ad cd"
    assert (message.edns, message.payload, message.ednsflags) == (0, 1400, 0x8000)
    assert [int(option.otype) for option in message.options] == [3]


def test_an_answer_repeats_the_question_in_any_case() -> None:
    question = Question("WWW.Example", 1)
    answer = answer_to(Question("www.eXAMPLE", 1).encode(1))

    assert question.is_answered_by(answer)
    assert not question.is_answered_by(answer_to(Question("www.example", 2).encode(1)))
    assert not question.is_answered_by(answer_to(Question("www.example2", 1).encode(1)))


def test_a_server_that_could_not_read_the_question_need_not_repeat_it() -> None:
    formerr = b"\0\1\x80\1" + b"\0" * 8

    check_head(formerr, Question("www.example", 1))

    assert number_of(formerr) == 1
    assert number_of(formerr[:11]) is None


@given(st.binary(max_size=80))
def test_any_head_is_an_answer_or_none(message: bytes) -> None:
    failure = None
    try:
        check_head(message, Question("www.example", 1))
    except CheckFailed as caught:
        failure = caught
    assert failure is None or failure.message.startswith("want ")


def test_numbers_have_names() -> None:
    assert type_number("TYPE65535") == 65535
    assert type_number("TYPE65536") is None
    assert type_number("MX") == 15
    assert (rcode_number("BADSIG"), rcode_number("noerror")) == (16, None)
    assert (rcode_name(3), rcode_name(12)) == ("NXDOMAIN", "code 12")
