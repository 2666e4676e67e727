"""Small files that this program and the real blackbox_exporter are both asked about.

`SAME` are judged alike by 0.23; `DIFFERENT` are not, each with the reason.
"""


def module(prober: str, section: str = "", more: str = "") -> str:
    """Return a file with one module; *section* are the keys of its prober, in flow style."""
    own = f", {prober}: {{{section}}}" if section else ""
    return f"modules: {{m: {{prober: {prober}{own}{more}}}}}\n"


def http(section: str) -> str:
    return module("http", section)


STOCK = """
modules:
  http_2xx: {prober: http, http: {preferred_ip_protocol: "ip4"}}
  http_post_2xx: {prober: http, http: {method: POST}}
  tcp_connect: {prober: tcp}
  pop3s_banner:
    prober: tcp
    tcp:
      query_response: [{expect: "^+OK"}]
      tls: true
      tls_config: {insecure_skip_verify: false}
  grpc: {prober: grpc, grpc: {tls: true, preferred_ip_protocol: "ip4"}}
  grpc_plain: {prober: grpc, grpc: {tls: false, service: "service1"}}
  ssh_banner:
    prober: tcp
    tcp:
      query_response:
      - expect: "^SSH-2.0-"
      - send: "SSH-2.0-blackbox-ssh-check"
  irc_banner:
    prober: tcp
    tcp:
      query_response:
      - send: "NICK prober"
      - send: "USER prober prober prober :prober"
      - expect: "PING :([^ ]+)"
        send: "PONG ${1}"
      - expect: "^:[^ ]+ 001"
  icmp: {prober: icmp}
  icmp_ttl5: {prober: icmp, timeout: 5s, icmp: {ttl: 5}}
  dns_udp:
    prober: dns
    timeout: 5s
    dns:
      query_name: "www.example.org"
      query_type: "A"
      valid_rcodes: [NOERROR]
      validate_answer_rrs:
        fail_if_matches_regexp: [".*127.0.0.1"]
        fail_if_not_matches_regexp: ["www.example.org.\\t300\\tIN\\tA\\t127.0.0.1"]
      validate_authority_rrs: {fail_if_all_match_regexp: [".*127.0.0.1"]}
      validate_additional_rrs: {fail_if_none_matches_regexp: [".*127.0.0.1"]}
  http_all:
    prober: http
    timeout: 5s
    http:
      valid_http_versions: ["HTTP/1.1", "HTTP/2.0"]
      valid_status_codes: []
      method: GET
      headers: {Host: vhost.example.org, Accept-Language: en-US, Origin: example.org}
      no_follow_redirects: false
      fail_if_ssl: false
      fail_if_not_ssl: false
      fail_if_body_matches_regexp: ["Could not connect to database"]
      fail_if_body_not_matches_regexp: ["Download the latest version here"]
      fail_if_header_matches: [{header: Set-Cookie, allow_missing: true, regexp: ".*"}]
      fail_if_header_not_matches:
      - {header: Access-Control-Allow-Origin, regexp: '(\\*|example\\.org)'}
      tls_config: {insecure_skip_verify: false, min_version: TLS12, server_name: a.example.org}
      basic_auth: {username: u, password: p}
      body: '{"a": 1}'
      compression: gzip
      body_size_limit: 10MB
      ip_protocol_fallback: false
      enable_http2: false
"""

SAME = {
    "the stock shapes": STOCK,
    "an empty file": "",
    "a comment alone": "# nothing\n",
    "a prober that came later": module("unix"),
    "no module": "modules: {}\n",
    "an empty document": "{}\n",
    "misspelt key of the file": "modles: {}\n",
    "misspelt key of a module": module("http", more=", timout: 5s"),
    "misspelt key of a section": http("metod: GET"),
    "misspelt key of another section": module("http", more=", dns: {query_nam: x}"),
    "key twice": http("method: GET, method: POST"),
    "module twice": "modules:\n  m: {prober: http}\n  m: {prober: tcp}\n",
    "a list of modules": "modules: [{prober: http}]\n",
    "a number as section": "modules: {m: {prober: http, http: 5}}\n",
    "null as section": "modules: {m: {prober: http, http: null}}\n",
    "broken YAML": "modules: {m: {prober: http\n",
    "a second document": "modules: {}\n---\nfoo: 1\n",
    "anchors and merges": (
        "modules:\n  a: &a {prober: http, timeout: 5s}\n  b: {<<: *a, timeout: 6s}\n"
    ),
    "an alias": "modules:\n  a: &a {prober: http}\n  b: *a\n",
    "octal text as a status": http("valid_status_codes: [0310]"),
    "number in quotes as a status": http('valid_status_codes: ["200"]'),
    "word as a status": http("valid_status_codes: [2xx]"),
    "text that reads as a number": http("method: 012, body: no, headers: {X-A: 1.1}"),
    "boolean yes": http("fail_if_ssl: yes"),
    "boolean off": http("fail_if_ssl: OFF"),
    "boolean y": module("tcp", "tls: y"),
    "boolean in a number": http("fail_if_ssl: 1"),
    "boolean in another word": http("fail_if_ssl: maybe"),
    "duration": module("http", more=", timeout: 1m30s"),
    "duration with a fraction": module("http", more=", timeout: 1.5h"),
    "duration of zero": module("http", more=", timeout: 0s"),
    "negative duration": module("http", more=", timeout: -5s"),
    "duration without a unit": module("http", more=", timeout: 5"),
    "bare zero as a duration": module("http", more=", timeout: 0"),
    "quoted zero as a duration": module("http", more=', timeout: "0"'),
    "duration in days": module("http", more=", timeout: 1d"),
    "size": http("body_size_limit: 1.5MB"),
    "size in KiB": http("body_size_limit: 10KiB"),
    "size of zero": http("body_size_limit: 0"),
    "negative size": http("body_size_limit: -1KB"),
    "size without a unit": http("body_size_limit: 10"),
    "size with a small unit": http("body_size_limit: 10kb"),
    "binary": module("tcp", "query_response: [{send: !!binary AAE=}]"),
    "broken binary": module("tcp", "query_response: [{send: !!binary '@@'}]"),
    "empty name of a query": module("dns", 'query_name: ""'),
    "no name of a query": module("dns", "query_type: A"),
    "no name of a query for another prober": module("http", more=", dns: {query_type: A}"),
    "no dns section": module("dns"),
    "unknown class": module("dns", "query_name: a, query_class: XX"),
    "unknown type": module("dns", "query_name: a, query_type: XX"),
    "type in small letters": module("dns", "query_name: a, query_type: aaaa"),
    "type that is rare": module("dns", "query_name: a, query_type: NSAP-PTR"),
    "type that is none": module("dns", "query_name: a, query_type: None"),
    "class that is rare": module("dns", "query_name: a, query_class: CH"),
    "unknown rcode": module("dns", "query_name: a, valid_rcodes: [NOPE]"),
    "broken pattern of records": module(
        "dns", "query_name: a, validate_answer_rrs: {fail_if_matches_regexp: ['(']}"
    ),
    "another transport": module("dns", "query_name: a, transport_protocol: sctp"),
    "dns over tls over udp": module("dns", "query_name: a, dns_over_tls: true"),
    "broken pattern of a line": module("tcp", "query_response: [{expect: '('}]"),
    "empty pattern of a line": module("tcp", "query_response: [{expect: ''}]"),
    "broken pattern of a body": http("fail_if_body_matches_regexp: ['(']"),
    "look-around": http("fail_if_body_matches_regexp: ['(?=a)']"),
    "end of text": http(r"fail_if_body_matches_regexp: ['(?s)a.*\z', '(?P<n>a)']"),
    "many repetitions": http("fail_if_body_matches_regexp: ['a{1001}']"),
    "header matcher without a header": http("fail_if_header_matches: [{regexp: a}]"),
    "header matcher without a pattern": http("fail_if_header_matches: [{header: a}]"),
    "header matcher with an empty one": http("fail_if_header_matches: [{header: a, regexp: ''}]"),
    "broken pattern of a header": http("fail_if_header_not_matches: [{header: a, regexp: '('}]"),
    "compression that is not accepted": http("compression: gzip, headers: {Accept-Encoding: br}"),
    "compression that is refused": http(
        "compression: gzip, headers: {accept-encoding: 'gzip;q=0.0, *;q=1'}"
    ),
    "compression by star": http("compression: gzip, headers: {Accept-Encoding: 'br;q=0.5, *'}"),
    "compression with an odd quality": http(
        "compression: gzip, headers: {Accept-Encoding: 'gzip;q=x'}"
    ),
    "compression of another name": http("compression: zstd"),
    "ttl of 255": module("icmp", "ttl: 255"),
    "ttl above 255": module("icmp", "ttl: 256"),
    "ttl below 0": module("icmp", "ttl: -1"),
    "two logins": http("basic_auth: {username: u}, bearer_token: x"),
    "basic_auth and oauth2": http(
        "basic_auth: {username: u}, oauth2: {client_id: a, client_secret: b, token_url: http://t/}"
    ),
    "a token and its file": http("bearer_token: x, bearer_token_file: y"),
    "a password and its file": http("basic_auth: {password: x, password_file: y}"),
    "type basic": http("authorization: {type: Basic, credentials: x}"),
    "credentials and their file": http("authorization: {credentials: x, credentials_file: y}"),
    "authorization of a type": http("authorization: {type: Token, credentials: x}"),
    "oauth2 without a client": http("oauth2: {client_secret: b, token_url: http://t/}"),
    "oauth2 without a URL": http("oauth2: {client_id: a, client_secret: b}"),
    "oauth2": http("oauth2: {client_id: a, client_secret: b, token_url: http://t/, scopes: [s]}"),
    "a missing file": http("bearer_token_file: /nowhere/token, tls_config: {ca_file: /no/ca}"),
    "proxy": http("proxy_url: http://u:p@127.0.0.1:3128"),
    "proxy without a scheme": http("proxy_url: 127.0.0.1:3128"),
    "proxy with a broken port": http("proxy_url: http://a:b:c/"),
    "unknown TLS version": http("tls_config: {min_version: TLS14}"),
    "TLS version": http("tls_config: {min_version: TLS10}"),
    "bad source address": module("tcp", "source_ip_address: nope"),
    "a word as preferred protocol": http("preferred_ip_protocol: banana"),
    "boolean in quotes": http('fail_if_ssl: "true"'),
    "word for a boolean in quotes": http('fail_if_ssl: "Yes"'),
    "number with a fraction": http("valid_status_codes: [200.7, 2e2, 2_00, 0xc8, 089]"),
    "nothing in lists": http("valid_status_codes: [null], valid_http_versions: [null]"),
    "nothing as a step": module("tcp", "query_response: [null, {}, {send: 5}]"),
    "nothing as a header": http("headers: {a: null, 1: b}"),
    "nothing at all": "null\n",
    "words behind the end of the document": "modules: {}\n...\nfoo\n",
    "duration in odd spellings": module("http", more=", timeout: +.5s1.m5µs"),
    "duration beyond Go's": module("http", more=", timeout: 99999999h"),
    "size beyond Go's": http("body_size_limit: 99EB"),
    "size of several": http("body_size_limit: 1MB500KB"),
    "proxy with a broken escape": http("proxy_url: http://a/%zz"),
    "proxy with a port that is none": http("proxy_url: http://a:99999/"),
    "TLS version that is empty": http("tls_config: {min_version: ''}"),
    "a login of nothing beside another": http("basic_auth: {}, authorization: {}"),
    "a mapping as a key": http("headers: {[a]: b}"),
    "a list as text": http("method: [GET]"),
    "a text as list": http("valid_http_versions: HTTP/1.1"),
    "a mapping as text": module("tcp", "query_response: [{send: {a: b}}]"),
}

DIFFERENT = {
    # id: (file, whether we load it, why we differ)
    "another prober": (
        module("ftp"),
        False,
        "0.23 tells it only when it is asked; later ones at load",
    ),
    "no prober": ("modules: {m: {timeout: 5s}}\n", False, "as above"),
    "null as module": ("modules: {m: null}\n", False, "as above"),
    "body_file": (http("body_file: b"), True, "0.23 has none"),
    "cel": (http("fail_if_body_json_matches_cel: body.a == 1"), True, "since 0.27"),
    "expect_bytes": (module("tcp", "query_response: [{expect_bytes: a}]"), True, "since 0.28"),
    "labels": (
        module("tcp", "query_response: [{expect: a, labels: [{name: a, value: b}]}]"),
        True,
        "since 0.26",
    ),
    "websocket": (module("websocket", "headers: {}"), True, "after 0.28"),
    "metadata": (module("grpc", "metadata: {a: [b]}"), True, "since 0.28"),
    "HTTP/3": (http("enable_http3: true, enable_http2: false"), True, "since 0.28"),
    "HTTP/3.0 without HTTP/3": (http("valid_http_versions: [HTTP/3.0]"), False, "since 0.28"),
    "http_headers": (http("http_headers: {X-A: {values: [a]}}"), True, "since 0.25"),
    "a certificate without a key": (
        http("tls_config: {cert_file: a}"),
        False,
        "later ones refuse it; 0.23 fails when it runs",
    ),
    "a boolean in odd letters": (
        http("fail_if_ssl: tRUE"),
        True,
        "any letter case is clear enough",
    ),
    "a size of both systems": (http("body_size_limit: 1MiB500KB"), True, "it is clear, too"),
    "oauth2 without a secret": (
        http("oauth2: {client_id: a, token_url: http://t/}"),
        True,
        "later ones have other proofs",
    ),
    "a named group as Perl has it": (
        http("fail_if_body_matches_regexp: ['(?<n>a)']"),
        True,
        "Go since 1.22",
    ),
    "a huge pattern": (
        http(f"fail_if_body_matches_regexp: ['{'a' * 20_000}']"),
        False,
        "K8: a pattern is no book",
    ),
    "a tag of YAML": (http("method: !!str 5"), False, "K8, and nobody needs it"),
    "a tag": (http("method: !mine GET"), False, "K8: unknown tags are refused"),
    "a directive": ("%YAML 1.1\n---\nmodules: {}\n", False, "K8: no directive"),
}
