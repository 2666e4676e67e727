"""What is expected of an answer."""

from typing import Any

import pytest

from probes.errors import CheckFailed
from probes.result import Reason
from probes.wire.dns.answer import Answer, Record
from probes.wire.dns.expect import DnsExpect, RecordsExpect


def record(rdata: str, kind: str = "A") -> Record:
    return Record("www.example.", 1, 300, f"www.example.\t300\tIN\t{kind}\t{rdata}", rdata)


ONE, TWO = record("192.0.2.1"), record("192.0.2.2")


def miss(keys: dict[str, Any], *records: Record, dialect: bool = False) -> str | None:
    context = {"dialect": "blackbox"} if dialect else None
    expect = RecordsExpect.model_validate(keys, context=context)
    failure = None
    try:
        expect.judge("answer", records)
    except CheckFailed as caught:
        failure = caught
    if failure is None:
        return None
    assert (failure.reason, failure.phase) == (Reason.BODY, "request")
    return failure.message


# blackbox.md 4.4: what each option makes of no record, one that matches, one that does not, both
@pytest.mark.parametrize(
    ("key", "empty", "matching", "other", "both"),
    [
        pytest.param("forbid", True, False, True, False, id="fail_if_matches_regexp"),
        pytest.param("every", False, True, False, False, id="fail_if_not_matches_regexp"),
        pytest.param("some", False, True, False, True, id="fail_if_none_matches_regexp"),
        pytest.param("every_if_any", True, True, False, False, id="fail_if_all_match_regexp, D2"),
        pytest.param("not_every", True, False, True, True, id="what its name says"),
    ],
)
def test_every_list_means_what_the_table_says(
    key: str, empty: bool, matching: bool, other: bool, both: bool
) -> None:
    keys = {key: [r"\.1$"]}

    assert (miss(keys) is None) is empty
    assert (miss(keys, ONE) is None) is matching
    assert (miss(keys, TWO) is None) is other
    assert (miss(keys, ONE, TWO) is None) is both


@pytest.mark.parametrize(
    ("key", "wanted"),
    [
        pytest.param("forbid", False, id="none of them"),
        pytest.param("every", False, id="each of them"),
        pytest.param("some", True, id="any of them"),
        pytest.param("every_if_any", False, id="each of them, if any"),
        pytest.param("not_every", True, id="not all of them"),
    ],
)
def test_several_patterns_of_a_list_count_together(key: str, wanted: bool) -> None:
    assert (miss({key: [r"\.1$", r"\.2$"]}, ONE, TWO) is None) is wanted


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        pytest.param(
            {"forbid": ["192"]},
            "want no record in the answer section that matches '192', "
            "got 'www.example. 300 IN A 192.0.2.1'",
            id="forbidden",
        ),
        pytest.param(
            {"every": ["10[.]"]},
            "want each record in the answer section to match '10[.]', "
            "got 'www.example. 300 IN A 192.0.2.1'",
            id="not every",
        ),
        pytest.param(
            {"some": ["10", "11"]},
            "want a record in the answer section that matches '10' or '11', got none of 2",
            id="none",
        ),
        pytest.param(
            {"not_every": ["192"]},
            "want a record in the answer section that misses '192', got none",
            id="every one",
        ),
        pytest.param(
            {"max": 1}, "want at most 1 records in the answer section, got 2", id="too many"
        ),
    ],
)
def test_a_miss_names_pattern_and_record(keys: dict[str, Any], message: str) -> None:
    assert miss(keys, ONE, TWO) == message


def test_a_missing_record_is_told() -> None:
    message = miss({"every": ["x"]})

    assert message == "want a record in the answer section that matches 'x', got none"


@pytest.mark.parametrize("key", ["forbid", "every", "some", "every_if_any"])
def test_in_the_dialect_what_is_no_pattern_fails_when_it_is_tried(key: str) -> None:
    message = miss({key: ["192", "("] if key != "forbid" else ["10", "("]}, ONE, dialect=True)

    assert message is not None
    assert message.startswith("want an RE2 pattern, got '('")


def test_in_the_dialect_what_is_not_tried_does_no_harm() -> None:
    assert miss({"forbid": ["("], "every_if_any": ["("]}, dialect=True) is None


def test_the_record_of_edns_is_one_in_the_dialect_only() -> None:
    opt = Record(".", 41, 0, "\n;; OPT PSEUDOSECTION:", "")
    answer = Answer(rcode=0, flags=0x8000, additional=(opt,))
    expect = DnsExpect.model_validate({"additional": {"max": 0}})

    expect.judge(answer, with_opt=False)

    with pytest.raises(CheckFailed, match="want at most 0 records in the additional section"):
        expect.judge(answer, with_opt=True)


def test_a_single_code_may_stand_without_a_list() -> None:
    expect = DnsExpect.model_validate({"rcode": "NXDOMAIN"})

    assert expect.rcodes == {3}
