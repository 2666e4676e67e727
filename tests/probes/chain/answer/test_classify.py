"""What an answer is: the order of questions, the tables, and that nothing escapes them."""

import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.chain.answer.classify import MAX_RETRY_AFTER_S, classify, classify_batch, classify_get
from probes.chain.answer.rpcerror import KNOWN_CODES
from probes.chain.model import Family
from probes.chain.reasons import ChainReason
from probes.chain.talk import Answer, Ask, Class
from probes.errors import CheckFailed
from probes.result import Reason
from probes.wire.jsonrpc import Reply

ASK = Ask("head", "eth_blockNumber")
LOGS = Ask("logs", "eth_getLogs")
NULLABLE = Ask("block", "eth_getBlockByNumber", allows_null=True)
FAMILIES: tuple[Family, ...] = get_args(Family)
OUTCOMES = {
    "ok", "rpc_error", "unsupported", "missing_data", "rate_limited", "auth", "http_error",
    "timeout", "connect", "tls", "invalid",
}  # fmt: skip


def reply(document: Any, status: int = 200, *headers: tuple[bytes, bytes]) -> Reply:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return Reply(status=status, body=body, headers=headers, ids=(7,), seconds=0.25, ended=5.0)


def result(value: Any, number: Any = 7) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "result": value}


def error(code: Any, message: str = "", data: Any = None, number: Any = 7) -> dict[str, Any]:
    told = {"code": code, "message": message}
    return {"jsonrpc": "2.0", "id": number, "error": told | ({"data": data} if data else {})}


def ask_evm(document: Any, status: int = 200, ask: Ask = ASK) -> Answer:
    return classify("evm", ask, reply(document, status))


def test_a_result_is_an_answer_with_its_latency() -> None:
    answer = classify("evm", ASK, reply(result("0x10"), 200, (b"age", b"3")))

    assert answer == Answer("ok", result="0x10", seconds=0.25, ended=5.0, headers=((b"age", b"3"),))
    assert answer.ok


def test_integers_beyond_a_float_are_exact() -> None:
    assert ask_evm(result(2**63 - 1)).result == 2**63 - 1


@pytest.mark.parametrize(
    ("status", "kind", "reason", "outcome"),
    [
        (401, "auth_failed", ChainReason.AUTH_FAILED, "auth"),
        (402, "plan_exhausted", ChainReason.PLAN_EXHAUSTED, "http_error"),
        (403, "auth_failed", ChainReason.AUTH_FAILED, "auth"),
        (405, "unsupported", ChainReason.RPC_CORE_ERROR, "unsupported"),
        (415, "unsupported", ChainReason.RPC_CORE_ERROR, "unsupported"),
        (429, "rate_limited", ChainReason.RATE_LIMITED, "rate_limited"),
    ],
)
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"slow down", id="text"),
        pytest.param(error(-32603, "Internal error"), id="another error"),
        pytest.param(result("0x1"), id="even a result"),
    ],
)
def test_some_statuses_decide_whatever_the_body_says(
    status: int, kind: str, reason: ChainReason, outcome: str, body: Any
) -> None:
    """Rows 9, 11, 12."""
    answer = ask_evm(body, status)

    assert (answer.kind, answer.reason, answer.outcome) == (kind, reason, outcome)
    assert answer.detail == f"want status 200, got {status}"


@pytest.mark.parametrize(
    ("status", "body", "kind", "reason", "detail"),
    [
        pytest.param(
            502, b"<html>Bad Gateway", "http_error", "http_5xx", "want status 200, got 502",
            id="row 7",
        ),
        pytest.param(404, b"", "http_error", "http_4xx", "want status 200, got 404", id="404"),
        pytest.param(
            200, b"<!DOCTYPE html>", "invalid", "invalid_response",
            "want JSON, got Expecting value at byte 0: b'<!DOCTYPE html>'", id="row 8",
        ),
        pytest.param(
            200, {"request_id": 1, "error": "no node"}, "invalid", "invalid_response",
            "want an error object of JSON-RPC, got 'no node'", id="row 14",
        ),
        pytest.param(
            200, {"id": 7, "error": "no node"}, "invalid", "invalid_response",
            "want an error object of JSON-RPC, got 'no node'", id="row 14 with our id",
        ),
        pytest.param(
            500, {"id": 7, "error": "no node"}, "http_error", "http_5xx",
            "want status 200, got 500", id="a foreign error below a status",
        ),
        pytest.param(
            200, {"jsonrpc": "2.0", "id": 7}, "invalid", "invalid_response",
            "want a result or an error, got neither", id="row 16 neither",
        ),
        pytest.param(
            200, result(1) | error(1, "x"), "invalid", "invalid_response",
            "want a result or an error, got both", id="row 16 both",
        ),
        pytest.param(
            200, result(None), "invalid", "invalid_response", "want a result, got null",
            id="row 17",
        ),
        pytest.param(
            200, [result(1)], "invalid", "invalid_response",
            "want an object of JSON-RPC, got [{'jsonrpc': '2.0', 'id': 7, 'result': 1}]",
            id="an array",
        ),
        pytest.param(
            200, result(1, 8), "invalid", "invalid_response", "want the id 7, got 8",
            id="another id",
        ),
        pytest.param(
            200, result(1, "7"), "invalid", "invalid_response", "want the id 7, got '7'",
            id="the id as text",
        ),
        pytest.param(
            200, result(1, None), "invalid", "invalid_response", "want the id 7, got null",
            id="a result without id",
        ),
        pytest.param(
            200, error(-32000, "x", number=8), "invalid", "invalid_response",
            "want the id 7, got 8", id="an error of another call",
        ),
        pytest.param(
            301, b"", "invalid", "invalid_response", "want an answer, got a redirect (301)",
            id="a redirect",
        ),
        pytest.param(
            200, b'{"id":7,"result":NaN}', "invalid", "invalid_response",
            "want JSON, got the number NaN", id="NaN",
        ),
        pytest.param(
            200, b'{"id":7,"result":' + b"[" * 100_000, "invalid", "invalid_response",
            "want JSON of at most 64 levels, got more", id="deep",
        ),
        pytest.param(999, b"", "http_error", "http_5xx", "want status 200, got 999", id="999"),
    ],
)  # fmt: skip
def test_what_is_no_answer_of_json_rpc_is_told_by_its_status_first(
    status: int, body: Any, kind: str, reason: str, detail: str
) -> None:
    answer = ask_evm(body, status)

    assert (answer.kind, answer.reason, answer.detail) == (kind, reason, detail)


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        pytest.param({"id": 7, "result": 1}, "ok", id="without jsonrpc"),
        pytest.param({"id": 7.0, "result": 1}, "ok", id="a language without integers"),
        pytest.param({"id": 7, "result": 1, "error": None}, "ok", id="JSON-RPC 1.0"),
        pytest.param(
            {"id": 7, "result": None, "error": {"code": -28, "message": "Loading"}},
            "server_error",
            id="JSON-RPC 1.0 error",
        ),
        pytest.param(
            {"error": {"code": -32600, "message": "Only method calls are supported"}, "id": None},
            "bad_params",
            id="row 15",
        ),
        pytest.param({"error": {"message": "oops"}, "id": 7}, "server_error", id="without code"),
        pytest.param({"error": {"code": "x", "message": "oops"}}, "server_error", id="odd code"),
    ],
)
def test_what_clients_in_use_leave_out_is_tolerated(document: Any, kind: str) -> None:
    assert ask_evm(document).kind == kind


def test_null_is_a_result_where_it_is_allowed() -> None:
    answer = ask_evm(result(None), ask=NULLABLE)

    assert answer.ok
    assert answer.result is None


@pytest.mark.parametrize(
    ("family", "code", "message", "kind"),
    [
        ("evm", -32005, "", "rate_limited"),
        ("solana", -32005, "", "node_unhealthy"),
        ("cosmos", -32005, "", "server_error"),
        (None, -32005, "", "server_error"),
        ("evm", -32004, "", "unsupported"),
        ("solana", -32004, "", "missing_data"),
        ("solana", -32016, "Minimum context slot has not been reached", "missing_data"),
        ("evm", -32016, "over rate limit", "rate_limited"),
        (None, -32601, "Method not found", "unsupported"),
        ("evm", -32700, "The method net_x does not exist/is not available", "unsupported"),
        ("evm", -32700, "net_x does not exist", "unsupported"),
        ("evm", -32700, "header not found", "missing_data"),
        ("evm", -32700, "parse error", "bad_params"),
        ("evm", -32000, "the method debug_x is not available", "unsupported"),
        ("evm", -32000, "rpc method is not whitelisted", "unsupported"),
        ("evm", -32601, "trace_block is not included in your current plan", "unsupported"),
        ("evm", -32000, "limit for your current plan reached", "plan_exhausted"),
        ("evm", 429, "Monthly capacity limit exceeded.", "plan_exhausted"),
        ("evm", 429, "", "rate_limited"),
        ("evm", -32029, "", "rate_limited"),
        ("evm", -32005, "daily request count exceeded, request rate limited", "rate_limited"),
        ("evm", -32000, "Too Many Requests", "rate_limited"),
        ("evm", -32600, "Unauthorized: must authenticate", "auth_failed"),
        ("evm", 4444, "Pruned history unavailable", "missing_data"),
        ("evm", -32000, "missing trie node 1f (path ) state", "missing_data"),
        ("evm", -32000, "historical state 0x1 is not available", "missing_data"),
        ("evm", -32602, "BlockOutOfRangeError: block height is 41", "missing_data"),
        ("evm", 3, "execution reverted", "reverted"),
        ("evm", 3, "execution reverted: rate limit", "reverted"),
        ("evm", -32000, "execution reverted: method does not exist", "reverted"),
        ("evm", -32000, "insufficient funds", "server_error"),
        ("evm", -32602, "invalid argument 0", "bad_params"),
        ("evm", -32603, "Internal error", "server_error"),
        ("evm", -39001, "Unknown block", "server_error"),
        ("evm", 2**80, "", "server_error"),
        ("solana", -32007, "Slot 1 was skipped", "missing_data"),
        ("solana", -32005, "Node is behind by 213 slots", "node_unhealthy"),
    ],
)
def test_an_error_is_told_by_its_phrase_then_by_its_code(
    family: Family | None, code: int, message: str, kind: str
) -> None:
    """Rows 10, 11, 13, 19, 50, 51; an error below a status counts as well."""
    for status in (200, 400, 500):
        answer = classify(family, ASK, reply(error(code, message), status))
        assert (answer.kind, answer.code) == (kind, code)


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        (-32005, "", "range_limited"),
        (-32602, "bad", "range_limited"),
        (-32005, "query returned more than 10000 results", "range_limited"),
        (-32000, "eth_getLogs block range is too large, rate limit", "range_limited"),
        (-32000, "response too large", "range_limited"),
        (-32005, "rate limit exceeded", "rate_limited"),
        (-32602, "BlockOutOfRangeError", "missing_data"),
    ],
)
def test_for_logs_the_range_goes_before_the_rate(code: int, message: str, kind: str) -> None:
    assert ask_evm(error(code, message), ask=LOGS).kind == kind
    other = ask_evm(error(code, message))
    assert other.kind != "range_limited"


def test_comet_tells_what_is_wrong_in_the_data() -> None:
    pruned = "height 1 is not available, lowest height is 5200791"
    answer = classify("cosmos", ASK, reply(error(-32603, "Internal error", pruned), 500))

    assert answer.kind == "missing_data"
    assert answer.data == pruned
    assert answer.message == "Internal error"
    assert answer.detail == f"want a result, got error -32603 'Internal error: {pruned}'"


def test_the_data_of_an_error_is_kept_as_it_came() -> None:
    answer = classify("solana", ASK, reply(error(-32005, "x", {"numSlotsBehind": 213})))

    assert answer.data == {"numSlotsBehind": 213}


def test_a_detail_shows_neither_a_url_nor_much_of_a_text() -> None:
    """Row 58."""
    text = "quota, visit https://x.example/v2/KEY?key=K " + "z" * 2000
    answer = ask_evm(error(-32000, text))

    assert "example" not in answer.detail + answer.message
    assert "KEY" not in answer.detail + answer.message
    assert answer.detail.startswith("want a result, got error -32000 'quota, visit a URL zzz")
    assert len(answer.detail) < 130
    assert len(answer.message) <= 512


@pytest.mark.parametrize(
    ("failure", "reason", "outcome", "phase"),
    [
        (Reason.DNS_NXDOMAIN, "dns_failed", "connect", "resolve"),
        (Reason.DNS_SERVFAIL, "dns_failed", "connect", "resolve"),
        (Reason.DNS_TIMEOUT, "dns_failed", "timeout", "resolve"),
        (Reason.REFUSED, "connect_refused", "connect", "connect"),
        (Reason.UNREACHABLE, "connect_failed", "connect", "connect"),
        (Reason.TIMEOUT, "timeout", "timeout", "connect"),
        (Reason.TIMEOUT, "timeout", "timeout", "tls"),
        (Reason.CLOSED, "connection_reset", "tls", "tls"),
        (Reason.TLS, "tls_invalid", "tls", "tls"),
        (Reason.CERTIFICATE_EXPIRED, "tls_invalid", "tls", "tls"),
        (Reason.CERTIFICATE_NAME, "tls_invalid", "tls", "tls"),
        (Reason.NETWORK, "probe_network", "connect", "connect"),
        (Reason.POLICY, "probe_network", "connect", "connect"),
    ],
)
def test_what_broke_off_before_the_request_goes_before_everything(
    failure: Reason, reason: str, outcome: str, phase: str
) -> None:
    """Rows 1 to 4."""
    broken = Reply(ids=(7,), failure=CheckFailed(failure, "want a, got b", phase=phase))
    answer = classify("evm", ASK, broken)

    assert (answer.kind, answer.reason, answer.outcome) == ("transport", reason, outcome)
    assert (answer.cause, answer.phase, answer.detail) == (failure, phase, "want a, got b")


@pytest.mark.parametrize(("phase", "word"), [("processing", "response"), ("transfer", "body")])
def test_phases_of_an_exchange_have_the_words_of_chains(phase: str, word: str) -> None:
    """Rows 3, 5, 6."""
    failure = CheckFailed(Reason.TIMEOUT, "want, got", phase=phase)
    answer = classify("evm", ASK, Reply(status=200, ids=(7,), failure=failure))

    assert (answer.reason, answer.phase) == (ChainReason.TIMEOUT, word)


@pytest.mark.parametrize(
    ("reason", "status", "kind"),
    [
        pytest.param(Reason.TOO_LARGE, 200, "too_large", id="row 53"),
        pytest.param(Reason.TOO_LARGE, 429, "rate_limited", id="a status decides before the size"),
        pytest.param(Reason.TOO_LARGE, 502, "too_large", id="the size before other statuses"),
        pytest.param(Reason.PROTOCOL, 200, "invalid", id="a broken encoding"),
        pytest.param(Reason.PROTOCOL, 502, "http_error", id="a broken encoding below a status"),
        pytest.param(Reason.PROTOCOL, 0, "invalid", id="no HTTP at all"),
    ],
)
def test_a_body_that_cannot_be_read_says_less_than_the_status(
    reason: Reason, status: int, kind: str
) -> None:
    failure = CheckFailed(reason, "want less, got more")

    assert classify("evm", ASK, Reply(status=status, ids=(7,), failure=failure)).kind == kind


NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"30", 30),
        (b" 2 ", 2),
        (b"1.5", 1.5),
        (b"86400", MAX_RETRY_AFTER_S),
        (b"-5", 0),
        (b"", 0),
        (b"soon", 0),
        (b"nan", 0),
        (b"1e400", 0),
        (b"Tue, 14 Nov 2023 22:14:20 GMT", 60),
        (b"Tue, 14 Nov 2023 22:14:20 -0000", 60),
        (b"Tue, 14 Nov 2033 22:14:20 GMT", MAX_RETRY_AFTER_S),
        (b"Tue, 14 Nov 2013 22:14:20 GMT", 0),
        (b"Tue, 99 Nov 2023 22:14:20 GMT", 0),
    ],
)
def test_retry_after_is_read_as_seconds_or_date_and_capped(value: bytes, seconds: float) -> None:
    answer = classify("evm", ASK, reply(b"", 429, (b"retry-after", value)), NOW)

    assert answer.retry_after_s == seconds


def test_without_retry_after_nobody_says_how_long_and_without_a_clock_no_date_is_read() -> None:
    date = (b"retry-after", b"Tue, 14 Nov 2023 22:14:20 GMT")

    assert classify("evm", ASK, reply(b"", 429)).retry_after_s == 0
    assert classify("evm", ASK, reply(b"", 429, date)).retry_after_s == 0
    assert classify("evm", ASK, reply(b"", 500, date)).retry_after_s is None
    inside = classify("evm", ASK, reply(error(-32005), 200, (b"retry-after", b"9")))
    assert inside.retry_after_s == 9


ASKS = (Ask("id", "eth_chainId"), Ask("peers", "net_peerCount"), NULLABLE)


def batch(document: Any, status: int = 200) -> tuple[Answer, ...]:
    body = json.dumps(document).encode()
    return classify_batch("evm", ASKS, Reply(status=status, body=body, ids=(1, 2, 3)))


def test_the_answers_of_a_batch_are_told_by_their_ids() -> None:
    found = batch([result(None, 3), error(-32601, "no", number=2), result("0x1", 1)])

    assert [answer.kind for answer in found] == ["ok", "unsupported", "ok"]
    assert found[0].result == "0x1"


@pytest.mark.parametrize(
    ("document", "status", "kinds"),
    [
        pytest.param(
            error(-32600, "batch too large", number=None), 400, ["bad_params"] * 3,
            id="row 52: an object instead of an array",
        ),
        pytest.param(result("0x1", 1), 200, ["invalid"] * 3, id="the answer to one of them"),
        pytest.param([], 200, ["invalid"] * 3, id="nothing"),
        pytest.param(
            [error(-32005, "rate limit", number=None)], 200, ["rate_limited"] * 3,
            id="one error for all",
        ),
        pytest.param(
            [result(1, 1), error(-32005, "rate limit", number=None)], 200,
            ["ok", "rate_limited", "rate_limited"], id="an error for the rest",
        ),
        pytest.param([result(1, 1), result(2, 1), 5, result(2, 2)], 200,
                     ["invalid", "ok", "invalid"], id="an id twice"),
        pytest.param([], 503, ["http_error"] * 3, id="a status"),
        pytest.param([], 429, ["rate_limited"] * 3, id="throttled"),
        pytest.param("no", 200, ["invalid"] * 3, id="a text"),
    ],
)  # fmt: skip
def test_whatever_comes_for_a_batch_each_call_has_its_answer(
    document: Any, status: int, kinds: list[str]
) -> None:
    assert [answer.kind for answer in batch(document, status)] == kinds


@pytest.mark.parametrize(
    ("status", "body", "kind", "value"),
    [
        (200, b"ok", "ok", "ok"),
        (200, b'{"height": "5"}', "ok", {"height": "5"}),
        (200, b"", "ok", ""),
        (200, b"\xff", "ok", "\ufffd"),
        (302, b"", "invalid", None),
        (404, b"", "unsupported", None),
        (404, b'{"code": 5, "message": "not found"}', "missing_data", None),
        (501, b'{"code": 12, "message": "Not Implemented"}', "unsupported", None),
        (500, b'{"code": 2, "message": "panic"}', "http_error", None),
        (500, b"[1]", "http_error", None),
        (403, b"", "auth_failed", None),
        (429, b"", "rate_limited", None),
    ],
)
def test_a_plain_get_gives_its_document_or_text(
    status: int, body: bytes, kind: str, value: Any
) -> None:
    answer = classify_get(Reply(status=status, body=body))

    assert (answer.kind, answer.result) == (kind, value)


def test_an_error_of_the_rest_gateway_is_told() -> None:
    body = b'{"code": 2, "message": "codespace wasm code 9", "details": []}'
    answer = classify_get(Reply(status=500, body=body))

    assert answer.detail == "want status 200, got 500: 'codespace wasm code 9'"
    assert answer.reason is ChainReason.HTTP_5XX
    assert answer.code == 2


def test_known_codes_are_few_enough_for_a_label() -> None:
    assert {-32601, -32005, 4444, -32700} <= KNOWN_CODES
    assert len(KNOWN_CODES) < 30


SCALAR = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from([1, 7, -32601, -32005, "rate limit", "method does not exist"])
)
NAMES = st.sampled_from(["id", "result", "error", "code", "message", "data", "jsonrpc"])
DOCUMENTS = st.recursive(
    SCALAR,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=12,
)
FAILURES = st.none() | st.builds(
    CheckFailed,
    st.sampled_from(list(Reason)),
    st.text(max_size=30),
    phase=st.sampled_from([None, "connect", "tls", "processing", "transfer"]),
)
REPLIES = st.builds(
    Reply,
    status=st.sampled_from([0, 200, 204, 301, 400, 401, 402, 404, 405, 429, 500, 503, 999]),
    body=st.binary(max_size=60) | DOCUMENTS.map(lambda it: json.dumps(it).encode()),
    headers=st.lists(
        st.tuples(st.sampled_from([b"retry-after", b"age"]), st.binary(max_size=20)), max_size=2
    ).map(tuple),
    ids=st.just((1, 7, 9)),
    failure=FAILURES,
)


@given(st.sampled_from([None, *FAMILIES]), st.sampled_from([*ASKS, LOGS]), REPLIES)
def test_whatever_comes_is_exactly_one_class(family: Family | None, ask: Ask, came: Reply) -> None:
    found = [
        classify(family, ask, came, NOW),
        classify_get(came, NOW),
        *classify_batch(family, ASKS, came, NOW),
    ]

    assert len(found) == 5
    for answer in found:
        assert answer.kind in get_args(Class)
        assert answer.outcome in OUTCOMES
        assert (answer.reason is None) == (answer.outcome == "ok") == answer.ok
        assert len(answer.detail) <= 600
        assert (answer.detail + answer.message).encode("utf-8") or not answer.detail
        assert answer.retry_after_s is None or 0 <= answer.retry_after_s <= MAX_RETRY_AFTER_S
