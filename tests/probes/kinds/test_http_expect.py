"""Kind http: every key of ``expect``, what it measures, and the files it reads for each run."""

import base64
import gzip
import os
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from pydantic import ValidationError

from probes.kinds.http import BLACKBOX_AGENT, Http, canonical_name
from probes.probe import Probe
from probes.recorder import Recorder
from probes.result import Outcome, Reason, Result
from probes.run import run_once
from probes.wire.http_check.bodies import MAX_JUDGED_BYTES
from probes.wire.http_check.request import MAX_BODY_FILE_BYTES
from probes.wire.tls.settings import TlsOptions
from probes.wire.url import parse_url
from tests.faults.http import BODY, Call, FaultServer, fault_server
from tests.harness import Check, undeclared

UNREAD = "want a body to judge, got a 302 that is not followed: it is not read"


def http(**keys: Any) -> Http:
    return Http.model_validate(keys)


def module(**keys: Any) -> Http:
    """Return what a module of a blackbox.yml becomes."""
    return Http.model_validate(keys, context={"dialect": "blackbox"})


async def _twice(call: Call) -> None:
    await call.send(
        b"HTTP/1.1 200 OK\r\nX-Part: one\r\nX-Part: two\r\nContent-Length: 0\r\n"
        b"Connection: close\r\n\r\n"
    )


@pytest_asyncio.fixture
async def server() -> AsyncIterator[FaultServer]:
    faults = FaultServer()
    faults.faults["twice"] = _twice
    async with fault_server(faults=faults) as running:
        yield running


def values(result: Result) -> dict[str, float]:
    return {sample.name: sample.value for sample in result.samples}


def flags(result: Result) -> tuple[float, float | None]:
    found = values(result)
    return found["failed_due_to_regex"], found.get("failed_due_to_cel")


@pytest.mark.parametrize(
    ("path", "expect"),
    [
        ("/ok", {"body": ["all", "is (well|ill)$|\\n"]}),
        ("/ok", {"body": []}),
        ("/ok", {"body_lacks": ["ill$", "^well"]}),
        ("/ok", {"body_lacks": "^well"}),
        ("/twice", {"headers": [{"name": "x-part", "regex": "^two$"}]}),
        ("/ok", {"headers": [{"name": "x-part", "regex": "two", "optional": True}]}),
        ("/ok", {"headers_lack": [{"name": "Server", "regex": "nginx"}]}),
        ("/ok", {"headers_lack": {"name": "x-part", "regex": "one", "optional": True}}),
        ("/ok/json", {"cel": "body.lag == 3 && body.status.matches('^heal')"}),
        ("/ok/json", {"cel_not": "body.lag > 3.5", "cel": "has(body.status)"}),
        ("/ok", {"http_version": ["1.1", "2"]}),
        ("/ok", {"http_version": 1.1}),
        ("/close-delimited", {"http_version": "1.0"}),
        ("/ok", {"tls": "absent"}),
        ("/ok", {"latency": {"phases": {"connect": "5s", "transfer": {"warn": "4s"}}}}),
    ],
)
async def test_what_is_as_expected_is_up(
    server: FaultServer, check: Check, path: str, expect: Any
) -> None:
    result = await check(http(expect=expect), server.url(path))
    assert result.outcome is Outcome.UP, result.failure or result.warnings
    assert flags(result) == (0, 0 if "cel" in str(expect) else None)
    assert not undeclared(result, http())


BODY_LIKE = "body: want a text like 'ill', got 'all is well\\n'"
NO_CEL = "cel: want JSON, got Expecting value at byte 0: b'all is well\\n'"
NO_BOOL = "cel: want true or false, got 3.0"
NO_KEY = "cel_not: want true or false, got no key 'x'"


@pytest.mark.parametrize(
    ("path", "expect", "reason", "message", "told"),
    [
        ("/ok", {"body": ["all", "ill"]}, Reason.BODY, BODY_LIKE, (1, None)),
        ("/ok", {"body_lacks": ["ill", "w.ll"]}, Reason.BODY,
         "body: want no text like 'w.ll', got one", (1, None)),
        ("/twice", {"headers": [{"name": "X-Part", "regex": "three"}]}, Reason.BODY,
         "header X-Part: want a text like 'three', got 'one'", (1, None)),
        ("/twice", {"headers_lack": [{"name": "X-Part", "regex": "two"}]}, Reason.BODY,
         "header X-Part: want no text like 'two', got 'two'", (1, None)),
        ("/ok", {"headers": [{"name": "X-Part", "regex": "."}]}, Reason.BODY,
         "header X-Part: want a text like '.', got nothing", (1, None)),
        ("/ok", {"headers_lack": [{"name": "X-Part", "regex": "."}]}, Reason.BODY,
         "header X-Part: want no text like '.', got nothing", (1, None)),
        ("/ok/json", {"cel": "body.lag < 3"}, Reason.BODY,
         "cel: want body.lag < 3, got false", (0, 1)),
        ("/ok/json", {"cel_not": "body.lag == 3"}, Reason.BODY,
         "cel_not: want body.lag == 3, got true", (0, 1)),
        ("/ok/json", {"cel": "body.lag"}, Reason.BODY, NO_BOOL, (0, 1)),
        ("/ok/json", {"cel_not": "body.x"}, Reason.BODY, NO_KEY, (0, 1)),
        ("/ok", {"cel": "true"}, Reason.BODY, NO_CEL, (0, 1)),
        ("/short", {"cel": "true"}, Reason.CLOSED, None, (0, 1)),
        ("/short", {"cel": "true", "body": ["a"]}, Reason.CLOSED, None, (1, 0)),
        ("/ok/json", {"body_lacks": "lag", "cel": "false"}, Reason.BODY, None, (1, 0)),
        ("/status/500", {"body": ["ill"], "cel": "false"}, Reason.STATUS, None, (0, 0)),
        ("/short", {"http_version": "2"}, Reason.CLOSED, None, (0, None)),
        ("/ok", {"http_version": ["2", "3"], "tls": "present"}, Reason.PROTOCOL,
         "want HTTP/2 or HTTP/3, got HTTP/1.1", (0, None)),
        ("/ok", {"tls": "present"}, Reason.PROTOCOL, "want TLS, got plain HTTP", (0, None)),
    ],
)  # fmt: skip
async def test_a_miss_is_down_with_its_flag(
    server: FaultServer, path: str, expect: Any, reason: Reason, message: str | None, told: Any
) -> None:
    result = await run(http(expect=expect), server.url(path))
    assert result.outcome is Outcome.DOWN
    assert result.failure is not None
    assert result.failure.reason is reason
    assert message in (None, result.failure.message)
    assert flags(result) == told


async def run(kind: Http, url: str) -> Result:
    return await run_once(Probe(name="it", kind=kind, target=url, timeout_s=5))


async def test_the_same_keys_warn(server: FaultServer, check: Check) -> None:
    warn = {"cel": "body.lag < 3", "body_lacks": ["nowhere"]}

    result = await check(http(warn=warn), server.url("/ok/json"))

    assert result.outcome is Outcome.DEGRADED
    assert [warning.reason for warning in result.warnings] == [Reason.BODY]
    assert flags(result) == (0, None)


async def test_tls_is_judged_on_the_last_answer(
    server: FaultServer, server_context: ssl.SSLContext, ca_file: Path, check: Check
) -> None:
    options = TlsOptions(ca_file=str(ca_file))
    async with fault_server(server_context) as secure:
        over = await check(http(tls=options, expect={"tls": "absent"}), secure.url("/ok"))
        left = secure.url(f"/to/302?{server.url('/ok')}")
        back = await check(http(tls=options, expect={"tls": "absent"}), left)

    assert over.failure is not None
    assert over.failure.message == "want plain HTTP, got TLS"
    assert back.outcome is Outcome.UP, back.failure


@pytest.mark.parametrize(
    "expect", [{"body": ["$"]}, {"body_lacks": ["nowhere"]}, {"json": {"$": 1}}, {"cel": "true"}]
)
async def test_the_body_of_a_redirect_that_is_not_followed_is_not_read(
    server: FaultServer, check: Check, expect: Any
) -> None:
    kind = http(follow_redirects=False, expect={"status": 302, **expect})
    result = await check(kind, server.url("/hops/1"))
    assert result.failure is not None
    assert (result.failure.reason, result.failure.message) == (Reason.BODY, UNREAD)
    assert flags(result) == ((0, 1) if "cel" in expect else (1, None))
    assert values(result)["http_uncompressed_body_length"] == 0


def test_a_body_that_nobody_reads_is_advised_against() -> None:
    odd = http(follow_redirects=False, expect={"status": "3xx", "body": ["a"]})
    fine = http(follow_redirects=False, expect={"body": ["a"]})
    assert [text.partition(":")[0] for text in odd.advice("http://a.example/")] == [
        "expect looks at the body, and that of a redirect is not read"
    ]
    assert not list(fine.advice("http://a.example/"))


async def test_a_redirect_too_many_is_the_answer_of_who_expects_it(
    server: FaultServer, check: Check
) -> None:
    result = await check(http(expect=302), server.url("/loop"))
    assert result.outcome is Outcome.UP, result.failure
    assert values(result)["http_redirects"] == 11


async def test_lengths_are_of_the_last_answer_alone(server: FaultServer, check: Check) -> None:
    """D12: hops whose bodies differ in size."""
    result = await check(http(), server.url(f"/to/302?{server.url('/to/302?/ok/big/100')}"))
    found = values(result)
    assert found["http_redirects"] == 2
    assert (found["http_content_length"], found["http_uncompressed_body_length"]) == (100, 100)


@pytest.mark.parametrize(
    ("path", "keys", "outcome", "size"),
    [
        ("/ok/gzip", {"decode": "gzip"}, Outcome.UP, len(BODY)),
        ("/ok/gzip", {"decode": "identity"}, Outcome.UP, len(gzip.compress(BODY, mtime=0))),
        ("/ok/gzip", {"decompress": False}, Outcome.UP, len(gzip.compress(BODY, mtime=0))),
        ("/ok", {"decode": "gzip"}, Outcome.DOWN, 0),
        ("/ok/br", {"decode": "br", "max_body": "5B"}, Outcome.DOWN, 5),
        ("/status/204", {"decode": "gzip"}, Outcome.DOWN, 0),
    ],
)
async def test_a_body_is_of_the_encoding_that_is_asked_for(
    server: FaultServer, check: Check, path: str, keys: Any, outcome: Outcome, size: int
) -> None:
    result = await check(http(**keys), server.url(path))
    assert result.outcome is outcome, result.failure
    assert values(result)["http_uncompressed_body_length"] == size
    assert "accept-encoding" not in server.requests[0].headers


async def test_without_a_limit_a_body_is_counted_to_its_end_and_judged_up_to_4_mib(
    server: FaultServer, check: Check
) -> None:
    size = MAX_JUDGED_BYTES + 1
    counted = await check(http(max_body="none"), server.url(f"/ok/big/{size}"))
    judged = await check(http(max_body="none", expect={"body": "x"}), server.url(f"/ok/big/{size}"))

    assert counted.outcome is Outcome.UP, counted.failure
    assert values(counted)["http_uncompressed_body_length"] == size
    assert judged.failure is not None
    assert judged.failure.reason is Reason.TOO_LARGE
    assert flags(judged) == (1, None)


async def test_a_body_comes_out_of_a_file_that_is_read_for_every_run(
    server: FaultServer, check: Check, tmp_path: Path
) -> None:
    kind = Http.model_validate(
        {"method": "POST", "body": {"file": "body"}}, context={"directory": tmp_path}
    )
    for content in (b"\x00\xff\r\n", b"second"):
        (tmp_path / "body").write_bytes(content)
        await check(kind, server.url("/to/307?/ok"))
        assert [call.body for call in server.requests] == [content, content]
        server.requests.clear()


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(Path.exists, id="missing"),
        pytest.param(Path.mkdir, id="directory"),
        pytest.param(os.mkfifo, id="pipe"),
        pytest.param(lambda path: path.write_bytes(bytes(MAX_BODY_FILE_BYTES + 1)), id="large"),
    ],
)
async def test_a_file_that_cannot_be_sent_is_the_probers_own_fault(
    made: Any, server: FaultServer, check: Check, tmp_path: Path
) -> None:
    made(tmp_path / "body")
    kind = http(method="POST", body={"file": str(tmp_path / "body")})
    result = await check(kind, server.url(), unknown=True)
    assert result.outcome is Outcome.UNKNOWN
    assert result.failure is not None
    assert result.failure.reason is Reason.CONFIG
    assert str(tmp_path / "body") in result.failure.message
    assert not server.requests


async def test_several_lines_of_one_name_and_secrets_of_every_run(
    server: FaultServer, check: Check, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    late = {"file": str(token), "every_run": True}
    kind = http(headers={"X-Many": ["one", 2, late]}, bearer=late, expect={"body": ["no such"]})
    for text in ("canary-1st", "canary-2nd"):
        token.write_text(f" {text}\n")

        result = await check(kind, server.url("/echo"))

        assert server.requests[-1].headers["authorization"] == f"Bearer {text}"
        assert "x-many: ***" in result.facts["body"]
        assert "canary" not in str(result)
    request = kind.request(parse_url("http://a.example/"), await kind.read(Recorder()))
    assert [value for name, value in request.headers if name == "X-Many"] == [
        "one", "2", "canary-2nd",
    ]  # fmt: skip


async def test_a_password_out_of_a_file_is_hidden_in_its_encoded_form_too(
    server: FaultServer, check: Check, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("canary42\n")
    late = {"file": str(tmp_path / "password"), "every_run": True}
    kind = http(basic_auth={"username": "me", "password": late}, expect={"body": ["no such"]})
    result = await check(kind, server.url("/echo"))
    sent = base64.b64encode(b"me:canary42").decode()
    assert server.requests[0].headers["authorization"] == f"Basic {sent}"
    assert sent not in str(result)


@pytest.mark.parametrize("key", ["bearer", "authorization", "headers"])
async def test_a_secret_of_several_lines_is_no_header(
    server: FaultServer, check: Check, tmp_path: Path, key: str
) -> None:
    """Its second line would be a header of its own."""
    path = tmp_path / "token"
    path.write_text("canary42\nX-Injected: 1")
    context = {"environ": {"TOKEN": "canary42\nX-Injected: 1"}}

    def keyed(value: dict[str, Any]) -> Http:
        forms = {"authorization": {"credentials": value}, "headers": {"X-Token": value}}
        return Http.model_validate({key: forms.get(key, value)}, context=context)

    with pytest.raises(ValidationError, match="want a text of one line, got line breaks or NUL"):
        keyed({"env": "TOKEN"})
    result = await check(keyed({"file": str(path), "every_run": True}), server.url(), unknown=True)

    assert result.failure is not None
    assert result.failure.reason is Reason.CONFIG
    assert result.failure.message == f"want a secret of one line in {path}, got several"
    assert not server.requests


async def test_a_password_may_have_several_lines(
    server: FaultServer, check: Check, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("one\ntwo")
    late = {"file": str(tmp_path / "password"), "every_run": True}
    await check(http(basic_auth={"username": "me", "password": late}), server.url())
    sent = base64.b64encode(b"me:one\ntwo").decode()
    assert server.requests[0].headers["authorization"] == f"Basic {sent}"


async def test_any_type_of_authorization(server: FaultServer, check: Check) -> None:
    await check(http(authorization={"type": "Token", "credentials": "abc"}), server.url())
    assert server.requests[0].headers["authorization"] == "Token abc"


MEASURE = [
    {"name": "shop_lag", "json": "$.lag", "unit": "blocks", "warn": "> 2"},
    {"name": "shop_length_bytes", "header": "Content-Length"},
    {"name": "shop_health", "regex": '"(?P<of>lag)": (?P<value>.)', "labels": {"what": "of"}},
]


async def test_numbers_of_the_answer_are_samples_that_are_declared(
    server: FaultServer, check: Check
) -> None:
    kind = http(measure=MEASURE)
    result = await check(kind, server.url("/ok/json"))
    assert result.outcome is Outcome.DEGRADED
    found = {(s.name, s.labels): s.value for s in result.samples}
    assert found["shop_lag_blocks", ()] == 3
    assert found["shop_length_bytes", ()] == 31
    assert found["shop_health", (("what", "lag"),)] == 3
    assert not undeclared(result, kind)


@pytest.mark.parametrize(
    ("path", "keys", "reason"),
    [
        ("/ok/json", {"json": "$.lag", "fail": ">= 3"}, Reason.VALUE),
        ("/ok/json", {"json": "$.x"}, Reason.VALUE),
        ("/ok", {"json": "$.x"}, Reason.VALUE),
        ("/short", {"json": "$.x"}, Reason.CLOSED),
        ("/status/500", {"json": "$.x"}, Reason.STATUS),
    ],
)  # fmt: skip
async def test_a_number_that_is_not_as_it_should_be_is_down(
    server: FaultServer, check: Check, path: str, keys: Any, reason: Reason
) -> None:
    result = await check(http(measure=[{"name": "shop_lag", **keys}]), server.url(path))
    assert result.failure is not None
    assert result.failure.reason is reason
    assert flags(result) == (0, None)


async def test_numbers_are_told_of_an_answer_that_is_down(
    server: FaultServer, check: Check
) -> None:
    kind = http(measure=MEASURE, expect={"json": {"$.status": "sick"}})
    result = await check(kind, server.url("/ok/json"))
    assert result.outcome is Outcome.DOWN
    assert values(result)["shop_lag_blocks"] == 3


def test_a_module_of_a_blackbox_yml_has_the_defaults_of_upstream() -> None:
    kind = module(headers={"x-lower": "a", "connection": "keep-alive", "TE": "x"})
    assert kind.headers == {"User-Agent": BLACKBOX_AGENT, "X-Lower": "a"}
    assert (kind.decompress, kind.max_body) == (False, None)
    assert module(headers={"user-agent": "me"}).headers == {"User-Agent": "me"}
    assert kind.limits(keep=False).max_body is kind.limits(keep=False).max_wire is None


@pytest.mark.parametrize(
    ("name", "canonical"),
    [("x-lower", "X-Lower"), ("ETAG", "Etag"), ("x--y-", "X--Y-"), ("a", "A"), ("-", "-")],
)
def test_names_of_headers_are_written_as_go_does(name: str, canonical: str) -> None:
    assert canonical_name(name) == canonical


async def test_what_upstream_loads_fails_in_the_run(server: FaultServer, check: Check) -> None:
    unknown = await check(module(decode="lzma"), server.url())
    alien = await check(module(expect={"http_version": ["HTTP/2"]}), server.url())

    assert unknown.failure is not None
    assert unknown.failure.message == (
        "want decode to be one of gzip, deflate, br, identity, got 'lzma'"
    )
    assert alien.failure is not None
    assert alien.failure.reason is Reason.PROTOCOL


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"decode": "lzma"}, "want one of gzip, deflate, br, identity, got 'lzma'"),
        ({"expect": {"http_version": ["HTTP/2"]}}, "want a version of HTTP (1.0, 1.1, 2, 3), got"),
        ({"expect": {"body": ["("]}}, "want an RE2 pattern, got '('"),
        ({"expect": {"body": [1]}}, "want RE2 patterns, got [1]"),
        ({"expect": {"body_lacks": ["(?=a)"]}}, "want an RE2 pattern, got '(?=a)'"),
        ({"expect": {"headers": [{"name": "a b", "regex": "x"}]}}, "want a header name, got 'a b'"),
        ({"expect": {"headers_lack": [{"name": "a"}]}}, "Field required"),
        ({"expect": {"cel": "body.x +"}}, "want a CEL expression, got 'body.x +'"),
        ({"expect": {"tls": "yes"}}, "'absent' or 'present'"),
        ({"expect": {"latency": {"phases": {"dns": "1s"}}}}, "'resolve', 'connect', 'tls'"),
        ({"expect": {"latency": {}}}, "want warn, fail or both, got neither"),
        ({"max_body": "some"}, "want a size with its unit such as 64KiB or 1MiB, got 'some'"),
        ({"headers": {"Host": {"file": "x", "every_run": True}}}, "want one Host that stands"),
        ({"headers": {"host": ["a", "b"]}}, "want one Host that stands in this file"),
        ({"headers": {"A": ["b", "c\n"]}}, "want a text of one line"),
        ({"bearer": "a", "authorization": {"credentials": "b"}}, "got several"),
    ],
)
def test_a_mistake_is_told_at_load(keys: Any, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        http(**keys)
    assert message in str(caught.value)


async def test_what_is_written_as_json_is_read_again() -> None:
    kind = http(
        max_body="none",
        expect={"body": ["a"], "headers": [{"name": "A", "regex": "b"}], "cel": "true"},
        measure=MEASURE,
    )
    again = Http.model_validate(kind.model_dump(mode="json", by_alias=True))
    assert again == kind
    result = await run_once(Probe(name="p", kind=again, target="http://127.0.0.1:1/"))
    assert result.failure is not None
    assert result.failure.reason is Reason.REFUSED
