"""Tokens: how they are asked for, kept, shared, dropped and refused."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from pydantic import ValidationError

from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.result import Reason
from probes.wire.oauth2 import tokens as tokens_module
from probes.wire.oauth2.settings import JWT_BEARER, OAuth2Options
from probes.wire.oauth2.tokens import (
    EARLY_S,
    MAX_LIFETIME_S,
    UNTOLD_S,
    Token,
    Tokens,
    claims_of,
    tokens_of,
)
from probes.wire.policy import POLICY, Policy
from tests.faults.http import Call, FaultServer, fault_server
from tests.faults.proxy import proxy_server

GOOD = {"access_token": "t0ken-1", "token_type": "bearer", "expires_in": 3600}
PAIR = base64.b64encode(b"me:s3cret%26more").decode()


class TokenServer(FaultServer):
    """Gives out what `answers` hold, the last one for ever."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[tuple[str, Any]] = [("200 OK", GOOD)]
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.faults["token"] = self.give

    async def give(self, call: Call) -> None:
        await self.may_answer.wait()
        status, said = self.answers[0]
        if len(self.answers) > 1:
            self.answers.pop(0)
        body = said if isinstance(said, bytes) else json.dumps(said).encode()
        await call.answer(body, status)

    def form(self, at: int = -1) -> dict[str, list[str]]:
        return parse_qs(self.requests[at].body.decode())


@pytest_asyncio.fixture
async def server() -> AsyncIterator[TokenServer]:
    running = TokenServer()
    async with fault_server(faults=running):
        yield running


def options(server: FaultServer, **keys: Any) -> OAuth2Options:
    given = {"client_id": "me", "client_secret": "s3cret&more", "token_url": server.url("/token")}
    return OAuth2Options.model_validate({**given, **keys})


async def test_a_token_is_asked_for_with_id_and_secret(server: TokenServer) -> None:
    recorder = Recorder()
    how = options(server, scopes=["a", "b"], endpoint_params={"aud": "x", "more": ["y", "z"]})
    token = await Tokens(how).get(recorder)

    call = server.requests[0]
    assert (token.header, call.method) == ("Bearer t0ken-1", "POST")
    assert call.headers["authorization"] == f"Basic {PAIR}"
    assert server.form() == {
        "grant_type": ["client_credentials"], "scope": ["a b"], "aud": ["x"], "more": ["y", "z"],
    }  # fmt: skip
    assert [phase.name for phase in recorder.phases] == ["auth"]
    assert {"t0ken-1", PAIR} <= set(recorder.secrets)
    assert not recorder.samples
    assert not recorder.facts


async def test_a_server_that_wants_the_secret_in_the_body_gets_it_there(
    server: TokenServer,
) -> None:
    refused = ("401 Unauthorized", {"error": "invalid_client"})
    server.answers = [refused, ("200 OK", {**GOOD, "expires_in": 1}), ("200 OK", GOOD)]
    tokens = Tokens(options(server))
    await tokens.get(Recorder())
    assert server.form() | {"grant_type": []} == {
        "grant_type": [], "client_id": ["me"], "client_secret": ["s3cret&more"],
    }  # fmt: skip
    assert "authorization" not in server.requests[1].headers

    await tokens.get(Recorder())
    assert len(server.requests) == 3, "what a server wants is remembered"


@pytest.mark.parametrize(("auth", "asks"), [("header", 1), ("body", 1), ("auto", 2)])
async def test_where_the_secret_stands_can_be_said(
    server: TokenServer, auth: str, asks: int
) -> None:
    server.answers = [("400 Bad Request", {"error": "invalid_request"})]
    with pytest.raises(CheckFailed):
        await Tokens(options(server, client_auth=auth)).get(Recorder())
    assert len(server.requests) == asks
    assert ("client_secret" in server.form()) is (auth != "header")


async def test_a_token_is_kept_until_half_a_minute_before_its_end(
    server: TokenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(tokens_module, "monotonic", lambda: now)
    tokens = Tokens(options(server))
    recorder = Recorder()
    await tokens.get(recorder)
    now += 3600 - EARLY_S - 1
    again = Recorder()
    await tokens.get(again)
    assert len(server.requests) == 1
    assert again.phases == ()
    assert again.secrets == ["t0ken-1"]
    now += 2
    await tokens.get(Recorder())
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("said", "lifetime"),
    [
        (60, 30), ("90", 60), (None, UNTOLD_S), ("soon", UNTOLD_S), (-5, UNTOLD_S),
        (True, UNTOLD_S), (float("nan"), UNTOLD_S), (float("inf"), MAX_LIFETIME_S - EARLY_S),
        pytest.param(10**400, MAX_LIFETIME_S - EARLY_S, id="beyond a float"),
    ],
)  # fmt: skip
async def test_the_end_is_read_as_servers_write_it(
    server: TokenServer, said: object, lifetime: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens_module, "monotonic", lambda: 0.0)
    server.answers = [("200 OK", {"access_token": "abc", "expires_in": said})]
    token = await Tokens(options(server)).get(Recorder())
    assert token == Token("abc", "Bearer", lifetime)


async def test_runs_that_come_together_fetch_one_token(server: TokenServer) -> None:
    server.may_answer.clear()
    tokens = Tokens(options(server))
    runs = [asyncio.create_task(tokens.get(Recorder())) for _ in range(20)]
    await server.asked.wait()
    server.may_answer.set()
    assert {token.text for token in await asyncio.gather(*runs)} == {"t0ken-1"}
    assert len(server.requests) == 1


async def test_runs_that_come_together_share_a_failure(server: TokenServer) -> None:
    server.may_answer.clear()
    server.answers = [("503 Service Unavailable", b"busy")]
    tokens = Tokens(options(server))
    runs = [asyncio.create_task(tokens.get(Recorder())) for _ in range(20)]
    await server.asked.wait()
    server.may_answer.set()
    found = await asyncio.gather(*runs, return_exceptions=True)
    assert {(type(failure), str(failure)) for failure in found} == {
        (CheckFailed, f"want a token of {server.url('')}: want status 2xx, got 503"),
    }
    assert len(server.requests) == 1


async def test_a_server_that_says_our_secret_back_tells_it_to_nobody_who_waits(
    server: TokenServer,
) -> None:
    server.may_answer.clear()
    server.answers = [("400 Bad Request", {"error": f"no login by {PAIR}"})]
    tokens, recorders = Tokens(options(server, client_auth="header")), (Recorder(), Recorder())
    runs = [asyncio.create_task(tokens.get(recorder)) for recorder in recorders]
    await server.asked.wait()
    server.may_answer.set()
    found = await asyncio.gather(*runs, return_exceptions=True)
    assert all(PAIR in str(failure) for failure in found), "or it need not be hidden"
    assert [recorder.secrets for recorder in recorders] == [[PAIR], [PAIR]]


async def test_who_waits_takes_over_from_a_run_that_is_cancelled(server: TokenServer) -> None:
    server.may_answer.clear()
    tokens = Tokens(options(server))
    first = asyncio.create_task(tokens.get(Recorder()))
    await server.asked.wait()
    second = asyncio.create_task(tokens.get(Recorder()))
    await asyncio.sleep(0)
    first.cancel()
    server.may_answer.set()
    assert (await second).text == "t0ken-1"
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_401_drops_a_token_but_not_the_next_one_too(server: TokenServer) -> None:
    tokens = Tokens(options(server))
    first = await tokens.get(Recorder())
    tokens.answered(first, 200)
    assert await tokens.get(Recorder()) is first

    tokens.answered(first, 401)
    second = await tokens.get(Recorder())
    tokens.answered(first, 401)
    tokens.answered(second, 401)
    assert await tokens.get(Recorder()) is second
    assert len(server.requests) == 2

    tokens.answered(second, 204)
    tokens.answered(second, 401)
    await tokens.get(Recorder())
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("status", "said", "text"),
    [
        pytest.param(
            "400 Bad Request", {"error": "invalid_scope", "error_description": "no such: a"},
            "want status 2xx, got 400 'invalid_scope': 'no such: a'", id="an error",
        ),
        pytest.param("302 Found", {}, "want status 2xx, got 302", id="a redirect"),
        pytest.param(
            "200 OK", b"<html>", "want an answer in JSON, got something else", id="a page"
        ),
        pytest.param("200 OK", [], "want an answer in JSON, got something else", id="a list"),
        pytest.param(
            "200 OK", {"error": "invalid_grant"}, "want an access_token, got none 'invalid_grant'",
            id="an error with 200",
        ),
        pytest.param(
            "200 OK", {"access_token": "a\r\nX-Evil: b"},
            "want an access_token, got something that is none", id="a header of its own",
        ),
        pytest.param(
            "200 OK", {"access_token": ""}, "want an access_token, got something that is none",
            id="an empty token",
        ),
        pytest.param(
            "200 OK", {"access_token": "a", "token_type": "x y"},
            "want a token_type such as Bearer, got 'x y'", id="an odd type",
        ),
        pytest.param(
            "200 OK", b"[" * 70_000,
            "want a body of at most 64KiB (max_body), got more", id="too much",
        ),
        pytest.param(
            "200 OK", b"[" * 60_000, "want an answer in JSON, got something else", id="too deep"
        ),
    ],
)  # fmt: skip
async def test_a_server_that_gives_no_token_is_told_with_its_words(
    server: TokenServer, status: str, said: Any, text: str
) -> None:
    server.answers = [(status, said)]
    with pytest.raises(CheckFailed) as caught:
        await Tokens(options(server, client_auth="header")).get(Recorder())
    failure = caught.value
    assert (failure.reason, failure.phase) == (Reason.AUTH, "auth")
    assert failure.message == f"want a token of {server.url('')}: {text}"


async def test_silence_is_the_phase_auth(server: TokenServer) -> None:
    server.may_answer.clear()
    recorder = Recorder()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await Tokens(options(server)).get(recorder)
    server.may_answer.set()
    assert recorder.phase_name == "auth"


async def test_the_token_server_is_asked_as_written_and_by_its_own_proxy(
    server: TokenServer,
) -> None:
    async with proxy_server() as proxy:
        how = options(server, proxy={"url": proxy.url})
        with POLICY.set(Policy(trusts_first=False, allow=())):
            await Tokens(how).get(Recorder())
        assert proxy.goals == [("127.0.0.1", server.port)]


async def test_a_file_that_is_missing_is_our_own_fault(server: TokenServer) -> None:
    how = options(server, client_secret={"file": "/no/such", "every_run": True})
    with pytest.raises(CheckFailed) as caught:
        await Tokens(how).get(Recorder())
    assert (caught.value.reason, caught.value.phase) == (Reason.CONFIG, "auth")


# --- signed assertions


KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
OTHER = ec.generate_private_key(ec.SECP256R1())
EC_PEM = OTHER.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def unsigned(part: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


@pytest.mark.parametrize(
    ("algorithm", "digest"),
    [("RS256", hashes.SHA256()), ("RS384", hashes.SHA384()), ("RS512", hashes.SHA512())],
)
async def test_an_assertion_is_signed(
    server: TokenServer, algorithm: str, digest: hashes.HashAlgorithm
) -> None:
    recorder = Recorder()
    how = options(
        server, grant_type=JWT_BEARER, client_secret=None, key=PEM, key_id="k1",
        algorithm=algorithm, claims={"role": "probe", "iss": "else"}, scopes=["a"],
    )  # fmt: skip
    await Tokens(how).get(recorder)

    form = server.form()
    (assertion,) = form.pop("assertion")
    assert form == {"grant_type": [JWT_BEARER]}
    head, claims, signature = assertion.split(".")
    assert unsigned(head) == {"alg": algorithm, "typ": "JWT", "kid": "k1"}
    said = unsigned(claims)
    assert said["exp"] - said["iat"] == 600
    assert {said[k] for k in ("iss", "sub", "aud", "role", "scope")} == {
        "else", "me", server.url("/token"), "probe", "a",
    }  # fmt: skip
    raw = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
    KEY.public_key().verify(raw, f"{head}.{claims}".encode(), padding.PKCS1v15(), digest)
    assert assertion in recorder.secrets


def test_claims_have_defaults_and_an_identity_of_their_own() -> None:
    how = OAuth2Options(client_id="me", token_url="https://a.test/t", iss="we", audience="them")
    now = datetime(2026, 11, 22, tzinfo=UTC)
    first, second = claims_of(how, now), claims_of(how, now)
    assert first.pop("jti") != second.pop("jti")
    assert first == {
        "iss": "we", "sub": "me", "aud": "them", "iat": 1795305600, "exp": 1795306200,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("nonsense", "want a private RSA key in PEM without a passphrase, got something else"),
        (EC_PEM, "want a private RSA key, got one of another kind"),
    ],
)
async def test_a_key_that_signs_nothing_is_our_own_fault(
    server: TokenServer, key: str, text: str
) -> None:
    how = options(server, grant_type=JWT_BEARER, client_secret=None, key=key)
    with pytest.raises(CheckFailed) as caught:
        await Tokens(how).get(Recorder())
    assert caught.value.reason is Reason.CONFIG
    assert caught.value.message == f"want a token of {server.url('')}: {text}"


# --- settings


def test_equal_settings_share_their_tokens_as_long_as_somebody_holds_them() -> None:
    given = {"client_id": "me", "client_secret": "s3cret", "token_url": "https://a.test/t"}
    first = tokens_of(OAuth2Options.model_validate(given))
    assert tokens_of(OAuth2Options.model_validate(given)) is first
    assert tokens_of(OAuth2Options.model_validate({**given, "client_secret": "x"})) is not first
    assert tokens_of(OAuth2Options.model_validate({**given, "scopes": ["x"]})) is not first


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"token_url": "ftp://a"}, "want an http:// or https:// URL"),
        ({"token_url": "https://u:p@a/"}, "want a token_url without user and password"),
        ({"grant_type": JWT_BEARER}, "want a key to sign with, got none"),
        ({"key": PEM}, "want a key with the grant_type"),
        ({"scopes": ["a b"]}, "want scopes without blanks"),
        ({"client_id": ""}, "at least 1 character"),
        ({"algorithm": "HS256"}, "RS256"),
    ],
)
def test_a_mistake_is_told_at_load(keys: dict[str, Any], message: str) -> None:
    given = {"client_id": "me", "token_url": "https://a.test/t"}
    with pytest.raises(ValidationError, match=message):
        OAuth2Options.model_validate({**given, **keys})
