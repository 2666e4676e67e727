"""Kind http against a real nginx: versions, encodings, redirects, TLS, client certificates."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from probes.kinds.http import Http
from probes.result import Outcome, Reason, Result
from tests.harness import Check
from tests.servers.nginx import BIG_LINES, Nginx

pytestmark = pytest.mark.service

Make = Callable[..., Http]


@pytest.fixture
def make(certificates: Path) -> Make:
    """Makes a kind that trusts the authority of the tests, and shows a certificate if asked to."""
    pem = {
        name: (certificates / name).read_text() for name in ("ca.pem", "client.pem", "client.key")
    }

    def make(*, shows: bool = False, **keys: Any) -> Http:
        tls = {"ca": pem["ca.pem"], **keys.pop("tls", {})}
        if shows:
            tls |= {"cert": pem["client.pem"], "key": pem["client.key"]}
        return Http.model_validate({"ip": 4, "tls": tls, **keys})

    return make


def sample(result: Result, name: str) -> float | None:
    found = [s.value for s in result.samples if s.name == name]
    return found[-1] if found else None


def phases(result: Result) -> list[str]:
    return [phase.name for phase in result.phases]


async def test_plain_http_is_up_with_every_phase(nginx: Nginx, make: Make, check: Check) -> None:
    kind = make(
        expect={"body": {"contains": "hello world"}, "headers": {"server": {"contains": "nginx"}}}
    )

    result = await check(kind, f"http://127.0.0.1:{nginx.port}/hello.txt")

    assert result.outcome is Outcome.UP, result.failure
    assert phases(result) == ["resolve", "connect", "processing", "transfer"]
    assert sample(result, "http_status_code") == 200
    assert sample(result, "http_version") == 1.1
    assert sample(result, "http_uncompressed_body_length") == len("hello world\n")
    assert sample(result, "http_ssl") == 0


@pytest.mark.parametrize(
    ("versions", "version"),
    [([1, 2], 2.0), ([2], 2.0), ([1], 1.1)],
    ids=["both", "2", "1"],
)
async def test_tls_takes_the_newest_version_that_is_offered(
    versions: list[int], version: float, nginx: Nginx, make: Make, check: Check
) -> None:
    kind = make(versions=versions, expect={"body": {"contains": "hello world"}})

    result = await check(kind, f"https://localhost:{nginx.tls_port}/hello.txt")

    assert result.outcome is Outcome.UP, result.failure
    assert sample(result, "http_version") == version
    assert sample(result, "http_ssl") == 1
    assert "tls" in phases(result)
    assert sample(result, "probe_tls_verified") == 1
    assert sample(result, "ssl_earliest_cert_expiry") is not None


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("compression", ["none", "gzip"])
async def test_a_big_body_arrives_whole_whatever_its_encoding(
    scheme: str, compression: str, nginx: Nginx, make: Make, check: Check
) -> None:
    port = nginx.port if scheme == "http" else nginx.tls_port
    whole = len("a line of the big file\n") * BIG_LINES
    kind = make(compression=compression, expect={"body": {"contains": "of the big file"}})

    result = await check(kind, f"{scheme}://localhost:{port}/big.txt")

    assert result.outcome is Outcome.UP, result.failure
    assert sample(result, "http_uncompressed_body_length") == whole
    assert (sample(result, "http_content_length") == whole) is (compression == "none")


async def test_a_body_over_its_cap_is_too_large(nginx: Nginx, make: Make, check: Check) -> None:
    for compression in ("none", "gzip"):
        kind = make(compression=compression, max_body="64KiB", expect={"body": {"contains": "x"}})

        result = await check(kind, f"https://localhost:{nginx.tls_port}/big.txt")

        assert result.failure is not None
        assert result.failure.reason is Reason.TOO_LARGE


async def test_json_is_judged(nginx: Nginx, make: Make, check: Check) -> None:
    url = f"https://localhost:{nginx.tls_port}/health"

    good = await check(make(expect={"json": {"$.status": "healthy", "$.checks.db": "pass"}}), url)
    bad = await check(make(expect={"json": {"$.status": "degraded"}}), url)

    assert good.outcome is Outcome.UP, good.failure
    assert bad.failure is not None
    assert bad.failure.reason is Reason.BODY
    assert bad.failure.message == "$.status: want 'degraded', got 'healthy'"


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_status_that_is_not_wanted_is_down(
    scheme: str, nginx: Nginx, make: Make, check: Check
) -> None:
    port = nginx.port if scheme == "http" else nginx.tls_port
    url = f"{scheme}://localhost:{port}/broken"

    down = await check(make(), url)
    wanted = await check(make(expect={"status": 503, "body": "out of order"}), url)

    assert down.failure is not None
    assert down.failure.reason is Reason.STATUS
    assert sample(down, "http_status_code") == 503
    assert wanted.outcome is Outcome.UP, wanted.failure


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_an_answer_without_body_is_complete(
    scheme: str, nginx: Nginx, make: Make, check: Check
) -> None:
    port = nginx.port if scheme == "http" else nginx.tls_port

    empty = await check(make(), f"{scheme}://localhost:{port}/empty")
    head = await check(make(method="HEAD"), f"{scheme}://localhost:{port}/big.txt")

    assert empty.outcome is Outcome.UP, empty.failure
    assert sample(empty, "http_status_code") == 204
    assert head.outcome is Outcome.UP, head.failure
    assert sample(head, "http_uncompressed_body_length") == 0


async def test_method_and_headers_reach_the_server(nginx: Nginx, make: Make, check: Check) -> None:
    for versions in ([1], [2]):
        kind = make(
            method="POST", body="x", versions=versions, headers={"X-Probe": "yes"},
            expect={"body": {"matches": "^POST sonde/.* yes$"}},
        )  # fmt: skip

        result = await check(kind, f"https://localhost:{nginx.tls_port}/echo")

        assert result.outcome is Outcome.UP, result.failure


async def test_redirects_are_followed_and_counted(nginx: Nginx, make: Make, check: Check) -> None:
    url = f"https://localhost:{nginx.tls_port}/moved"

    followed = await check(make(expect={"body": {"contains": "hello world"}}), url)
    kept = await check(make(follow_redirects=False, expect={"status": 302}), url)

    assert followed.outcome is Outcome.UP, followed.failure
    assert sample(followed, "http_redirects") == 1
    assert kept.outcome is Outcome.UP, kept.failure


@pytest.mark.parametrize("port", ["tls_port", "mutual_port", "old_port"])
async def test_a_stranger_is_not_trusted(port: str, nginx: Nginx, make: Make, check: Check) -> None:
    stranger = trustme.CA().cert_pem.bytes().decode()

    result = await check(
        make(tls={"ca": stranger}), f"https://localhost:{getattr(nginx, port)}/hello.txt"
    )

    assert result.failure is not None
    assert (result.failure.reason, result.failure.phase) == (Reason.CERTIFICATE_UNTRUSTED, "tls")
    assert sample(result, "probe_tls_verified") == 0
    assert sample(result, "ssl_earliest_cert_expiry") is not None


async def test_the_name_of_the_certificate_counts(nginx: Nginx, make: Make, check: Check) -> None:
    url = f"https://localhost:{nginx.tls_port}/hello.txt"

    result = await check(make(tls={"server_name": "shop.example"}), url)

    assert result.failure is not None
    assert (result.failure.reason, result.failure.phase) == (Reason.CERTIFICATE_NAME, "tls")


async def test_a_client_certificate_opens_the_door(nginx: Nginx, make: Make, check: Check) -> None:
    url = f"https://localhost:{nginx.mutual_port}/"

    shown = await check(make(shows=True, expect={"body": {"contains": "hello CN=client"}}), url)
    missing = await check(make(), url)

    assert shown.outcome is Outcome.UP, shown.failure
    assert missing.outcome is Outcome.DOWN
    # nginx finishes the handshake and answers 400; other servers break it off
    assert missing.failure is not None
    assert missing.failure.reason in (Reason.STATUS, Reason.TLS, Reason.CLOSED)


async def test_versions_of_tls_must_meet(nginx: Nginx, make: Make, check: Check) -> None:
    url = f"https://localhost:{nginx.old_port}/"

    old = await check(make(), url)
    new = await check(make(tls={"min_version": "1.3"}), url)

    assert old.outcome is Outcome.UP, old.failure
    assert old.facts["tls"].startswith("TLS 1.2")
    assert new.failure is not None
    assert (new.failure.reason, new.failure.phase) == (Reason.TLS, "tls")


async def test_clear_text_to_a_tls_port_is_told(nginx: Nginx, make: Make, check: Check) -> None:
    plain = await check(make(), f"http://localhost:{nginx.tls_port}/")
    encrypted = await check(make(), f"https://localhost:{nginx.port}/")

    assert plain.failure is not None
    assert plain.failure.reason is Reason.STATUS
    assert encrypted.failure is not None
    assert (encrypted.failure.reason, encrypted.failure.phase) == (Reason.TLS, "tls")


async def test_the_certificate_is_judged(nginx: Nginx, make: Make, check: Check) -> None:
    kind = make(expect={"certificate": {"expires_in": {"fail": "7d"}}})

    result = await check(kind, f"https://localhost:{nginx.tls_port}/hello.txt")

    assert result.outcome is Outcome.UP, result.failure
