"""Kind ``ssh``: who the server says it is, what it offers, and whether it has its host key.

One key exchange, in which the host proves its key, and then a goodbye: nobody logs in, nothing is
encrypted. The talk is `probes.wire.ssh.transport`'s business, the mathematics
`probes.wire.ssh.keys`'.
"""

import base64
import binascii
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from probes.errors import CheckFailed
from probes.expect import DurationBand
from probes.kind import Kind, Metric
from probes.pattern import Pattern
from probes.recorder import Recorder
from probes.result import Reason
from probes.settings import Settings
from probes.units import short
from probes.wire.dns.resolver import ResolverOptions
from probes.wire.net import ANY_IP, IpChoice, dial, resolve
from probes.wire.source import Source
from probes.wire.ssh.keys import (
    EXCHANGES,
    HOST_KEYS,
    HostKey,
    fingerprint,
    hashed,
    load_library,
    read_key,
    verify,
)
from probes.wire.ssh.transport import (
    IDENTIFICATION,
    Banner,
    Offers,
    Session,
    agree,
    pack_offers,
    pack_string,
    parse_offers,
)
from probes.wire.tls.settings import NET_METRICS
from probes.wire.url import split_host_port

# https://www.iana.org/assignments/service-names-port-numbers
PORT = 22
# Keys of one host: a few types, and the next ones before a change.
MAX_HOST_KEYS = 16
_FINGERPRINT = "SHA256:"
_FINGERPRINT_BYTES = 32
_TYPES = {"ed25519": "ssh-ed25519", "ecdsa": "ecdsa-", "rsa": "ssh-rsa"}
# Never used: the talk ends before. A server wants some in common all the same.
_CIPHERS = (
    "chacha20-poly1305@openssh.com", "aes256-gcm@openssh.com", "aes128-gcm@openssh.com",
    "aes256-ctr", "aes192-ctr", "aes128-ctr", "aes256-cbc", "aes128-cbc", "3des-cbc",
)  # fmt: skip
_MACS = (
    "hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "umac-128-etm@openssh.com",
    "hmac-sha2-256", "hmac-sha2-512", "umac-128@openssh.com", "hmac-sha1",
)  # fmt: skip


def _judge_key(text: str) -> str:
    kind, _, rest = text.partition(" ")
    try:
        if text.startswith(_FINGERPRINT):
            digest = text.removeprefix(_FINGERPRINT).rstrip("=")
            padded = digest + "=" * (-len(digest) % 4)
            if len(base64.b64decode(padded, validate=True)) == _FINGERPRINT_BYTES:
                return _FINGERPRINT + digest
        elif kind in HOST_KEYS.values():
            base64.b64decode(rest.split(" ")[0], validate=True)
            return f"{kind} {rest.split(' ')[0]}"
    except binascii.Error:
        pass
    raise ValueError(
        f"want SHA256:... or a public key such as ssh-ed25519 AAAA..., got {short(text)}"
    )


HostKeyText = Annotated[str, AfterValidator(_judge_key)]
"""A fingerprint, or a public key as it stands in known_hosts."""


class SshExpect(Settings):
    """What fails the run when it is missed."""

    banner: Pattern | None = None
    """Pattern of the identification, such as ``OpenSSH_9``."""
    host_keys: tuple[HostKeyText, ...] = Field(default=(), max_length=MAX_HOST_KEYS)
    """The host must have one of these: ``SHA256:...`` as ``ssh-keygen -l`` prints it, or a public
    key such as ``ssh-ed25519 AAAA...``."""
    latency: DurationBand | None = None
    """Time of the whole run."""


class Ssh(Kind):
    """Greet an SSH server and let it prove its host key. Nobody logs in.

    Target:
        ``host[:22]``

    Source:
        RFC 4253, RFC 8731, RFC 8332, RFC 8709
    """

    name = "ssh"
    phases = ("resolve", "connect", "banner", "key_exchange")
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric(
            "ssh_server_info", "What the server says it is", ("protocol", "software"), dynamic=True
        ),
        Metric(
            "ssh_host_key_info", "Host key that was proved", ("fingerprint", "type"), dynamic=True
        ),
        Metric("ssh_host_key_size", "Length of the host key in bits"),
        *NET_METRICS,
    )
    ends_at_once: ClassVar[bool] = True

    key_exchange: bool = True
    """Whether the host must prove its key; else the identification is all."""
    host_key_type: Literal["any", "ed25519", "ecdsa", "rsa"] = "any"
    """Key to ask for; any: of a type in ``expect.host_keys``, else the server's best."""
    expect: SshExpect = SshExpect()
    """What the server must be."""
    ip: IpChoice = ANY_IP
    """Which address of the name is dialled: any, 4, 6, prefer_4, prefer_6."""
    source: Source = ""
    """Address of this host to come from, or the name of one of its interfaces."""
    resolver: ResolverOptions = ResolverOptions()
    """Name servers to ask instead of the system's."""

    @model_validator(mode="after")
    def _make_sense(self) -> Self:
        if not self.key_exchange and (self.expect.host_keys or self.host_key_type != "any"):
            raise ValueError("want key_exchange: true where a host key is expected, got false")
        if self.expect.host_keys and not self._algorithms():
            raise ValueError("want host keys of the type in host_key_type, got none")
        return self

    def check_target(self, target: str) -> None:
        split_host_port(target, PORT)

    def prepare(self, target: str) -> None:  # noqa: ARG002 - the same for every target
        if self.key_exchange:
            load_library()
        self.resolver.prepare()

    async def run(self, target: str, recorder: Recorder) -> None:
        try:
            host, port = split_host_port(target, PORT)
        except ValueError as error:
            raise CheckFailed(Reason.CONFIG, str(error)) from None
        servers = self.resolver.addresses
        address = await resolve(host, port, recorder, ip=self.ip, servers=servers)
        async with dial(address, recorder, source_ip=self.source or None) as connection:
            session = Session(connection, recorder)
            banner = await session.greet()
            self._judge_banner(banner, recorder)
            if self.key_exchange:
                self._judge_key(await self._exchange(session, banner, recorder), recorder)
                session.leave()
            recorder.leave()
        if self.expect.latency is not None:
            self.expect.latency.judge(recorder.elapsed(), recorder)

    def _algorithms(self) -> tuple[str, ...]:
        """Return which signatures to ask for: of keys of the wanted type, if there is one."""
        start = _TYPES.get(self.host_key_type, "")
        known = {text.partition(" ")[0] for text in self.expect.host_keys}
        is_open = not known or any(kind.startswith(_FINGERPRINT) for kind in known)
        return tuple(
            algorithm
            for algorithm, kind in HOST_KEYS.items()
            if kind.startswith(start) and (is_open or kind in known)
        )

    def _judge_banner(self, banner: Banner, recorder: Recorder) -> None:
        recorder.fact("banner", str(banner))
        recorder.sample("ssh_server_info", 1, protocol=banner.protocol, software=banner.software)
        wanted = self.expect.banner
        if wanted is not None and wanted.search(banner.raw) is None:
            got = short(str(banner))
            raise CheckFailed(
                Reason.BODY, f"want an identification that matches {short(str(wanted))}, got {got}"
            )

    async def _exchange(self, session: Session, banner: Banner, recorder: Recorder) -> HostKey:
        """Return the host key after its proof."""
        ours = Offers(tuple(EXCHANGES), self._algorithms(), _CIPHERS, _MACS)
        sent = pack_offers(ours)
        received = await session.offers(sent)
        theirs = parse_offers(received)
        recorder.fact("key exchanges", ", ".join(theirs.exchanges))
        recorder.fact("host keys", ", ".join(theirs.host_keys))
        exchange = agree(ours.exchanges, theirs.exchanges, "a key exchange")
        algorithm = agree(ours.host_keys, theirs.host_keys, "a host key")
        recorder.fact("key exchange", f"{exchange}, {algorithm}")
        half = EXCHANGES[exchange][1]()
        # RFC 4253, 7: its guess was good when the first of each is the same on both sides
        guess = (ours.exchanges[0], ours.host_keys[0])
        skip = theirs.guesses and (theirs.exchanges[0], theirs.host_keys[0]) != guess
        reply = await session.exchange(half.public, skip=skip)
        blob, public, signature = reply.string(), reply.string(), reply.string()
        key = read_key(blob)
        try:
            shared = half.shared(public)
        except ValueError:
            raise CheckFailed(
                Reason.PROTOCOL, "want a public value of the key exchange, got one that is none"
            ) from None
        transcript = (
            pack_string(IDENTIFICATION) + pack_string(banner.raw) + pack_string(sent)
            + pack_string(received) + pack_string(blob) + half.public + pack_string(public) + shared
        )  # fmt: skip
        verify(key, algorithm, signature, hashed(exchange, transcript))
        return key

    def _judge_key(self, key: HostKey, recorder: Recorder) -> None:
        recorder.fact("host key", f"{key.type} {key.fingerprint}")
        recorder.sample("ssh_host_key_info", 1, fingerprint=key.fingerprint, type=key.type)
        recorder.sample("ssh_host_key_size", key.bits)
        known = self.expect.host_keys
        if known and key.fingerprint not in _fingerprints(known):
            got = f"{key.type} {key.fingerprint}"
            if self.host_key_type == "any" and known[0].startswith(_FINGERPRINT):
                # a fingerprint does not tell which of the host's keys it is of
                got += " (host_key_type asks for another one)"
            more = f" or one of {len(known) - 1} more" if known[1:] else ""
            raise CheckFailed(Reason.VALUE, f"want the host key {short(known[0])}{more}, got {got}")


def _fingerprints(texts: tuple[str, ...]) -> list[str]:
    """Return the fingerprints of keys, in whichever form they are written."""
    return [
        text
        if text.startswith(_FINGERPRINT)
        else fingerprint(base64.b64decode(text.partition(" ")[2]))
        for text in texts
    ]
