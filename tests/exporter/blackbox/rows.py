"""What is asked through both programs, and in what ours may differ: a row for each case.

    Row
    ├── prober, options, target     one module each; "{http}" and the like stand for servers
    ├── differs                     the entry of docs/blackbox.md that allows what follows
    │   ├── extra, missing          families on our page only, on theirs only
    │   └── values                  series: (theirs, ours); None: absent
    ├── quirk                       the entry that only compat: strict has as upstream
    └── since, says                 newer than 0.23: what our page alone must say

A row without ``differs`` must be equal. Knows nothing of how pages are fetched.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

# On every page of ours, and what 0.23 cannot know: blackbox.md 2.2 says since when.
NEWER = {
    "probe_timeout_seconds": "unreleased",
    "probe_tls_cipher_info": "0.26",
    "probe_failed_due_to_bytes": "0.28",
}
# For requests that are no rows.
OTHERS = """  without: {prober: tcp}
  secret: {prober: http, http: {headers: {X-Api-Key: canary-of-header}, basic_auth:
    {username: me, password: canary-of-basic}}}
"""
# One of each prober with a second of time.
SLOW = """
  without_tls: {prober: http, timeout: 1s}
  with_tls: {prober: http, timeout: 1s, http: {tls_config: {ca_file: '{ca}'}}}
  ping: {prober: icmp, timeout: 1s}
  names: {prober: dns, timeout: 1s, dns: {query_name: www.local.test, query_type: A}}
  slow_http: {prober: http, timeout: 1s}
  slow_tcp: {prober: tcp, timeout: 1s, tcp: {query_response: [{expect: never}]}}
  slow_bytes: {prober: tcp, timeout: 1s, tcp: {query_response: [{expect_bytes: never seen yet}]}}
  slow_tls: {prober: tcp, timeout: 1s, tcp: {tls: true}}
  slow_unix: {prober: unix, timeout: 1s, unix: {query_response: [{expect: never}]}}
  slow_udp: {prober: dns, timeout: 1s, dns: {query_name: silent.test, query_type: A}}
  slow_dns: {prober: dns, timeout: 1s,
    dns: {query_name: a.test, query_type: A, transport_protocol: tcp}}
  slow_dot: {prober: dns, timeout: 1s,
    dns: {query_name: a.test, query_type: A, transport_protocol: tcp, dns_over_tls: true}}
  slow_grpc: {prober: grpc, timeout: 1s}
  slow_grpcs: {prober: grpc, timeout: 1s, grpc: {tls: true}}
  slow_websocket: {prober: websocket, timeout: 1s}
  slow_icmp: {prober: icmp, timeout: 1s, icmp: {preferred_ip_protocol: ip4, source_ip_address: lo}}
"""
NEWER_LABELS = {"probe_ssl_last_chain_info": "serialnumber"}
Values = Mapping[str, tuple[float | None, float | None]]


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One case."""

    id: str
    prober: str
    options: str
    target: str
    differs: str = ""
    extra: str = ""
    missing: str = ""
    values: Values = field(default_factory=dict[str, tuple[float | None, float | None]])
    quirk: str = ""
    since: str = ""
    says: Mapping[str, float] = field(default_factory=dict[str, float])
    timeout: str = "5s"
    more: Mapping[str, str] = field(default_factory=dict[str, str])

    def module(self, name: str, places: Mapping[str, str]) -> str:
        """Return the module as a line of a blackbox.yml."""
        options = self.options
        for word, value in places.items():
            options = options.replace("{" + word + "}", value)
        section = f", {self.prober}: {{{options}}}" if options != "-" else ""
        return f"  {name}: {{prober: {self.prober}, timeout: {self.timeout}{section}}}\n"

    def place(self, places: Mapping[str, str]) -> str:
        """Return the target."""
        target = self.target
        for word, value in places.items():
            target = target.replace("{" + word + "}", value)
        return target


def names(rows: Sequence[Row]) -> dict[str, Row]:
    """Return the rows by the name of their module."""
    return {f"m{number}": row for number, row in enumerate(rows)}


def files_of(rows: Sequence[Row], places: Mapping[str, str]) -> tuple[str, str]:
    """Return a blackbox.yml with a module for each row that 0.23 can have, and one with all."""
    lines = {row: row.module(name, places) for name, row in names(rows).items()}
    theirs = "".join(line for row, line in lines.items() if not row.since)
    ours = OTHERS + SLOW.replace("{ca}", places["ca"]) + "".join(lines.values())
    return f"modules:\n{OTHERS}{theirs}", f"modules:\n{ours}"
