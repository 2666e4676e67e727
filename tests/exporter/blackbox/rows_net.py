"""Rows of kinds tcp, dns, icmp and grpc: each option that upstream 0.23 has."""

from tests.exporter.blackbox.rows import Row

_CERTIFICATE = "probe_ssl_earliest_cert_expiry probe_ssl_last_chain_info probe_tls_version_info"
_V4 = "preferred_ip_protocol: ip4"


def tcp(name: str, steps: str, target: str, **more: object) -> Row:
    """Return a row whose options are the steps of a dialog, or whatever stands before a '|'."""
    options, _, dialog = steps.rpartition("|")
    parts = [_V4, options.strip(), f"query_response: [{dialog.strip()}]" if dialog.strip() else ""]
    return Row(name, "tcp", ", ".join(filter(None, parts)), target, **more)  # type: ignore[arg-type]


def dns(name: str, options: str, target: str = "{unbound}", **more: object) -> Row:
    """Return a row."""
    return Row(name, "dns", f"{_V4}, {options}", target, **more)  # type: ignore[arg-type]


def icmp(name: str, options: str, target: str = "127.0.0.1", **more: object) -> Row:
    """Return a row."""
    return Row(name, "icmp", options, target, **more)  # type: ignore[arg-type]


def grpc(name: str, options: str, target: str, **more: object) -> Row:
    """Return a row; without TLS upstream tells of a certificate that ended in 1970."""
    if "tls: true" not in options or "missing" in more:
        more = {"differs": "K16", "missing": "probe_ssl_earliest_cert_expiry"} | more
    return Row(name, "grpc", options, target, **more)  # type: ignore[arg-type]


_CA = "tls_config: {ca_file: '{ca}'}"
_STARTTLS = (
    "{expect: '^220 '}, {send: 'EHLO prober'}, {expect: '^250-STARTTLS'}, {send: STARTTLS},"
    " {expect: '^220'}, {starttls: true}, {send: QUIT}, {expect: '^250 heard QUIT'}"
)
TCP = (
    tcp("connecting is enough", "", "{silent}"),
    tcp("a closed port", "", "{closed}"),
    tcp("no port", "", "127.0.0.1"),
    tcp("a banner", "{expect: '^SSH-2.0-'}", "{ssh}"),
    tcp("another banner", "{expect: '^SSH-1.9-'}", "{ssh}", timeout="300ms"),
    tcp("the second line", "{expect: '^second line$'}", "{lines}"),
    tcp("two steps", "{expect: '^first'}, {expect: 'third (?P<n>.*)'}", "{lines}"),
    tcp("the last line has no end", "{expect: 'without an end$'}", "{lines}", timeout="300ms"),
    tcp("an end without a match", "{expect: hello}", "{bye}"),
    tcp("a match before the end", "{expect: bye}", "{bye}"),
    tcp("closed at once", "{expect: hello}", "{closing}"),
    tcp("silence", "{expect: hello}", "{silent}", timeout="300ms"),
    tcp("sent and echoed", "{send: 'ping 1'}, {expect: '^ping 1$'}", "{echo}"),
    tcp("a group is sent back", "{send: NICK prober}, {expect: 'PING ([^ ]+)', send: 'PONG ${1}'},"
        " {expect: '^:irc 001'}", "{irc}"),
    tcp("a name is sent back", "{send: NICK prober}, {expect: 'PING (?P<t>[^ ]+)',"
        " send: 'PONG ${t}'}, {expect: '^:irc 001'}", "{irc}"),
    tcp("dollars", "{send: 'a b'}, {expect: '(a) (b)', send: '$2 $$ ${1}$1x $9'},"
        " {expect: '^b [$] a $'}", "{echo}"),
    tcp("no expansion without expect", "{send: '${1} $$'}, {expect: '^[$][{]1[}] [$][$]$'}",
        "{echo}"),
    tcp("case in the pattern", "{expect: '(?i)^ssh'}", "{ssh}"),
    tcp("TLS", f"tls: true, {_CA} | {{send: hi}}, {{expect: '^hi$'}}", "{tlsecho}"),
    tcp("TLS alone", f"tls: true, {_CA} |", "{nginxtls}"),
    tcp("TLS of an unknown authority", "tls: true |", "{nginxtls}", differs="D9",
        extra=_CERTIFICATE),
    tcp("TLS not verified", "tls: true, tls_config: {insecure_skip_verify: true} |", "{nginxtls}",
        quirk="D4"),
    tcp("TLS expired", f"tls: true, {_CA} |", "{expiredat}", differs="D9", extra=_CERTIFICATE),
    tcp("TLS by another name", "tls: true, tls_config: {ca_file: '{ca}',"
        " server_name: other.example} |", "{namedat}"),
    tcp("TLS of a port without", "tls: true |", "{plain}"),
    tcp("TLS that ends with an alert", "tls: true |", "{alert}"),
    tcp("STARTTLS", f"{_CA} | {_STARTTLS}", "{mail}"),
    tcp("STARTTLS of an unknown authority", _STARTTLS, "{mail}", differs="D9",
        extra=_CERTIFICATE),
    tcp("STARTTLS not verified", "tls_config: {insecure_skip_verify: true} | " + _STARTTLS,
        "{mail}", quirk="D4"),
    tcp("IPv6 alone, IPv4 there", "ip_protocol_fallback: false |", "[::1]:1"),
    tcp("a source address", "source_ip_address: 127.0.0.1 |", "{silent}"),
    tcp("a source address that is none", "source_ip_address: nowhere |", "{silent}"),
    tcp("a name", "", "localhost:{port}"),
)  # fmt: skip

_ANY = "query_name: www.local.test, query_type: A"
DNS = (
    dns("A", _ANY),
    dns("AAAA", "query_name: www.local.test, query_type: AAAA"),
    dns("a name with its dot", "query_name: www.local.test., query_type: A"),
    dns("TXT", "query_name: local.test, query_type: TXT, validate_answer_rrs:"
        " {fail_if_not_matches_regexp: ['v=spf1']}"),
    dns("SOA", "query_name: local.test, query_type: SOA"),
    dns("SOA of a name without", "query_name: www.local.test, query_type: SOA"),
    dns("SOA of the owner", "query_name: signed.test, query_type: SOA", "{knot}"),
    dns("NS with its address", "query_name: signed.test, query_type: NS", "{knot}"),
    dns("a delegation", "query_name: a.plain.signed.test, query_type: A", "{knot}"),
    dns("an alias", "query_name: alias.local.test, query_type: A"),
    dns("ANY", "query_name: www.local.test"),
    dns("NXDOMAIN", "query_name: nowhere.local.test, query_type: A"),
    dns("NXDOMAIN wanted", "query_name: nowhere.local.test, query_type: A,"
        " valid_rcodes: [NXDOMAIN]"),
    dns("REFUSED", "query_name: www.refused.test, query_type: A"),
    dns("REFUSED wanted", "query_name: www.refused.test, query_type: A,"
        " valid_rcodes: [NOERROR, REFUSED]"),
    dns("SERVFAIL", "query_name: servfail.test, query_type: A", "{dns}"),
    dns("FORMERR", "query_name: formerr.test, query_type: A", "{dns}"),
    dns("an answer without records", "query_name: empty.test, query_type: A", "{dns}"),
    dns("a code nobody has", f"{_ANY}, valid_rcodes: [NOPE]"),
    dns("over tcp", f"{_ANY}, transport_protocol: tcp"),
    dns("over udp, written out", f"{_ANY}, transport_protocol: udp"),
    dns("over TLS", f"{_ANY}, transport_protocol: tcp, dns_over_tls: true, {_CA}", "{dot}",
        differs="D9",
        extra=f"{_CERTIFICATE} probe_ssl_last_chain_expiry_timestamp_seconds"),
    dns("over TLS of an unknown authority", f"{_ANY}, transport_protocol: tcp,"
        " dns_over_tls: true", "{dot}", differs="D9", extra=_CERTIFICATE, quirk="D10"),
    dns("over TLS, not verified", f"{_ANY}, transport_protocol: tcp, dns_over_tls: true,"
        " tls_config: {insecure_skip_verify: true}", "{dot}", differs="D9",
        extra=f"{_CERTIFICATE} probe_ssl_last_chain_expiry_timestamp_seconds", quirk="D4"),
    dns("not recursive", f"{_ANY}, recursion_desired: false"),
    dns("class CH", "query_name: id.server, query_type: TXT, query_class: CH"),
    dns("answers match", f"{_ANY}, validate_answer_rrs: {{fail_if_not_matches_regexp:"
        " ['192.0.2.[12]']}"),
    dns("one answer does not", f"{_ANY}, validate_answer_rrs: {{fail_if_not_matches_regexp:"
        " ['192.0.2.1$']}"),
    dns("an answer that must not be", f"{_ANY}, validate_answer_rrs: {{fail_if_matches_regexp:"
        " ['192.0.2.2']}"),
    dns("the text of a record", f"{_ANY}, validate_answer_rrs: {{fail_if_not_matches_regexp:"
        " ['^www.local.test.\\t300\\tIN\\tA\\t192.0.2.[12]$']}"),
    dns("all match", f"{_ANY}, validate_answer_rrs: {{fail_if_all_match_regexp: ['192.0.2']}}"),
    dns("not all match", f"{_ANY}, validate_answer_rrs: {{fail_if_all_match_regexp:"
        " ['192.0.2.1$']}"),
    dns("some match", f"{_ANY}, validate_answer_rrs: {{fail_if_none_matches_regexp:"
        " ['192.0.2.1$']}"),
    dns("none matches", f"{_ANY}, validate_answer_rrs: {{fail_if_none_matches_regexp:"
        " ['203.0.113']}"),
    dns("no authority to match", f"{_ANY}, validate_authority_rrs:"
        " {fail_if_not_matches_regexp: ['.*']}"),
    dns("authority", "query_name: a.plain.signed.test, query_type: A, validate_authority_rrs:"
        " {fail_if_not_matches_regexp: ['ns.plain.signed.test']}", "{knot}"),
    dns("additional", "query_name: a.plain.signed.test, query_type: A, validate_additional_rrs:"
        " {fail_if_not_matches_regexp: ['127.0.0.1']}", "{knot}"),
    dns("a pattern that is none", f"{_ANY}, validate_answer_rrs: {{fail_if_matches_regexp:"
        " ['(']}"),
    dns("nobody listens", _ANY, "{closed}", quirk="D10"),
    dns("nobody listens on tcp", f"{_ANY}, transport_protocol: tcp", "{closed}", quirk="D10"),
    dns("silence", "query_name: silent.test, query_type: A", "{dns}", timeout="300ms",
        quirk="D10"),
    dns("another identifier", "query_name: wrongid.test, query_type: A", "{dns}",
        timeout="300ms", quirk="D10"),
    dns("TLS over udp", f"{_ANY}, dns_over_tls: true", differs="K14", quirk="D10",
        missing="probe_dns_lookup_time_seconds probe_ip_addr_hash probe_ip_protocol"),
    dns("another transport", f"{_ANY}, transport_protocol: sctp", quirk="D10"),
)  # fmt: skip

ICMP = (
    icmp("this host", ""),
    icmp("this host by IPv6", "", "::1"),
    icmp("a name", "preferred_ip_protocol: ip4", "localhost"),
    icmp("ttl", "preferred_ip_protocol: ip4, ttl: 3"),
    icmp("a payload", "payload_size: 1000"),
    icmp("not to be fragmented", "preferred_ip_protocol: ip4, dont_fragment: true"),
    icmp("a source address", "preferred_ip_protocol: ip4, source_ip_address: 127.0.0.1"),
    icmp("a source address that is none", "source_ip_address: nowhere", quirk="D10"),
    icmp(
        "IPv6 alone, IPv4 there",
        "preferred_ip_protocol: ip6, ip_protocol_fallback: false",
        quirk="D10",
    ),
)
_YES, _NO = {"probe_success": 1}, {"probe_success": 0}
_GRPC = "preferred_ip_protocol: ip4"
GRPC = (
    grpc("serving", _GRPC, "{grpc}"),
    grpc("not serving", f"{_GRPC}, service: down", "{grpc}"),
    grpc("unknown status", f"{_GRPC}, service: odd", "{grpc}"),
    grpc("an unknown service", f"{_GRPC}, service: nobody", "{grpc}"),
    grpc("not let in", f"{_GRPC}, service: guarded", "{grpc}"),
    grpc("with a scheme", _GRPC, "http://{grpc}"),
    grpc("TLS", f"{_GRPC}, tls: true, {_CA}", "{grpcs}"),
    grpc("TLS not verified", f"{_GRPC}, tls: true, tls_config: {{insecure_skip_verify: true}}",
         "{grpcs}"),
    grpc("a client certificate", f"{_GRPC}, tls: true, tls_config: {{ca_file: '{{ca}}',"
         " cert_file: '{cert}', key_file: '{key}'}", "{grpcm}"),
    grpc("an unknown authority", f"{_GRPC}, tls: true", "{grpcs}", differs="D9 K16",
         missing="probe_ssl_earliest_cert_expiry", extra=_CERTIFICATE),
    grpc("a closed port", _GRPC, "{closed}"),
    grpc("clear text where TLS is wanted", f"{_GRPC}, tls: true", "{grpc}", differs="K16",
         missing="probe_ssl_earliest_cert_expiry"),
    grpc("TLS where clear text is wanted", _GRPC, "{grpcs}"),
    grpc("another protocol", _GRPC, "127.0.0.1:{port}"),
    grpc("no section", "-", "{grpc}", quirk="D3"),
)  # fmt: skip


def unix(name: str, options: str, target: str, **more: object) -> Row:
    """Return a row."""
    return Row(name, "unix", options, target, **more)  # type: ignore[arg-type]


_BYTES = {"probe_failed_due_to_bytes": 1, "probe_success": 0}
NEWER = (
    tcp("hostname", f"tls: true, {_CA} |", "{namedat}", more={"hostname": "web.example"},
        since="0.24", says=_YES),
    tcp("labels", "{expect: 'SSH-(?P<v>[^-]+)-(.*)', labels: [{name: version, value: '${v}'}]}",
        "{ssh}", since="0.26", says={"probe_expect_info{version='2.0'}": 1, **_YES}),
    tcp("labels of two steps", "{expect: '(fir)', labels: [{name: a, value: '$1'}]},"
        " {expect: '4(2)', labels: [{name: b, value: '${1}'}]}", "{lines}", since="0.26",
        says={"probe_expect_info{a='fir',b=''}": 1, "probe_expect_info{a='',b='2'}": 1}),
    tcp("bytes", "{expect_bytes: !!binary AAEC}", "{binary}", since="0.28", says=_YES),
    tcp("other bytes", "{expect_bytes: !!binary AAED}", "{binary}", since="0.28", says=_BYTES),
    tcp("bytes behind a line", "{expect: first}, {expect_bytes: second}", "{lines}",
        since="0.28", says=_YES),
    unix("a socket that is not there", "", "{here}/nowhere.sock", since="0.28", says=_NO),
    unix("a socket", "query_response: [{send: hi}, {expect: '^hi$'}]", "{here}/echo.sock",
         since="0.28", says=_YES),
    grpc("silence", _GRPC, "{silent}", timeout="300ms", since="D1", says={"probe_success": 0}),
    grpc("an address of IPv6", "preferred_ip_protocol: ip6", "{grpc6}", since="D6", says=_YES),
    grpc("metadata", f"{_GRPC}, service: guarded, metadata: {{x-token: [s3cret-of-grpc],"
         " X-Many: [a, b], x-bin: [!!binary AP8=]}", "{grpc}", since="0.28", says=_YES),
    Row("upgrade", "websocket", "query_response: [{send: hi}, {expect: '^hi$'}]", "ws://{talk}",
        since="unreleased", says={"probe_websocket_connection_upgraded": 1, **_YES}),
    Row("no upgrade", "websocket", _V4, "ws://127.0.0.1:{port}/ok", since="unreleased",
        says={"probe_websocket_connection_upgraded": 0, "probe_websocket_status_code": 200}),
)  # fmt: skip
ROWS = (*TCP, *DNS, *ICMP, *GRPC, *NEWER)
