"""All chains from a leaf to a root: the longest-lived one counts, as in Go."""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from probes.kinds.tcp import Tcp
from probes.units import parse_number
from probes.wire.tls import chains
from probes.wire.tls.chains import MAX_SIGNATURES, TrustStore
from probes.wire.tls.settings import TlsOptions
from probes.wire.tls.x509 import expiry
from tests.faults.tcp import silent, tcp_fault
from tests.harness import Check
from tests.servers.process import Server
from tests.servers.prometheus import get

NOW = datetime.now(UTC).replace(microsecond=0)
KEYS = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("leaf", "a", "b", "c", "x")}


def ends(days: float) -> float:
    return (NOW + timedelta(days=days)).timestamp()


@dataclass(frozen=True)
class Issued:
    """A certificate of the test and what it says."""

    made: x509.Certificate

    @property
    def der(self) -> bytes:
        return self.made.public_bytes(serialization.Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.made.public_bytes(serialization.Encoding.PEM)


def issue(
    name: str, by: str, days: float, *, ca: bool | None = True, since: float = -1, key: str = ""
) -> Issued:
    """Return a certificate for *name*, signed by the key of *by*."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, by)]))
        .public_key(KEYS[name].public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + timedelta(days=since))
        .not_valid_after(NOW + timedelta(days=days))
    )
    identifier = x509.SubjectKeyIdentifier.from_public_key(KEYS[name].public_key())
    builder = builder.add_extension(identifier, critical=False)
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca, None), critical=True)
    if name == "leaf":
        names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
        builder = builder.add_extension(names, critical=False)
    return Issued(builder.sign(KEYS[key or by], hashes.SHA256()))


def latest(
    sent: Sequence[Issued], verified: Sequence[Issued], roots: Sequence[Issued]
) -> float | None:
    store = TrustStore(lambda: [root.der for root in roots])
    return store.latest_end(
        [one.der for one in sent], [one.der for one in verified], NOW.timestamp()
    )


LEAF = issue("leaf", "a", 20, ca=False)
SHORT, LONG = issue("a", "a", 10), issue("a", "a", 30)


@pytest.mark.parametrize("picked", [SHORT, LONG], ids=["the short one", "the long one"])
def test_of_two_roots_with_one_key_the_later_one_counts(picked: Issued) -> None:
    """OpenSSL tells one chain of several; Go, and so blackbox_exporter, tells the latest."""
    assert latest([LEAF], [LEAF, picked], [SHORT, LONG]) == ends(20)
    assert latest([LEAF], [LEAF, SHORT], [SHORT]) == ends(10)


def test_of_two_ways_over_one_intermediate_the_later_one_counts() -> None:
    over_b, over_c = issue("a", "b", 5), issue("a", "c", 15)
    b, c = issue("b", "b", 90), issue("c", "c", 90)

    assert latest([LEAF, over_b, over_c], [LEAF, over_b, b], [b, c]) == ends(15)
    # one that the peer does not send is none
    assert latest([LEAF, over_b], [LEAF, over_b, b], [b, c]) == ends(5)
    # nor is one to a root that nobody trusts
    assert latest([LEAF, over_b, over_c], [LEAF, over_b, b], [b]) == ends(5)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(issue("a", "a", 90, ca=False), id="no authority"),
        pytest.param(issue("x", "x", 90), id="another name"),
        pytest.param(issue("a", "a", 90, since=1), id="not valid yet"),
        pytest.param(issue("a", "a", -0.5), id="over"),
    ],
)
def test_who_cannot_have_signed_it_makes_no_chain(other: Issued) -> None:
    assert latest([LEAF], [LEAF, SHORT], [SHORT, other]) == ends(10)


def test_a_name_without_the_key_makes_no_chain() -> None:
    leaf = issue("leaf", "a", 20, ca=False, key="x")
    signed_by_x = issue("a", "b", 10)

    assert latest([leaf], [leaf, signed_by_x], [signed_by_x, LONG]) == ends(10)


def test_a_root_of_the_time_before_extensions_is_one() -> None:
    old = issue("a", "a", 30, ca=None)

    assert latest([LEAF], [LEAF, SHORT], [SHORT, old]) == ends(20)
    not_self_signed = issue("a", "b", 30, ca=None)
    assert latest([LEAF], [LEAF, SHORT], [SHORT, not_self_signed]) == ends(10)


def test_a_leaf_that_is_trusted_itself_is_a_chain() -> None:
    own = issue("a", "a", 7)

    assert latest([own], [own], [own]) == ends(7)
    assert latest([LEAF], [LEAF, SHORT], [SHORT, LEAF]) == ends(20)


def test_without_a_verified_chain_there_is_no_end_of_one() -> None:
    assert latest([LEAF], [], [LONG]) is None
    store = TrustStore(list)
    assert store.latest_end([b"junk"], [b"junk", LONG.der], NOW.timestamp()) == expiry(LONG.der)
    assert store.latest_end([b"junk"], [b"junk"], NOW.timestamp()) is None


def test_the_trust_store_is_searched_once_for_each_chain_until_that_has_ended() -> None:
    asked: list[int] = []

    def roots() -> list[bytes]:
        asked.append(1)
        return [SHORT.der, LONG.der]

    store = TrustStore(roots)
    for _ in range(3):
        assert store.latest_end([LEAF.der], [LEAF.der, SHORT.der], NOW.timestamp()) == ends(20)
    assert len(asked) == 1
    assert store.latest_end([LEAF.der], [LEAF.der, SHORT.der], ends(21)) == ends(10)
    assert len(asked) == 2


def test_memory_of_chains_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chains, "MAX_REMEMBERED", 3)
    store = TrustStore(list)

    for number in range(9):
        store.latest_end([LEAF.der, bytes((number,))], [LEAF.der, SHORT.der], NOW.timestamp())

    assert len(store._known) == 3


def test_a_hostile_peer_does_not_make_us_verify_for_ever() -> None:
    """A ring of authorities that sign each other has more ways than anybody can walk."""
    ring = [issue("a", "a", 30 + number) for number in range(MAX_SIGNATURES + 20)]
    search = chains._Search([one.der for one in ring], [SHORT.der], NOW.timestamp())

    assert search.latest_end(LEAF.der, ends(1)) == ends(10)
    search = chains._Search([one.der for one in ring], [], NOW.timestamp())
    assert search.latest_end(LEAF.der, ends(1)) == ends(1)
    assert search._signatures == MAX_SIGNATURES


def pem_file(path: Path, *issued: Issued) -> Path:
    path.write_bytes(b"".join(one.pem for one in issued))
    return path


def value_of(page: bytes) -> float:
    family = b"probe_ssl_last_chain_expiry_timestamp_seconds "
    line = next(line for line in page.splitlines() if line.startswith(family))
    return parse_number(line.removeprefix(family).decode())


@pytest.mark.service
@pytest.mark.asyncio(loop_factories=["uvloop"])
@pytest.mark.parametrize(
    ("sent", "roots", "days"),
    [
        pytest.param([LEAF], [SHORT, LONG], 20, id="two roots, the short one first"),
        pytest.param([LEAF], [LONG, SHORT], 20, id="two roots, the long one first"),
        pytest.param(
            [LEAF, issue("a", "b", 5), issue("a", "c", 15)],
            [issue("b", "b", 90), issue("c", "c", 90)], 15, id="two intermediates",
        ),
        pytest.param(
            [LEAF, issue("a", "c", 15), issue("a", "b", 5)],
            [issue("b", "b", 90), issue("c", "c", 90)], 15, id="the other one first",
        ),
    ],
)  # fmt: skip
async def test_the_real_exporter_tells_the_same(
    sent: Sequence[Issued],
    roots: Sequence[Issued],
    days: float,
    tmp_path: Path,
    check: Check,
    blackbox_exporter: Callable[[str], Server],
) -> None:
    ca_file = pem_file(tmp_path / "ca.pem", *roots)
    pem_file(tmp_path / "chain.pem", *sent)
    (tmp_path / "key.pem").write_bytes(
        KEYS["leaf"].private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "chain.pem", tmp_path / "key.pem")
    exporter = blackbox_exporter(
        "modules: {it: {prober: tcp, tcp: {tls: true, tls_config: "
        f"{{ca_file: {ca_file}, server_name: localhost}}}}}}}}"
    )
    tls = TlsOptions(ca_file=str(ca_file), server_name="localhost")
    async with tcp_fault(silent, context=context) as port:
        result = await check(Tcp(tls=tls), f"127.0.0.1:{port}")
        page = await asyncio.to_thread(
            get, exporter.port, f"/probe?module=it&target=127.0.0.1:{port}"
        )

    own = [s.value for s in result.samples if s.name == "ssl_last_chain_expiry_timestamp_seconds"]
    assert own == [value_of(page)] == [ends(days)]
