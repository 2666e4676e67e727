"""Rows of kind http: each option of upstream, and what a server may do to it."""

from typing import Any

from tests.exporter.blackbox.rows import Row

_V4 = "preferred_ip_protocol: ip4"
CERTIFICATE = "probe_ssl_earliest_cert_expiry probe_ssl_last_chain_info probe_tls_version_info"


def http(name: str, options: str, target: str, **more: object) -> Row:
    """Return a row; IPv4 is preferred unless *options* say something of it."""
    if "ip_protocol" not in options and options != "-":
        options = f"{_V4}, {options}" if options else _V4
    return Row(name, "http", options, target, **more)  # type: ignore[arg-type]


_CA = "tls_config: {ca_file: '{ca}'}"
_FORM = "body: a=1, headers: {Content-Type: application/x-www-form-urlencoded}"

STATUS = (
    http("2xx is the default", "", "{http}/ok"),
    http("no section at all", "-", "{http}/ok"),
    http("204", "", "{http}/status/204"),
    http("206 is good too", "", "{http}/status/206"),
    http("404", "", "{http}/status/404"),
    http("500", "", "{http}/status/500"),
    http("a list of codes", "valid_status_codes: [404, 500]", "{http}/status/404"),
    http("a list that lacks 200", "valid_status_codes: [404, 500]", "{http}/ok"),
    http("an empty list is 2xx", "valid_status_codes: []", "{http}/ok"),
    http("418 wanted", "valid_status_codes: [418]", "{http}/status/418"),
    http("304 wanted", "valid_status_codes: [304]", "{http}/status/304"),
    http("nginx says 503", "valid_status_codes: [503]", "{nginx}/broken"),
)
VERSION = (
    http("1.1 wanted", "valid_http_versions: [HTTP/1.1]", "{http}/ok"),
    http("1.0 wanted and there", "valid_http_versions: [HTTP/1.0]", "{http}/close-delimited"),
    http("1.0 wanted, 1.1 there", "valid_http_versions: [HTTP/1.0]", "{http}/ok"),
    http("2.0 wanted, clear text", "valid_http_versions: [HTTP/2.0]", "{nginx}/hello.txt"),
    http("2.0 over ALPN", f"valid_http_versions: [HTTP/2.0], {_CA}", "{nginxs}/hello.txt"),
    http(
        "1.1 when HTTP/2 is off",
        f"enable_http2: false, valid_http_versions: [HTTP/1.1], {_CA}",
        "{nginxs}/hello.txt",
    ),
    http("a version nobody has", "valid_http_versions: [HTTP/9]", "{http}/ok"),
)
BODY = (
    http("body matches", "fail_if_body_not_matches_regexp: ['all (is|was)']", "{http}/ok"),
    http("body does not match", "fail_if_body_not_matches_regexp: [nothing]", "{http}/ok"),
    http("one of two does not", "fail_if_body_not_matches_regexp: [all, no]", "{http}/ok"),
    http("body must not match", "fail_if_body_matches_regexp: ['w.ll']", "{http}/ok"),
    http("body lacks it", "fail_if_body_matches_regexp: [ill, broken]", "{http}/ok"),
    http("case in the pattern", "fail_if_body_not_matches_regexp: ['(?i)ALL IS']", "{http}/ok"),
    http("the end of a text", "fail_if_body_not_matches_regexp: ['well\\n\\z']", "{http}/ok"),
    http("status before body", "fail_if_body_not_matches_regexp: [no]", "{http}/status/404"),
    http("a big body", "fail_if_body_not_matches_regexp: ['^x+$']", "{http}/ok/big/100000"),
    http("an empty body", "fail_if_body_not_matches_regexp: ['^$']", "{nginx}/empty"),
    http("chunked", "", "{http}/ok/chunked"),
    http("close-delimited", "", "{http}/close-delimited"),
    http("Last-Modified", "", "{http}/ok/modified"),
    http("Last-Modified of nginx", "fail_if_body_not_matches_regexp: [hello]", "{nginx}/hello.txt"),
    http("a body cut short", "", "{http}/short"),
    http("a body reset", "", "{http}/rstbody"),
    http("under the limit", "body_size_limit: 1KB", "{http}/ok"),
    http("over the limit", "body_size_limit: 10B", "{http}/ok"),
    http("at the limit", "body_size_limit: 12B", "{http}/ok"),
    http("over the limit of chunks", "body_size_limit: 10B", "{http}/ok/chunked"),
)
COMPRESSION = (
    http("gzip", "compression: gzip", "{http}/ok/gzip"),
    http(
        "gzip of nginx", "compression: gzip, headers: {Accept-Encoding: gzip}", "{nginx}/big.txt"
    ),
    http("not asked for", "", "{nginx}/big.txt"),
    http("not decoded unless set", "fail_if_body_not_matches_regexp: [all]", "{http}/ok/gzip"),
    http("br", "compression: br", "{http}/ok/br"),
    http("raw deflate", "compression: deflate", "{http}/ok/deflate"),
    http("gzip that is br", "compression: gzip", "{http}/ok/br"),
    http("gzip that is none", "compression: gzip", "{http}/ok"),
    http("identity", "compression: identity", "{http}/ok"),
    http("another word", "compression: zstd", "{http}/ok"),
    http(
        "Accept-Encoding by hand",
        "compression: gzip, headers: {Accept-Encoding: 'br;q=0.5, gzip;q=1.0'}",
        "{http}/ok/gzip",
    ),
    http("the limit counts what is decoded", "compression: gzip, body_size_limit: 5B",
         "{http}/ok/gzip"),
)  # fmt: skip
HEADERS = (
    http("header lacks", "fail_if_header_matches: [{header: Server, regexp: fau}]", "{http}/ok"),
    http(
        "header has not",
        "fail_if_header_matches: [{header: Server, regexp: apache}]",
        "{http}/ok",
    ),
    http(
        "header is missing",
        "fail_if_header_matches: [{header: X-None, regexp: '.*'}]",
        "{http}/ok",
    ),
    http(
        "header may be missing",
        "fail_if_header_matches: [{header: X-None, regexp: '.*', allow_missing: true}]",
        "{http}/ok",
    ),
    http("header wanted", "fail_if_header_not_matches: [{header: server, regexp: '^faults$'}]",
         "{http}/ok"),
    http("header differs", "fail_if_header_not_matches: [{header: Server, regexp: apache}]",
         "{http}/ok"),
    http("wanted header is missing", "fail_if_header_not_matches: [{header: X-N, regexp: a}]",
         "{http}/ok"),
    http(
        "wanted header may be missing",
        "fail_if_header_not_matches: [{header: X-N, regexp: a, allow_missing: true}]",
        "{http}/ok",
    ),
)  # fmt: skip
REQUEST = (
    http("HEAD", "method: HEAD", "{http}/ok"),
    http("POST", f"method: POST, {_FORM}, fail_if_body_not_matches_regexp: ['POST.*(?s:.)*a=1']",
         "{http}/echo"),
    http("PUT", "method: PUT, body: x, fail_if_body_not_matches_regexp: ['^PUT /echo']",
         "{http}/echo"),
    http("OPTIONS", "method: OPTIONS", "{http}/ok"),
    http("headers", "headers: {x-lower: a, User-Agent: me},"
         " fail_if_body_not_matches_regexp: ['x-lower: a', 'user-agent: me']", "{http}/echo"),
    http("Host", "headers: {Host: web.example}, fail_if_body_not_matches_regexp:"
         " ['(?m)^host: web.example$']", "{http}/echo"),
    http("basic auth", "basic_auth: {username: me, password: pw},"
         " fail_if_body_not_matches_regexp: ['authorization: Basic bWU6cHc=']", "{http}/echo"),
    http("password of a file", "basic_auth: {username: me, password_file: '{here}/word'},"
         " fail_if_body_not_matches_regexp: ['authorization: Basic bWU6c2VjcmV0LW9mLWEtZmlsZQ==']",
         "{http}/echo"),
    http("bearer token", "bearer_token: xyzzy, fail_if_body_not_matches_regexp:"
         " ['authorization: Bearer xyzzy']", "{http}/echo"),
    http("bearer token of a file", "bearer_token_file: '{here}/word',"
         " fail_if_body_not_matches_regexp: ['authorization: Bearer secret-of-a-file']",
         "{http}/echo"),
    http("authorization of another type", "authorization: {type: Token, credentials: xyzzy},"
         " fail_if_body_not_matches_regexp: ['authorization: Token xyzzy']", "{http}/echo"),
    http("user and password in the target", "fail_if_body_not_matches_regexp:"
         " ['authorization: Basic bWU6cHc=']", "http://me:pw@127.0.0.1:{port}/echo"),
    http("a target without a scheme", "", "127.0.0.1:{port}/ok"),
    http("a target with a query", "fail_if_body_not_matches_regexp: ['^GET /echo.a=1&b=%20x ']",
         "{http}/echo?a=1&b=%20x"),
    http("a target with a fragment", "fail_if_body_not_matches_regexp: ['^GET /echo\\n']",
         "{http}/echo#part"),
)  # fmt: skip
_USER_IN_LOCATION: dict[str, Any] = {
    "differs": "K15",
    "values": {
        "probe_failed_due_to_regex": (1, 0), "probe_success": (0, 1),
        "probe_http_content_length": (154, 124),
        "probe_http_uncompressed_body_length": (154, 124),
    },
}  # fmt: skip
REDIRECTS = (
    http("one hop", "", "{http}/hops/1"),
    http("three hops", "", "{http}/hops/3"),
    http("ten hops", "", "{http}/hops/10"),
    http("eleven hops", "", "{http}/hops/11"),
    http("a loop", "", "{http}/loop"),
    http("not followed", "follow_redirects: false", "{http}/hops/1"),
    http("not followed, wanted", "follow_redirects: false, valid_status_codes: [302]",
         "{http}/hops/1"),
    http("the older word", "no_follow_redirects: true, valid_status_codes: [302]",
         "{http}/hops/1"),
    http("not followed, so no body", "follow_redirects: false, valid_status_codes: [302],"
         " fail_if_body_not_matches_regexp: [all]", "{http}/hops/1"),
    http("301", "", "{http}/to/301?/echo"),
    http("303 turns POST into GET", "method: POST, body: x, fail_if_body_not_matches_regexp:"
         " ['^GET /echo']", "{http}/to/303?/echo"),
    http("307 keeps POST", "method: POST, body: xyz, fail_if_body_not_matches_regexp:"
         " ['^POST /echo', 'xyz$']", "{http}/to/307?/echo"),
    http("308 keeps PUT", "method: PUT, body: xyz, fail_if_body_not_matches_regexp:"
         " ['^PUT /echo', 'xyz$']", "{http}/to/308?/echo"),
    http("no Location", "valid_status_codes: [302]", "{http}/noloc"),
    http("an empty Location", "valid_status_codes: [302]", "{http}/to/302?"),
    http("an empty Location, so a body", "valid_status_codes: [302],"
         " fail_if_body_not_matches_regexp: [all]", "{http}/to/302?"),
    http("to another port", "", "{http}/to/302?{nginx}/hello.txt"),
    http("to TLS", _CA, "{http}/to/302?{https}/ok"),
    http("from TLS to clear text", _CA, "{https}/to/302?{http}/ok"),
    http("away from TLS, wanted", f"fail_if_not_ssl: true, {_CA}", "{https}/to/302?{http}/ok"),
    http("password stays", "basic_auth: {username: me, password: pw},"
         " fail_if_body_not_matches_regexp: ['authorization']", "{http}/to/302?/echo"),
    http("password is not told to others", "basic_auth: {username: me, password: pw},"
         " fail_if_body_matches_regexp: ['authorization']",
         "{http}/to/302?http://localhost:{port}/echo", differs="K15", values={
             "probe_failed_due_to_regex": (1, 0), "probe_success": (0, 1),
             "probe_http_content_length": (148, 118),
             "probe_http_uncompressed_body_length": (148, 118),
         }),
    http("a key is not told to others", "headers: {X-Api-Key: k},"
         " fail_if_body_matches_regexp: ['x-api-key']",
         "{http}/to/302?http://localhost:{port}/echo", differs="K15", values={
             "probe_failed_due_to_regex": (1, 0), "probe_success": (0, 1),
             "probe_http_content_length": (131, 118),
             "probe_http_uncompressed_body_length": (131, 118),
         }),
    http("another header is told", "headers: {X-Plain: p},"
         " fail_if_body_not_matches_regexp: ['x-plain: p']",
         "{http}/to/302?http://localhost:{port}/echo"),
    http("user and password in a Location", "fail_if_body_matches_regexp: ['authorization']",
         "{http}/to/302?http://me:pw@localhost:{port}/echo", **_USER_IN_LOCATION),
    http("user and password in a Location of its own host", "fail_if_body_matches_regexp:"
         " ['authorization']", "{http}/to/302?http://me:pw@127.0.0.1:{port}/echo",
         **_USER_IN_LOCATION),
    http("a cookie comes back", "fail_if_body_not_matches_regexp: ['cookie: session=abc'],"
         " headers: {User-Agent: me}", "{http}/setcookie"),
    http("Referer", "fail_if_body_not_matches_regexp: ['referer: http://127.0.0.1']",
         "{http}/to/302?/echo"),
    http("to a closed port", "", "{http}/to/302?http://{closed}/"),
    http("to a file", "", "{http}/file", differs="K6", values={
        "probe_http_status_code": (0, 302), "probe_http_version": (0, 1.1)}),
)  # fmt: skip
TLS = (
    http("TLS", _CA, "{https}/ok"),
    http("TLS wanted and there", f"fail_if_not_ssl: true, {_CA}", "{https}/ok"),
    http("TLS not wanted", f"fail_if_ssl: true, {_CA}", "{https}/ok"),
    http("TLS wanted, clear text", "fail_if_not_ssl: true", "{http}/ok"),
    http("an unknown authority", "", "{https}/ok", differs="D9", extra=CERTIFICATE, quirk="D10"),
    http("not verified", "tls_config: {insecure_skip_verify: true}", "{https}/ok", quirk="D4"),
    http("expired", _CA, "{expired}/ok", differs="D9", extra=CERTIFICATE, quirk="D10"),
    http("not yet valid", _CA, "{not_yet_valid}/ok", differs="D9", extra=CERTIFICATE, quirk="D10"),
    http("self-signed", _CA, "{self_signed}/ok", differs="D9", extra=CERTIFICATE, quirk="D10"),
    http("another name", _CA, "{wrong_name}/ok", differs="D9", extra=CERTIFICATE, quirk="D10"),
    http("expired, not verified", "tls_config: {insecure_skip_verify: true}", "{expired}/ok",
         quirk="D4"),
    http("server_name", "tls_config: {ca_file: '{ca}', server_name: other.example}",
         "{named}/ok"),
    http("server_name of nobody", "tls_config: {ca_file: '{ca}', server_name: no.example}",
         "{named}/ok", differs="D9", extra=CERTIFICATE, quirk="D10"),
    http("the name of Host", f"headers: {{Host: web.example}}, {_CA}", "{named}/ok"),
    http("a client certificate", "tls_config: {ca_file: '{ca}', cert_file: '{cert}',"
         " key_file: '{key}'}, fail_if_body_not_matches_regexp: [hello]", "{mutual}/"),
    http("no client certificate", _CA, "{mutual}/"),
    http("TLS 1.2 alone", _CA, "{old}/"),
    http("TLS 1.3 at least", "tls_config: {ca_file: '{ca}', min_version: TLS13}", "{https}/ok"),
    http("TLS 1.3 at least, 1.2 there", "tls_config: {ca_file: '{ca}', min_version: TLS13}",
         "{old}/", quirk="D10"),
    http("clear text where TLS is wanted", "", "https://{plain}/", quirk="D10"),
    http("an alert", "", "https://{alert}/", quirk="D10"),
    http("TLS where clear text is wanted", "", "http://{httpsat}/ok", quirk="D10"),
    http("no such authority file", "tls_config: {ca_file: '{here}/nowhere'}", "{https}/ok",
         quirk="D10", differs="K14", values={
             f"probe_http_duration_seconds{{phase='{it}'}}": (None, 1)
             for it in ("connect", "tls", "processing", "transfer")
         }),
)  # fmt: skip
NETWORK = (
    http("a closed port", "", "http://{closed}/", quirk="D10"),
    http("garbage", "", "{http}/garbage"),
    http("closed after the request", "", "{http}/close", quirk="D10"),
    http("reset after the request", "", "{http}/rst", quirk="D10"),
    http("silence", "", "{http}/hang", timeout="300ms", quirk="D10"),
    http("silence in the head", "", "{http}/halfheaders", timeout="300ms"),
    http("silence in the body", "", "{http}/hangbody", timeout="300ms"),
    http("IPv6", "preferred_ip_protocol: ip6", "{six}/ok"),
    http("IPv4 for want of IPv6", "preferred_ip_protocol: ip6", "{http}/ok"),
    http("IPv6 alone, IPv4 there", "preferred_ip_protocol: ip6, ip_protocol_fallback: false",
         "{http}/ok"),
    http("IPv4 alone, IPv6 there", "preferred_ip_protocol: ip4, ip_protocol_fallback: false",
         "{six}/ok"),
    http("IPv4 alone", "preferred_ip_protocol: ip4, ip_protocol_fallback: false", "{http}/ok"),
    http("a name", "", "http://localhost:{port}/ok"),
    http("hostname", "fail_if_body_not_matches_regexp: ['(?m)^host: web.example$']",
         "{http}/echo", more={"hostname": "web.example"}),
    http("hostname over TLS", _CA, "{named}/ok", more={"hostname": "web.example"}),
    http("a proxy that is closed", "proxy_url: 'http://{closed}'", "{http}/ok", quirk="D10"),
    http("a proxy that answers", "proxy_url: '{http}'", "http://127.0.0.1:1/ok"),
    http("a proxy asked by name", "proxy_url: '{http}', skip_resolve_phase_with_proxy: true",
         "http://nowhere.example/ok"),
)  # fmt: skip
_YES, _NO = {"probe_success": 1}, {"probe_success": 0}
_CEL = {"probe_failed_due_to_cel": 1, "probe_success": 0}
NEWER = (
    http("a target in capitals", "", "HTTP://127.0.0.1:{port}/ok", since="0.24", says=_YES),
    http("a body of a file", "method: POST, body_file: '{here}/body',"
         " fail_if_body_not_matches_regexp: ['a body of a file']", "{http}/echo",
         since="0.24", says=_YES),
    http("a body file that is not there", "method: POST, body_file: '{here}/nowhere'",
         "{http}/echo", since="0.24", says=_NO),
    http("headers of several values", "http_headers: {X-A: {values: [v], secrets: [s],"
         " files: ['{here}/word']}}, fail_if_body_not_matches_regexp:"
         " ['(?m)^x-a: secret-of-a-file$']", "{http}/echo", since="0.26", says=_YES),
    http("CEL holds", "fail_if_body_json_not_matches_cel: \"body.lag < 4\"", "{http}/ok/json",
         since="0.27", says={"probe_failed_due_to_cel": 0, "probe_success": 1}),
    http("CEL does not hold", "fail_if_body_json_not_matches_cel: \"body.lag < 3\"",
         "{http}/ok/json", since="0.27", says=_CEL),
    http("CEL must not hold", "fail_if_body_json_matches_cel: \"body.status == 'healthy'\"",
         "{http}/ok/json", since="0.27", says=_CEL),
    http("CEL without JSON", "fail_if_body_json_matches_cel: \"body.a == 1\"", "{http}/ok",
         since="0.27", says=_CEL),
)  # fmt: skip
ROWS = (
    *STATUS, *VERSION, *BODY, *COMPRESSION, *HEADERS, *REQUEST, *REDIRECTS, *TLS, *NETWORK,
    *NEWER,
)  # fmt: skip
