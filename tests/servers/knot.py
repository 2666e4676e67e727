"""A real Knot: an authoritative server that signs its zones itself, and one signed by hand.

| zone | what |
|---|---|
| signed.test | by NSEC; addresses, an alias, a wildcard, an empty name |
| sub.signed.test | a zone below, by NSEC3, with its DS record above |
| open.signed.test | a zone below, by NSEC3 with opt-out: ``loose`` is a zone that is not signed |
| plain.signed.test | a zone below without signatures, so without a DS record |
| broken.test | signed before ``www`` was changed; ``old`` was signed, ``new`` will be |

Other names of each: see `ZONE`. `Knot.anchors` holds the DS records of signed.test and broken.test.
"""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dns.dnssec
import dns.dnssectypes
import dns.name
import dns.rdataset
import dns.rdatatype
import dns.zone
from cryptography.hazmat.primitives.asymmetric import ec

from tests.servers.process import Server, converse, find_program, free_port, start

CONFIG = """
server:
  rundir: {d}
  listen: 127.0.0.1@{port}
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
  nsid: knot-one
  pidfile: {d}/pid
log:
  - target: stderr
    any: info
database:
  storage: {d}/db
policy:
  - id: nsec
    manual: on
  - id: nsec3
    manual: on
    nsec3: on
    nsec3-iterations: 2
    nsec3-salt-length: 4
  - id: open
    manual: on
    nsec3: on
    nsec3-iterations: 0
    nsec3-opt-out: on
template:
  - id: default
    storage: {d}
    file: "%s.zone"
    zonefile-sync: -1
    journal-content: none
    semantic-checks: off
zone:
  - domain: signed.test
    dnssec-signing: on
    dnssec-policy: nsec
  - domain: sub.signed.test
    dnssec-signing: on
    dnssec-policy: nsec3
  - domain: open.signed.test
    dnssec-signing: on
    dnssec-policy: open
  - domain: plain.signed.test
  - domain: broken.test
"""
ZONE = """@ 3600 IN SOA ns.{zone}. mail.{zone}. 2026112201 3600 600 86400 60
@ 3600 IN NS ns
ns 3600 IN A 127.0.0.1
www 300 IN A 192.0.2.1
www 300 IN A 192.0.2.2
old 300 IN A 192.0.2.3
new 300 IN A 192.0.2.4
alias 300 IN CNAME www
chain 300 IN CNAME middle
middle 300 IN CNAME alias
nowhere 300 IN CNAME middle.nowhere
ring 300 IN CNAME ring.again
ring.again 300 IN CNAME ring
away 300 IN CNAME www.sub.signed.test.
*.wild 300 IN TXT "wild"
*.like 300 IN CNAME alias
below.empty 300 IN TXT "below a name without records"
"""
QUESTION = b"\0\x21\0\1\0\0\0\1\0\0\0\0\0\0\3www\6signed\4test\0\0\1\0\1"


class Knot(Server):
    """A running Knot; ``port`` is UDP and TCP."""

    anchors: tuple[str, ...] = ()
    """DS records, as lines of a zone file."""


def start_knot(directory: Path) -> Knot:
    """Start Knot over zones in *directory*."""
    program, port = find_program("knotd"), free_port()
    (directory / "db").mkdir()
    config = directory / "knot.conf"
    config.write_text(CONFIG.format(d=directory, port=port))
    signed, *below = (_make_key(config, f"{zone}signed.test") for zone in ("", "sub.", "open."))
    more = {
        "signed.test": "\n".join((*map(_delegation, ("sub", "open", "plain")), *below, "")),
        "open.signed.test": _delegation("loose"),
    }
    for zone in ("signed.test", *(f"{name}.signed.test" for name in ("sub", "open", "plain"))):
        (directory / f"{zone}.zone").write_text(ZONE.format(zone=zone) + more.get(zone, ""))
    broken = _write_broken(directory / "broken.test.zone")
    running = start(
        [program, "-c", config],
        port,
        directory,
        ready=lambda: converse(port, QUESTION, b"\xc0\0\2\1"),
    )
    server = Knot(running.process, port, directory)
    server.anchors = (signed, broken)
    return server


def _delegation(name: str) -> str:
    return f"{name} 300 IN NS ns.{name}\nns.{name} 300 IN A 127.0.0.1\n"


def _make_key(config: Path, zone: str) -> str:
    """Make a key that signs all of *zone*; return its DS record with a SHA-256 digest."""
    keymgr = [find_program("keymgr"), "-c", str(config), zone]

    def run(*words: str) -> str:
        command = [*keymgr, *words]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
        return done.stdout

    run("generate", "algorithm=13", "ksk=yes", "zsk=yes")
    for line in run("ds").splitlines():
        _, _, tag, algorithm, digest_type, digest = line.split()
        if digest_type == "2":
            return f"{zone}. 300 IN DS {tag} {algorithm} 2 {digest}"
    raise ValueError(f"want a DS record of {zone}, got none")


def _write_broken(path: Path) -> str:
    """Write a signed zone that does not hold; return its DS record."""
    zone = dns.zone.from_text(ZONE.format(zone="broken.test"), "broken.test.", relativize=False)
    private = ec.generate_private_key(ec.SECP256R1())
    key = dns.dnssec.make_dnskey(
        private.public_key(), dns.dnssectypes.Algorithm.ECDSAP256SHA256, 257
    )
    now = datetime.now(UTC)
    dns.dnssec.sign_zone(
        zone,
        keys=[(private, key)],
        inception=now - timedelta(days=2),
        expiration=now + timedelta(days=2),
    )
    # what sign_zone() made is replaced by one that has ended, and one that is to begin
    for word, begins, ends in (("old", -9, -1), ("new", 1, 9)):
        name = dns.name.from_text(f"{word}.broken.test.")
        address = zone.find_rdataset(name, dns.rdatatype.A)
        by_hand = dns.dnssec.sign(
            (name, address), private, dns.name.from_text("broken.test."), key,
            inception=now + timedelta(days=begins), expiration=now + timedelta(days=ends),
        )  # fmt: skip
        zone.replace_rdataset(name, dns.rdataset.from_rdata(300, by_hand))
    other = dns.rdataset.from_text("IN", "A", 300, "192.0.2.66")
    zone.replace_rdataset("www.broken.test.", other)
    zone.to_file(str(path), relativize=False)
    digest = dns.dnssec.make_ds("broken.test.", key, "SHA256")
    return f"broken.test. 300 IN DS {digest}"
