"""A real unbound: a validating resolver over UDP, TCP, TLS and HTTPS, without a way out.

Two local zones answer by themselves; the zone of a `tests.servers.knot` is asked where it stands,
and validated from the anchor it is given.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from tests.servers.process import Server, converse, find_program, free_port, start

CONFIG = """
server:
  directory: "{d}"
  pidfile: "{d}/pid"
  username: ""
  chroot: ""
  use-syslog: no
  logfile: ""
  num-threads: 1
  interface: 127.0.0.1@{plain}
  interface: 127.0.0.1@{tls}
  interface: 127.0.0.1@{https}
  tls-port: {tls}
  https-port: {https}
  tls-service-pem: "{c}/server.pem"
  tls-service-key: "{c}/server.key"
  do-not-query-localhost: no
  module-config: "validator iterator"
  ede: yes
  nsid: "ascii_prober"
  qname-minimisation: no
  val-log-level: 0
  rrset-roundrobin: no
  # without it nothing stays in the cache of a name that is broken on purpose
  cache-max-negative-ttl: 0
  local-zone: "test." nodefault
  local-zone: "local.test." static
  local-data: "local.test. 60 IN SOA ns.local.test. mail.local.test. 2026112201 3600 600 86400 60"
  local-data: "www.local.test. 300 IN A 192.0.2.1"
  local-data: "www.local.test. 300 IN A 192.0.2.2"
  local-data: "www.local.test. 300 IN AAAA 2001:db8::1"
  local-data: "alias.local.test. 300 IN CNAME www.local.test."
  local-data: 'local.test. 300 IN TXT "v=spf1 -all"'
  local-zone: "refused.test." refuse
{anchors}
remote-control:
  control-enable: no
{stubs}
"""
STUB = """
stub-zone:
  name: "{zone}"
  stub-addr: 127.0.0.1@{port}
"""
NO_ZONES: Mapping[str, int] = MappingProxyType({})
QUESTION = b"\0\x20\0\1\1\0\0\1\0\0\0\0\0\0\3www\5local\4test\0\0\1\0\1"


class Unbound(Server):
    """A running unbound; ``port`` is UDP and TCP."""

    tls_port: int = 0
    """DNS over TLS."""
    https_port: int = 0
    """DNS over HTTPS, HTTP/2 only."""


def start_unbound(
    directory: Path,
    certificates: Path,
    *,
    anchors: Sequence[str] = (),
    zones: Mapping[str, int] = NO_ZONES,
) -> Unbound:
    """Start unbound.

    Args:
        directory: of its files.
        certificates: see the fixture of that name.
        anchors: DS records to validate from, as lines of a zone file.
        zones: that other servers of this host have, and their ports.
    """
    program = find_program("unbound")
    plain, tls, https = (free_port() for _ in range(3))
    config = directory / "unbound.conf"
    config.write_text(
        CONFIG.format(
            d=directory, c=certificates, plain=plain, tls=tls, https=https,
            anchors="\n".join(f"  trust-anchor: '{line}'" for line in anchors),
            stubs="".join(STUB.format(zone=zone, port=port) for zone, port in zones.items()),
        )
    )  # fmt: skip
    running = start(
        [program, "-d", "-p", "-c", config],
        plain,
        directory,
        ready=lambda: converse(plain, QUESTION, b"\xc0\0\2\1"),
    )
    server = Unbound(running.process, plain, directory)
    server.tls_port, server.https_port = tls, https
    return server
