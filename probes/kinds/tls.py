"""Kind ``tls``: look at the certificate and the session of any TCP port, and judge them.

Knows what may be wanted of them; the handshake is `probes.wire.stream`'s business, what is said
before it `probes.wire.dialog.starttls`'s, and what a certificate says `probes.wire.tls.leaf`'s.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from probes.errors import CheckFailed
from probes.expect import CertificateExpect, DurationBand, Pattern, searchable
from probes.kind import Kind, Metric
from probes.recorder import Recorder
from probes.result import Reason
from probes.settings import Settings
from probes.units import short
from probes.wire.address import Address
from probes.wire.dialog.starttls import Protocol, negotiate
from probes.wire.dns.resolver import ResolverOptions
from probes.wire.net import ANY_IP, IpChoice, dial, resolve
from probes.wire.source import Source
from probes.wire.stream import Connection
from probes.wire.sweep import SWEEP_METRICS, AddressKeys, sweep
from probes.wire.tls.leaf import Leaf, Staple, read_leaf, read_staple
from probes.wire.tls.peer import sent_chain
from probes.wire.tls.settings import NET_METRICS, TLS_METRICS, TlsOptions, judge_certificate
from probes.wire.tls.staple import look_for_staple
from probes.wire.tls.x509 import ChainFacts, chain_facts
from probes.wire.url import canonical_host, split_host_port, tls_name

# What a certificate may be refused for; anything else leaves no certificate to judge.
_REFUSALS = frozenset(
    {Reason.CERTIFICATE_EXPIRED, Reason.CERTIFICATE_NAME, Reason.CERTIFICATE_UNTRUSTED}
)
# How a server says no to TLS 1.2.
_NO_SIGHT = frozenset({Reason.TLS, Reason.CLOSED, Reason.PROTOCOL})
_FINGERPRINT_DIGITS = 64  # of SHA-256

KeyType = Literal["RSA", "ECDSA", "Ed25519", "Ed448"]
SessionVersion = Literal["1.0", "1.1", "1.2", "1.3"]


def _to_fingerprint(text: str) -> str:
    # openssl prints colons and capitals
    digits = text.replace(":", "").lower()
    if len(digits) == _FINGERPRINT_DIGITS and not digits.strip("0123456789abcdef"):
        return digits
    raise ValueError(f"want a SHA-256 in hex, got {short(text)}")


def _to_version(value: object) -> object:
    # YAML reads an unquoted 1.2 as a number
    return f"{value:.1f}" if isinstance(value, float) else value


def _to_tuple(value: object) -> object:
    return (value,) if isinstance(value, str | float) else value


class KeyExpect(Settings):
    """What the key of the certificate should be."""

    types: tuple[KeyType, ...] = ()
    """Kinds of key; any when not given."""
    rsa_bits: int | None = Field(default=None, ge=1)
    """Bits that an RSA key has at least."""
    ec_bits: int | None = Field(default=None, ge=1)
    """Bits that a key on an elliptic curve has at least."""

    def miss(self, leaf: Leaf) -> str | None:
        """Return what is wrong with the key of *leaf*; None when nothing is."""
        if self.types and leaf.key not in self.types:
            return f"want a key of {', '.join(self.types)}, got {leaf.key_text}"
        least = self.rsa_bits if leaf.key == "RSA" else self.ec_bits
        if least is not None and leaf.key_bits < least:
            return f"want a key of {least} bits or more, got {leaf.key_text}"
        return None


class TlsExpect(Settings):
    """What fails the run when it is missed."""

    trust: Literal["verified", "any", "refused"] = "verified"
    """Whether chain, name and time must be right, are only told, or must be refused."""
    certificate: CertificateExpect | None = None
    """Time until the certificates expire."""
    names: tuple[str, ...] = ()
    """Names and addresses that the certificate must be valid for, beside the one asked for."""
    subject: Pattern | None = None
    """Pattern of the subject, which reads ``CN=www.example.org,O=Example``."""
    issuer: Pattern | None = None
    """Pattern of the issuer, in the same form."""
    fingerprints: tuple[Annotated[str, AfterValidator(_to_fingerprint)], ...] = ()
    """SHA-256 of the certificates that are expected; one of them is enough."""
    key: KeyExpect | None = None
    """Key of the certificate."""
    versions: Annotated[
        tuple[Annotated[SessionVersion, BeforeValidator(_to_version)], ...],
        BeforeValidator(_to_tuple, json_schema_input_type=list[str | float] | str | float),
    ] = ()
    """Versions of TLS that the session may have; ``tls`` says which ones are offered."""
    ciphers: Annotated[
        tuple[str, ...], BeforeValidator(_to_tuple, json_schema_input_type=list[str] | str)
    ] = ()
    """Cipher suites that the session may have, such as ``TLS_AES_256_GCM_SHA384``."""
    latency: DurationBand | None = None
    """Time of the whole run."""


class Tls(AddressKeys, Kind):
    """Look at the certificate and the session of a TCP port, with ``starttls`` behind plain text.

    Certificates are told also when they are refused. With ``stapling``, a second connection looks
    whether an OCSP answer is stapled to them (over TLS 1.2: under 1.3 it cannot be seen from
    outside); it is not verified.

    Target:
        ``host:port``

    Source:
        RFC 8446, RFC 5280, RFC 9525
    """

    name = "tls"
    phases = ("resolve", "connect", "dialog", "tls", "staple")
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric(
            "tls_certificate_not_before_timestamp_seconds",
            "Start of the peer's own certificate, as Unix time",
        ),
        Metric(
            "tls_key_size", "Size of the key of the peer's own certificate, in bits", ("algorithm",)
        ),
        Metric("tls_name_matches", "1 if the certificate is valid for the name asked for"),
        Metric("tls_ocsp_stapled", "1 if an OCSP answer that can be read came along"),
        Metric(
            "tls_ocsp_next_update_timestamp_seconds",
            "When the OCSP answer that came along is outdated, as Unix time",
        ),
        *NET_METRICS,
        *TLS_METRICS,
        *SWEEP_METRICS,
    )

    starttls: Protocol | None = None
    """Protocol whose plain text goes before: smtp, imap, pop3, ftp, xmpp, ldap, postgres, mysql."""
    tls: TlsOptions = TlsOptions()
    """How the TLS connection is made."""
    expect: TlsExpect = TlsExpect()
    """What certificate and session should be."""
    stapling: Literal["ignored", "told", "required"] = "ignored"
    """Whether a stapled OCSP answer is looked for, and must be there and good."""
    ip: IpChoice = ANY_IP
    """Which address of the name is dialled: any, 4, 6, prefer_4, prefer_6."""
    source: Source = ""
    """Address or interface of this host to come from."""
    resolver: ResolverOptions = ResolverOptions()
    """Name servers to ask instead of the system's."""

    @model_validator(mode="after")
    def _make_sense(self) -> Self:
        is_asked = "trust" in self.expect.model_fields_set and self.expect.trust != "any"
        if is_asked and not self.tls.verify:
            raise ValueError("want tls.verify where expect.trust is judged, got false")
        oldest, newest = self.tls.min_version, self.tls.max_version
        if self.stapling != "ignored" and not oldest <= "1.2" <= newest:
            raise ValueError(
                "want TLS 1.2 among the versions where a staple is looked for,"
                f" got {oldest} to {newest}"
            )
        return self

    def check_target(self, target: str) -> None:
        split_host_port(target)

    def prepare(self, target: str) -> None:  # noqa: ARG002 - the same for every target
        self.tls.prepare()
        self.resolver.prepare()

    async def run(self, target: str, recorder: Recorder) -> None:
        try:
            host, port = split_host_port(target)
            name = self.tls.server_name or tls_name(canonical_host(host))
        except ValueError as error:
            raise CheckFailed(Reason.CONFIG, str(error)) from None
        if self.sweeps:
            servers, once = self.resolver.addresses, partial(self.run, target)
            await sweep(host, port, recorder, once, ip=self.ip, servers=servers)
            return
        if self.tls.has_files:
            await self.tls.reread(recorder)
        self.tls.context()  # tells what is wrong with it before anybody is bothered
        servers = self.resolver.addresses
        address = await resolve(host, port, recorder, ip=self.ip, servers=servers)
        look = _Look(self, name, recorder)
        refusal = await look.shake_hands(address)
        look.judge_trust(refusal)
        look.judge()
        if self.stapling != "ignored":
            await look.staple(address)
        if self.expect.latency is not None:
            self.expect.latency.judge(recorder.elapsed(), recorder)


class _Look:
    """One look at a port: what it showed, and what is wrong with it."""

    def __init__(self, kind: Tls, name: str, recorder: Recorder) -> None:
        self._kind = kind
        self._name = name
        self._recorder = recorder
        self._leaf = Leaf()
        self._facts: ChainFacts | None = None

    async def shake_hands(self, address: Address) -> CheckFailed | None:
        """Make the handshake; return why the certificate was refused, None when it was not.

        Raises:
            CheckFailed: anything but a refused certificate.
        """
        kind, recorder = self._kind, self._recorder
        async with dial(address, recorder, source_ip=kind.source or None) as connection:
            await self._ask(connection)
            try:
                await connection.start_tls(kind.tls.context(), self._name)
            except CheckFailed as failure:
                if failure.reason not in _REFUSALS:
                    raise
                recorder.break_off()
                return failure
            finally:
                self._tell(connection)
        return None

    async def _ask(self, connection: Connection) -> None:
        if self._kind.starttls is not None:
            with self._recorder.phase("dialog"):
                await negotiate(self._kind.starttls, self._name, connection)

    def _tell(self, connection: Connection) -> None:
        chain = sent_chain(connection.peer) if connection.peer is not None else ()
        if not chain:
            return
        self._facts = facts = chain_facts(chain)
        self._leaf = leaf = read_leaf(chain[0])
        tell = self._recorder.sample
        if facts.not_before is not None:
            tell("tls_certificate_not_before_timestamp_seconds", facts.not_before)
        tell("tls_key_size", leaf.key_bits, algorithm=leaf.key or "unknown")
        tell("tls_name_matches", float(leaf.is_for(self._name)))
        self._recorder.fact("names", leaf.names_text)

    async def staple(self, address: Address) -> None:
        """Look for an OCSP answer on a second connection, and judge it.

        Raises:
            CheckFailed: ``value``: required, and none that is fresh; ``certificate_untrusted``: it
                says that the certificate is revoked; what the connection met.
        """
        kind, recorder = self._kind, self._recorder
        try:
            answer = await self._second(address)
        except CheckFailed as failure:
            # a server that knows 1.3 alone shows nobody whether it staples
            if kind.stapling == "required" or failure.reason not in _NO_SIGHT:
                raise
            recorder.break_off()
            recorder.fact("ocsp", f"cannot be seen: {failure.message}")
            return
        found = read_staple(answer) if answer is not None else None
        recorder.sample("tls_ocsp_stapled", float(found is not None and found.status != ""))
        recorder.fact("ocsp", "none" if found is None else found.status or "unreadable")
        if found is not None and found.next_update is not None:
            recorder.sample("tls_ocsp_next_update_timestamp_seconds", found.next_update)
        if found is not None and found.status == "revoked":
            raise CheckFailed(
                Reason.CERTIFICATE_UNTRUSTED,
                "want a certificate that is not revoked, got the OCSP answer 'revoked'",
                phase="staple",
            )
        if kind.stapling == "required":
            _judge_staple(found)

    async def _second(self, address: Address) -> bytes | None:
        source_ip = self._kind.source or None
        async with dial(address, self._recorder, source_ip=source_ip) as connection:
            await self._ask(connection)
            self._recorder.enter("staple")
            answer = await look_for_staple(connection, self._name)
            self._recorder.leave()
            connection.abort()
        return answer

    def judge_trust(self, refusal: CheckFailed | None) -> None:
        """Judge whether the certificate was rightly refused or accepted.

        Raises:
            CheckFailed: *refusal*; ``value``: it should have been refused.
        """
        trust = self._kind.expect.trust
        self._recorder.fact("verification", self._verified(refusal))
        if refusal is not None and trust == "verified":
            raise refusal
        if refusal is None and trust == "refused":
            raise CheckFailed(
                Reason.VALUE, "want a certificate that is refused, got a trusted one", phase="tls"
            )

    def _verified(self, refusal: CheckFailed | None) -> str:
        if refusal is not None:
            return f"{refusal.reason.value}: {refusal.message}"
        return "accepted" if self._kind.tls.verify else "not asked for"

    def judge(self) -> None:
        """Judge certificate and session.

        Raises:
            CheckFailed: the first expectation that is missed.
        """
        for reason, miss in self._misses():
            raise CheckFailed(reason, miss, phase="tls")
        judge_certificate(self._kind.expect.certificate, self._recorder)

    def _misses(self) -> Iterable[tuple[Reason, str]]:
        facts, expect, leaf = self._facts, self._kind.expect, self._leaf
        fingerprint = facts.fingerprint if facts else ""
        if expect.fingerprints and fingerprint not in expect.fingerprints:
            yield (
                Reason.CERTIFICATE_UNTRUSTED,
                f"want one of the expected certificates, got SHA-256 {fingerprint or 'none'}",
            )
        yield from self._missed_texts()
        for name in expect.names:
            if not leaf.is_for(name):
                got = f"names {short(leaf.names_text)}" if leaf.names_text else "one without names"
                yield Reason.CERTIFICATE_NAME, f"want a certificate for {name}, got {got}"
        if expect.key is not None and (miss := expect.key.miss(leaf)) is not None:
            yield Reason.VALUE, miss
        session = {sample.name: dict(sample.labels) for sample in self._recorder.samples}
        version = session.get("tls_version_info", {}).get("version", "none").removeprefix("TLS ")
        if expect.versions and version not in expect.versions:
            yield Reason.VALUE, f"want TLS {' or '.join(expect.versions)}, got {version}"
        cipher = session.get("tls_cipher_info", {}).get("cipher", "none")
        if expect.ciphers and cipher not in expect.ciphers:
            yield Reason.VALUE, f"want one of the expected ciphers, got {cipher}"

    def _missed_texts(self) -> Iterable[tuple[Reason, str]]:
        facts, expect = self._facts, self._kind.expect
        for word, pattern, text in (
            ("a subject", expect.subject, facts.subject if facts else ""),
            ("an issuer", expect.issuer, facts.issuer if facts else ""),
        ):
            if pattern is not None and pattern.search(searchable(text.encode())) is None:
                wanted = f"want {word} that matches {short(str(pattern))}"
                yield Reason.CERTIFICATE_UNTRUSTED, f"{wanted}, got {short(text)}"


def _judge_staple(found: Staple | None) -> None:
    wanted = "want a good OCSP answer stapled to the certificate"
    if found is None or found.status != "good":
        got = "none" if found is None else short(found.status or "unreadable")
        raise CheckFailed(Reason.VALUE, f"{wanted}, got {got}", phase="staple")
    due = found.next_update
    if due is not None and due < datetime.now(UTC).timestamp():
        until = datetime.fromtimestamp(due, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        raise CheckFailed(Reason.VALUE, f"{wanted}, got one until {until}", phase="staple")
