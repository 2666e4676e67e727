"""The TLS hook: notes when a handshake starts and what the peer showed, also when it was refused.

Both event loops, and every driver that takes an ``ssl.SSLContext``, call `RecordingContext` at the
end of the TCP connect, in the context of the dialling task. Whoever set a note before (see `noted`)
gets the phase ``tls``, the pinned server name and the samples. Knows neither addresses nor
verdicts.
"""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from typing import Any

from probes.expect import CertificateExpect
from probes.families import BLACKBOX, SHARED, family_name
from probes.kind import Metric
from probes.recorder import Recorder
from probes.result import Sample
from probes.wire.tls.chains import TrustStore
from probes.wire.tls.leaf import Leaf, read_leaf
from probes.wire.tls.suites import iana_name
from probes.wire.tls.x509 import MAX_REMEMBERED, ChainFacts, chain_facts


def shared_metrics(*names: str) -> tuple[Metric, ...]:
    """Return the metrics of samples whose family every kind shares: one help text, everywhere."""
    families = {family.name: family for family in (*SHARED, *BLACKBOX)}
    found = ((name, families[family_name(name)]) for name in names)
    return tuple(Metric(name, f.help, f.labels, dynamic=f.dynamic) for name, f in found)


TLS_METRICS = shared_metrics(
    "ssl_earliest_cert_expiry",
    "ssl_last_chain_expiry_timestamp_seconds",
    "ssl_last_chain_info",
    "tls_version_info",
    "tls_cipher_info",
    "probe_tls_verified",
    "probe_tls_hop_expiry_timestamp_seconds",
)
# A later hop has the final say about these.
_FINAL = (
    "ssl_earliest_cert_expiry", "ssl_last_chain_expiry_timestamp_seconds", "ssl_last_chain_info",
    "tls_version_info", "tls_cipher_info",
)  # fmt: skip
_HOP_EXPIRY = "probe_tls_hop_expiry_timestamp_seconds"
_VERSIONS = {"TLSv1": "TLS 1.0", "TLSv1.1": "TLS 1.1", "TLSv1.2": "TLS 1.2", "TLSv1.3": "TLS 1.3"}
_DER = 2  # _ssl.ENCODING_DER, without importing a private module

Peer = ssl.SSLObject | ssl.SSLSocket


@dataclass(slots=True)
class TlsNote:
    """What is asked of the next handshake of this task, and who showed up in it.

    Args:
        recorder: gets phase ``tls`` when the handshake starts.
        server_name: to send and to verify, whatever host was dialled; empty: what the dialler says.
        hop: 0 for the target, more behind redirects.
        peer: set by the hook; stays readable after a failed handshake.
    """

    recorder: Recorder
    server_name: str = ""
    hop: int = 0
    peer: Peer | None = None

    def record(self) -> None:
        """Write down what the peer showed, if a handshake began at all."""
        if self.peer is not None:
            _record(self.peer, self.recorder, self.hop, self.server_name)


NOTE: ContextVar[TlsNote | None] = ContextVar("tls_note", default=None)


# uvloop begins the handshake of ``start_tls`` outside of the caller's context, so `NOTE` is lost
# there; what it does hand on is the very object of the server name.
_handed: dict[int, TlsNote] = {}


@contextmanager
def handed(note: TlsNote) -> Iterator[str]:
    """Give the server name to hand to ``start_tls``; it leads the hook to *note*."""
    # an object of its own: Python has one alone for each letter, and the hook knows the name
    given = f"{note.server_name}." if len(note.server_name) == 1 else note.server_name
    carrier = given.encode().decode()
    _handed[id(carrier)] = note
    try:
        yield carrier
    finally:
        del _handed[id(carrier)]


@contextmanager
def noted(recorder: Recorder, server_name: str = "", *, hop: int = 0) -> Iterator[TlsNote]:
    """Note every handshake in the block, by whatever library, and record the peer at its end."""
    note = TlsNote(recorder, server_name, hop)
    token = NOTE.set(note)
    try:
        yield note
    finally:
        NOTE.reset(token)
        note.record()


class _Undecoded(ssl.SSLObject):
    """A connection whose peer's certificate is read from its DER, if at all.

    Both event loops decode it after each handshake, for an ``extra_info`` that nobody here reads:
    a tenth of what the handshake costs.
    """

    def getpeercert(self, binary_form: bool = False) -> Any:  # noqa: FBT001, FBT002 - as in ssl
        # what ssl says of one that was not verified: whoever trusts the text refuses this peer
        return super().getpeercert(binary_form=True) if binary_form else {}


class RecordingContext(ssl.SSLContext):
    """A client context that notes the start of each handshake and keeps its `ssl.SSLObject`.

    Built from the class and not by ``ssl.create_default_context``, which is stricter from Python
    3.13 on: the verdict must be the same on every Python.
    """

    sslobject_class = _Undecoded

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,  # noqa: FBT001, FBT002 - the signature of ssl
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        note = _handed.get(id(server_hostname)) or NOTE.get()
        name = self._name(note, server_hostname)
        wrapped = super().wrap_bio(incoming, outgoing, server_side, name, session)
        if note is not None:
            note.peer = wrapped
            note.recorder.enter("tls")
        return wrapped

    def wrap_socket(self, sock: Any, *args: Any, **options: Any) -> ssl.SSLSocket:
        # a driver of a thread of its own passes here; the handshake may run inside super()
        note = NOTE.get()
        options["server_hostname"] = self._name(note, options.get("server_hostname"))
        if note is not None:
            note.recorder.enter("tls")
        wrapped = super().wrap_socket(sock, *args, **options)
        if note is not None:
            note.peer = wrapped
        return wrapped

    def _name(self, note: TlsNote | None, given: str | bytes | None) -> str | bytes | None:
        name = note.server_name if note is not None and note.server_name else given
        if self.check_hostname and not name:
            # OpenSSL takes an empty name as "do not check", without a word
            raise ValueError("want a server name to check, got none")
        # of a str ssl makes A-labels first, which names of ours are made of: 10 us
        return name.encode() if isinstance(name, str) and name.isascii() else name

    @cached_property
    def suites(self) -> dict[str, int]:
        """The 16-bit id of every cipher suite this context offers, by OpenSSL's name."""
        return {str(c["name"]): int(c["id"]) & 0xFFFF for c in self.get_ciphers()}

    @cached_property
    def trusted(self) -> TrustStore:
        """The authorities of this context, with what was found out about them."""
        return TrustStore(lambda: self.get_ca_certs(binary_form=True))


def sent_chain(peer: Peer) -> tuple[bytes, ...]:
    """Return the certificates *peer* sent as DER, leaf first; empty before they came."""
    return _chain(peer, "get_unverified_chain")


def verified_chain(peer: Peer) -> tuple[bytes, ...]:
    """Return the chain OpenSSL verified as DER, leaf first, root last; empty when it did not."""
    return _chain(peer, "get_verified_chain")


def _chain(peer: Any, method: str) -> tuple[bytes, ...]:
    public = getattr(peer, method, None)
    if public is not None:
        return tuple(public() or ())
    # Python 3.11 and 3.12 have it on the inner object only
    inner = peer._sslobj  # noqa: SLF001 - no public way to it
    return tuple(c.public_bytes(_DER) for c in (inner and getattr(inner, method)()) or ())


def _record(peer: Peer, recorder: Recorder, hop: int, name: str) -> None:
    version = peer.version()
    chain = sent_chain(peer)
    # a version is told only after a complete handshake, so after all that was to be verified was
    verified = version is not None and peer.context.verify_mode != ssl.CERT_NONE
    word, cipher = _session(peer, version)
    if not word and chain and peer.context.minimum_version >= ssl.TLSVersion.TLSv1_2:
        # a certificate that was refused before a suite was in force: 1.3 would have told it
        word = _VERSIONS["TLSv1.2"]
    latest = _latest_expiry(peer, chain) if chain and verified else None
    record_shown(Shown(chain, verified, word, cipher, latest), recorder, hop, name)


@dataclass(frozen=True, slots=True)
class Shown:
    """What a peer has shown, by whatever library it was asked.

    Args:
        chain: the certificates it sent as DER, leaf first; empty: none came.
        verified: chain, name and time were accepted.
        version: of TLS, as the page tells it; empty: none was agreed on.
        cipher: IANA name of the suite; empty: unknown.
        latest_end: of the verified chains, in Unix seconds; None: unknown.
    """

    chain: tuple[bytes, ...]
    verified: bool
    version: str = ""
    cipher: str = ""
    latest_end: float | None = None


def record_shown(shown: Shown, recorder: Recorder, hop: int, name: str) -> None:
    """Write down what a peer has shown that was asked for *name*; a later hop has the final say."""
    if hop:
        recorder.forget(*_FINAL)
    session = (shown.verified, shown.version, shown.cipher)
    says = (chain_facts(shown.chain), read_leaf(shown.chain[0])) if shown.chain else None
    samples, facts = _told(session, says, hop, name)
    recorder.extend(samples)
    for word, text in facts:
        recorder.fact(word, text)
    if shown.latest_end is not None:
        recorder.sample("ssl_last_chain_expiry_timestamp_seconds", shown.latest_end)


@lru_cache(maxsize=MAX_REMEMBERED)
def _told(
    session: tuple[bool, str, str], says: tuple[ChainFacts, Leaf] | None, hop: int, name: str
) -> tuple[tuple[Sample, ...], tuple[tuple[str, str], ...]]:
    """Return the samples and the facts of a peer: in every run the same, made once.

    Args:
        session: whether it was verified, the version of TLS and the suite.
        says: its certificates, the first of them.
        hop: 0 is the target.
        name: that it was asked for.
    """
    verified, version, cipher = session
    notes = Recorder()
    notes.sample("probe_tls_verified", 1.0 if verified else 0.0, hop=str(hop))
    if version:
        notes.sample("tls_version_info", 1.0, version=version)
        notes.fact("tls", ", ".join((version, cipher) if cipher else (version,)))
    if cipher:
        notes.sample("tls_cipher_info", 1.0, cipher=cipher)
    if says is not None:
        _record_chain(says[0], notes, hop)
        _record_leaf(says[1], notes, name)
    return notes.samples, tuple(notes.facts.items())


def _latest_expiry(peer: Peer, sent: tuple[bytes, ...]) -> float | None:
    context = peer.context
    if not isinstance(context, RecordingContext):
        return None
    return context.trusted.latest_end(sent, verified_chain(peer), datetime.now(UTC).timestamp())


def _session(peer: Peer, version: str | None) -> tuple[str, str]:
    """Return version and IANA name of the suite; both empty when the peer chose none."""
    cipher = peer.cipher()
    if cipher is None:
        return "", ""
    name, since, _ = cipher
    context = peer.context
    suite = context.suites.get(name) if isinstance(context, RecordingContext) else None
    if version is None:
        # a refused handshake tells no version, its suite does: those of 1.3 and of 1.2 are their
        # own
        is_new = since == "TLSv1.2" or context.minimum_version >= ssl.TLSVersion.TLSv1_2
        version = "TLSv1.3" if since == "TLSv1.3" else "TLSv1.2" if is_new else None
    return _VERSIONS.get(version or "", "unknown"), name if suite is None else iana_name(suite)


def _record_chain(facts: ChainFacts, recorder: Recorder, hop: int) -> None:
    if facts.earliest_expiry is not None:
        recorder.sample("ssl_earliest_cert_expiry", facts.earliest_expiry)
        recorder.sample(_HOP_EXPIRY, facts.earliest_expiry, hop=str(hop))
    recorder.sample(
        "ssl_last_chain_info",
        1.0,
        fingerprint_sha256=facts.fingerprint,
        issuer=facts.issuer,
        serialnumber=facts.serial,
        subject=facts.subject,
        subjectalternative=facts.names,
    )
    recorder.fact("certificate", facts.text)


def _record_leaf(leaf: Leaf, recorder: Recorder, name: str) -> None:
    recorder.fact("key", leaf.text)
    if name:
        matches = "matches" if leaf.is_for(name) else "does not match"
        recorder.fact("asked_for", f"{name} ({matches})")


def forget_peer(recorder: Recorder) -> None:
    """Drop the samples of earlier hops' TLS: the final answer came without."""
    recorder.forget(*_FINAL)


def judge_certificate(
    expect: CertificateExpect | None, recorder: Recorder, now: datetime | None = None
) -> None:
    """Judge the earliest expiry over all hops of this run, where there is any.

    Raises:
        CheckFailed: ``certificate_expiring``.
    """
    if expect is None:
        return
    moments = [sample.value for sample in recorder.samples if sample.name == _HOP_EXPIRY]
    if moments:
        now = now or datetime.now(UTC)
        expect.judge(min(moments) - now.timestamp(), recorder)
