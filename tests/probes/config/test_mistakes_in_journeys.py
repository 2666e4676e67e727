"""Mistakes in the keys of journeys and steps, each word for word with its place."""

from pathlib import Path

import pytest

from tests.probes.config.conftest import Refused
from tests.probes.config.rows import HEAD, rows

ROWS = rows(r"""
## no mapping
  [1]
> 2:1: journeys: want a mapping of names to journeys, got a list
## upper case in a name
  Shop: {steps: [{name: a, get: /}]}
> 3:3: journeys.Shop: want a name of a-z, 0-9 and '-' such as 'checkout', got 'Shop'
## journey is a text
  shop: x
> 3:9: journeys.shop: want a mapping with steps, got 'x'
## journey is empty
  shop:
> 3:8: journeys.shop: want a mapping with steps, got nothing
## no steps
  shop: {base_url: "http://a"}
> 3:3: journeys.shop: want the key 'steps', got none
## empty steps
  shop: {steps: []}
> 3:10: ~steps: want at least 1 items, got a list
## misspelt key of a journey
  shop: {stepps: [{name: a, get: /}]}
> 3:3: journeys.shop: want the key 'steps', got none
> 3:10: ~stepps: want a known key, got 'stepps'; did you mean 'steps'?
## key of another prober
  shop: {url: "http://a", steps: [{name: a, get: /}]}
> 3:10: ~url: want a known key, got 'url'
## steps are a mapping
  shop: {steps: {name: a, get: /}}
> 3:10: ~steps: want a list, got a mapping
## step is a text
  shop: {steps: [x, null]}
> 3:18: ~steps.0: want a step such as {name: home, get: /}, got 'x'
> 3:21: ~steps.1: want a step such as {name: home, get: /}, got nothing
## step does nothing
  shop: {steps: [{name: a}]}
> 3:18: ~steps.0: want a key such as get, post, put or wait, got none
## misspelt verb
  shop: {steps: [{name: a, gett: /}]}
> 3:18: ~steps.0: want a key such as get, post, put or wait, got 'gett'; did you mean 'get'?
## word of another tool
  shop: {steps: [{sleep: 5s}]}
> 3:18: ~steps.0: want a key such as get, post, put or wait, got 'sleep'; did you mean 'wait'?
## step does two things
  shop: {steps: [{name: a, get: /, post: /}]}
> 3:18: ~steps.0: want one thing to do in a step, got get and post
## verb without a value
  shop: {steps: [{name: a, get: }]}
> 3:18: ~steps.0: want a value behind get:, got nothing
## step without a name
  shop: {steps: [{get: /}]}
> 3:18: ~steps.0: want the key 'name', got none
## expression in the name of a step
  shop: {steps: [{name: "a-${b}", get: /}]}
> 3:25: ~steps.0.name: want a fixed name of a-z, 0-9 and '-' such as 'add-to-cart', got 'a-${b}'
## name of a step twice
  shop:
    setup: [{name: a, get: /}]
    steps: [{name: b, get: /}, {name: a, get: /}]
> 5:39: ~steps.1.name: want a unique name of a step, got 'a' again (first at setup.0)
## misspelt key of a step
  shop: {steps: [{name: a, get: /, expct: 200}]}
> 3:36: ~steps.0.expct: want a known key, got 'expct'; did you mean 'expect'?
## key of a step one level too high
  shop: {steps: [{name: a, get: /, status: 200}]}
> 3:36: ~steps.0.status: want a known key, got 'status'; did you mean 'expect.status'?
## key of another family
  shop: {steps: [{wait: 1s, expect: 200}]}
> 3:29: ~steps.0.expect: want a known key, got 'expect'
## misspelt expectation
  shop: {steps: [{name: a, get: /, expect: {statsu: 200}}]}
> 3:45: ~steps.0.expect.statsu: want a known key, got 'statsu'; did you mean 'status'?
## no status
  shop: {steps: [{name: a, get: /, expect: 99, warn: {status: ok}}]}
> 3:44: ~steps.0.expect: want a status such as 200, 2xx or 200-299, got 99
> 3:63: ~steps.0.warn.status: want a status such as 200, 2xx or 200-299, got 'ok'
## misspelt operator
  shop: {steps: [{name: a, get: /, expect: {json: {$.a: {gtt: 1}}}}]}
> 3:52: ~steps.0.expect.json.$.a: want an operator, got 'gtt'; did you mean 'gt'?
## no JSONPath
  shop: {steps: [{name: a, get: /, expect: {json: {a: 1}}, extract: {b: a.b}}]}
> 3:55: ~steps.0.expect.json.a: want a JSONPath such as $.a.b, got 'a' without the $
> 3:73: ~steps.0.extract.b: want a JSONPath such as $.a.b, got 'a.b' without the $
## unknown form of an extract
  shop: {steps: [{name: a, get: /, extract: {b: {xpath: //a}}}]}
> 3:50: ~steps.0.extract.b.xpath: want a known key, got 'xpath'
## two forms of an extract
  shop: {steps: [{name: a, get: /, extract: {b: {json: $.a, header: X}}}]}
> 3:46: ~steps.0.extract.b: want exactly one of json, regex, header, cookie, css, got json and header
## bad name of a variable
  shop: {steps: [{name: a, get: /, extract: {B: $.a, row: $.b}}]}
> 3:49: ~steps.0.extract.B: want a name such as 'token' or 'cart_id', got 'B'
> 3:59: ~steps.0.extract.row: want a name that means nothing else in ${}, got 'row'
## two bodies
  shop: {steps: [{name: a, post: /, json: {}, form: {}}]}
> 3:18: ~steps.0: want one of json, form and body, got json and form
## duration without a unit
  shop: {timeout: 5, steps: [{name: a, get: /, timeout: 3}]}
> 3:19: ~timeout: want a duration with its unit such as 500ms, 10s or 5m, got 5
> 3:57: ~steps.0.timeout: want a duration with its unit such as 500ms, 10s or 5m, got 3
## poll too often
  shop: {steps: [{name: a, get: /, poll: {until: 200, every: 10ms}}]}
> 3:62: ~steps.0.poll.every: want at least 100ms, got 10ms
## poll for nothing
  shop: {steps: [{name: a, get: /, poll: {timeout: 3s}}]}
> 3:36: ~steps.0.poll: want the key 'until', got none
## unknown load
  shop: {steps: [{name: a, get: /, load: never}]}
> 3:42: ~steps.0.load: want 'skip' or 'only', got 'never'
## falling think
  shop: {steps: [{think: 3s..1s}, {think: soon}]}
> 3:26: ~steps.0.think: want a rising range such as 1s..3s, got '3s..1s'
> 3:43: ~steps.1.think: want a pause such as 1s or 1s..3s, got 'soon'
## too many redirects
  shop: {http: {redirects: 11}, steps: [{name: a, get: /, redirects: -1}]}
> 3:28: ~http.redirects: want a number <= 10, got 11
> 3:70: ~steps.0.redirects: want a number >= 0, got -1
## huge body
  shop: {http: {max_body: 1GiB}, steps: [{name: a, get: /, max_body: 2MB!}]}
> 3:27: ~http.max_body: want a number <= 67108864, got '1GiB'
> 3:70: ~steps.0.max_body: want a size with its unit such as 64KiB or 1MiB, got '2MB!'
## bad header
  shop: {steps: [{name: a, get: /, headers: {"A B": x, Connection: close, Ok: [1]}}]}
> 3:53: ~steps.0.headers.A B: want a header name, got 'A B'
> 3:68: ~steps.0.headers.Connection: want a header that sonde does not write itself, got Connection
> 3:75: ~steps.0.headers.Ok: want a text, got a list
## header of two lines
  shop: {steps: [{name: a, get: /, headers: {X: "a\nb"}}]}
> 3:49: ~steps.0.headers.X: want a text of one line, got line breaks or NUL
## misspelt key of tls
  shop: {http: {tls: {verfy: false}}, steps: [{name: a, get: /}]}
> 3:23: ~http.tls.verfy: want a known key, got 'verfy'; did you mean 'verify'?
## base URL without a scheme
  shop: {base_url: example.org, steps: [{name: a, get: /}]}
> 3:20: ~base_url: want an http:// or https:// URL, got 'example.org'
## base URL with a query
  shop: {base_url: "http://a/?x=1", steps: [{name: a, get: /}]}
> 3:20: ~base_url: want a base URL without query and fragment, got one with
## base URL of the run
  shop: {base_url: "http://${row.host}", steps: [{name: a, get: /}]}
> 3:20: ~base_url: want a fixed text, got '${row.host}': it is known in a run alone
## path without a slash
  shop: {steps: [{name: a, get: api/x}, {name: b, get: "ftp://a/"}]}
> 3:33: ~steps.0.get: want a path such as /login, or http:// or https://, got 'api/x'
> 3:56: ~steps.1.get: want a path such as /login, or http:// or https://, got 'ftp://a/'
## bad host
  shop: {steps: [{name: a, get: "http://a b/"}, {name: b, get: "http://127.1/"}]}
> 3:33: ~steps.0.get: want a host name or an address, got 'a b'
> 3:64: ~steps.1.get: want an address in its plain form such as 127.0.0.1, got '127.1'
## graphql without a query
  shop: {steps: [{name: a, graphql: {url: /g}}]}
> 3:28: ~steps.0.graphql: want the key 'query', got none
## expression in a query
  shop: {steps: [{name: a, graphql: {query: "{a(id: ${id})}"}}, {name: b, sql: {target: x, query: "${q}"}}]}
> 3:45: ~steps.0.graphql.query: want a fixed text, got '${id}': it is known in a run alone
> 3:99: ~steps.1.sql.query: want a fixed text, got '${q}': it is known in a run alone
## variable in an envelope
  shop:
    steps:
      - {name: a, graphql: {query: "{a}", variables: {x: ["${g}"]}}}
      - {name: b, rpc: {method: m, params: ["${r}"]}}
      - {name: c, sql: {target: "${t}", query: "select 1", parameters: ["${s}"]}}
      - {name: d, ws: {url: "/${w}", headers: {X: "${h}"}, dialog: [{send: "${m}"}, {send: {json: ["${j}"]}}]}}
> 5:59: ~steps.0.graphql.variables.x.0: want a variable that something sets, got 'g'
> 6:45: ~steps.1.rpc.params.0: want a variable that something sets, got 'r'
> 7:33: ~steps.2.sql.target: want a variable that something sets, got 't'
> 7:73: ~steps.2.sql.parameters.0: want a variable that something sets, got 's'
> 8:29: ~steps.3.ws.url: want a variable that something sets, got 'w'
> 8:51: ~steps.3.ws.headers.X: want a variable that something sets, got 'h'
> 8:76: ~steps.3.ws.dialog.0.send: want a variable that something sets, got 'm'
> 8:100: ~steps.3.ws.dialog.1.send.json.0: want a variable that something sets, got 'j'
## rpc without a method
  shop: {steps: [{name: a, rpc: {methd: x}}]}
> 3:28: ~steps.0.rpc: want the key 'method', got none
> 3:34: ~steps.0.rpc.methd: want a known key, got 'methd'; did you mean 'method'?
## turn that does nothing, and both
  shop: {steps: [{name: a, ws: {url: /w, dialog: [{}, {send: x, expect: {body: y}}]}}]}
> 3:51: ~steps.0.ws.dialog.0: want send, or expect and extract, got neither
> 3:55: ~steps.0.ws.dialog.1: want send, or expect and extract, got both
## web address of a WebSocket
  shop: {steps: [{name: a, ws: {url: "http://a/", dialog: [{send: x}]}}]}
> 3:38: ~steps.0.ws.url: want a path such as /login, or ws:// or wss://, got 'http://a/'
## unknown database
  shop: {steps: [{name: a, sql: {kind: oracle, target: x, query: "select 1"}}]}
> 3:40: ~steps.0.sql.kind: want 'postgres', got 'oracle'
## misspelt journeys of probes: whether a target is missing nobody knows
  shop: {steps: [{name: a, get: "http://a/"}]}
probes:
  - {name: a, kind: journey, journey: shopp}
  - {name: b, kind: browser, journey: shopp}
> 5:39: probes.0.journey: want the name of a journey under journeys, got 'shopp'; did you mean 'shop'?
> 6:39: probes.1.journey: want the name of a journey with browser:, got 'shopp' (there are none)
## browser and python
  shop: {browser: {}, python: {}}
> 3:3: journeys.shop: want browser: or python:, got both
## everything at once
  shop:
    timeout: 5
    steps:
      - {name: a, get: /, expect: {statsu: 1}}
      - {nme: b, get: /}
  cart: {steps: [{name: a, get: "/${x}"}]}
> 4:14: ~timeout: want a duration with its unit such as 500ms, 10s or 5m, got 5
> 6:36: ~steps.0.expect.statsu: want a known key, got 'statsu'; did you mean 'status'?
> 7:9: ~steps.1: want the key 'name', got none
> 7:10: ~steps.1.nme: want a known key, got 'nme'; did you mean 'name'?
> 8:33: journeys.cart.steps.0.get: want a variable that something sets, got 'x'
""")  # noqa: E501 - what is said is said in one line


@pytest.mark.parametrize(("text", "said"), ROWS)
def test_each_mistake_is_told_word_for_word(
    text: str, said: list[str], refused: Refused, tmp_path: Path
) -> None:
    (tmp_path / "users.csv").write_text("user,can_pay\na,true\n")
    (tmp_path / "empty.csv").write_text("user\n")

    got = refused(text, HEAD, PW="s3cretpw")

    assert got == said
    assert not any("s3cretpw" in line for line in got)
