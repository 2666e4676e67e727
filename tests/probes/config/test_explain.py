"""One probe with every setting it ended up with."""

import yaml

from probes.config.explain import explain
from tests.probes.config.conftest import Loader

TEXT = """
modules: {m: {kind: demo, password: {env: PW}, tls: {key: the-private-key}}}
probes:
- name: a
  module: m
  target: http://u:canary@127.0.0.1/x
  labels: {team: web}
  tags: [b, a]
  expect: {latency: 2s, json: {$.x: {gt: 5}}}
  slo: {objective: 99.9%, latency: 800ms}
"""

EXPLAINED = """\
# probes.yaml:8, module m
name: a
kind: demo
target: http://127.0.0.1/x
every: 30s
timeout: 10s
retries: 0
retry_every: 1s
tags:
- a
- b
labels:
  team: web
severity: warning
incident:
  open_after: 3
  close_after: 2
depends_on: []
runbook: ''
slo:
  objective: 0.999
  latency: 800ms
mode: fast
query: ''
headers: {}
password: '***'
tls:
  verify: true
  key: '***'
expect:
  status: 2xx
  latency:
    fail: 2s
  json:
    $.x:
      gt: 5
size: 1KiB
pause: 1s
count: 1
share: 0.5
"""


def test_every_setting_is_shown_with_defaults_and_without_secrets(loaded: Loader) -> None:
    (probe,) = loaded(TEXT, PW="hunter22").probes

    assert explain(probe) == EXPLAINED


def test_what_is_explained_loads_again_as_the_same(loaded: Loader) -> None:
    (probe,) = loaded("probes: [{name: a, kind: demo, target: up, slo: {objective: 99%}}]").probes
    lines = explain(probe).splitlines()[1:]

    (again,) = loaded("probes:\n- " + "\n  ".join(lines)).probes

    assert explain(again).splitlines()[1:] == lines
    assert again.kind == probe.kind


def test_a_null_that_takes_a_default_away_is_told_and_loads_again(loaded: Loader) -> None:
    (probe,) = loaded(
        "probes: [{name: a, kind: http, target: http://h,"
        " expect: {status: null, json: {$.a: null}}}]"
    ).probes
    lines = explain(probe).splitlines()[1:]

    (again,) = loaded("probes:\n- " + "\n  ".join(lines)).probes

    expect = yaml.safe_load(explain(probe))["expect"]
    assert (expect["status"], expect["json"]) == (None, {"$.a": None})
    assert again.kind == probe.kind


def test_a_literal_dollar_brace_loads_again_as_the_same(loaded: Loader) -> None:
    (probe,) = loaded("probes: [{name: a, kind: demo, target: 'up/$${x}', query: '$${y}'}]").probes
    lines = explain(probe).splitlines()[1:]

    (again,) = loaded("probes:\n- " + "\n  ".join(lines)).probes

    assert (again.target, again.kind) == ("up/${x}", probe.kind)


def test_a_secret_that_is_a_word_of_the_file_leaves_the_keys_alone(loaded: Loader) -> None:
    text = (
        "{name: a, kind: demo, target: up, query: latency, password: latency, headers: {latency: x}"
    )
    (probe,) = loaded("probes: [" + text + ", expect: {latency: 2s}}]").probes

    told = yaml.safe_load(explain(probe))

    assert told["query"] == told["password"] == "***"
    assert told["headers"] == {"***": "x"}
    assert told["expect"]["latency"] == {"fail": "2s"}


def test_a_password_that_no_kind_declares_is_starred(loaded: Loader) -> None:
    (probe,) = loaded(
        "probes: [{name: a, kind: demo, target: up, headers: {X-Api-Key: abcdefg, Note: fine}}]"
    ).probes

    assert yaml.safe_load(explain(probe))["headers"] == {"X-Api-Key": "***", "Note": "fine"}


JOURNEY = """
journeys:
  login:
    secrets: {pw: {env: PW}}
    steps:
      - {extract: {sid: {cookie: sid}}, json: {password: "${secrets.pw}", pin: "x-${secrets.pw}"},
         post: "/login?key=abcdefgh1234", name: login}
  shop:
    base_url: http://u:canary@127.0.0.1
    vars: {currency: EUR, note: "$${x}"}
    secrets: {api: the-api-key}
    http: {headers: {X-Key: "${secrets.api}", X-Literal: the-api-key, Cookie: "a=${run_id}"}}
    steps: [{include: login}, {name: buy, get: "/${currency}/${vars.note}"}, {think: 1s..3s}]
probes: [{name: p, kind: walker, journey: shop}]
"""

EXPLAINED_JOURNEY = """\

# probes.yaml:10
shop:
  base_url: http://***@127.0.0.1
  vars:
    currency: USD
    note: $${x}
  secrets:
    api: '***'
  http:
    headers:
      X-Key: ${secrets.api}
      X-Literal: '***'
      Cookie: '***${run_id}'
  steps:
  - include: login
  - name: buy
    get: /${currency}/${vars.note}
  - think: 1s..3s

# probes.yaml:5
login:
  secrets:
    pw: '***'
  steps:
  - name: login
    post: /login?key=abcdefgh1234
    extract:
      sid:
        cookie: sid
    json:
      password: ${secrets.pw}
      pin: x-${secrets.pw}
"""


def test_a_probe_of_a_journey_shows_it_and_what_it_includes(loaded: Loader) -> None:
    config = loaded(JOURNEY, PW="s3cretpw")

    text = explain(config.probes[0], config.journeys, {"currency": "USD", "other": "x"})

    assert text[text.index("\n\n#") + 1 :] == EXPLAINED_JOURNEY
    for secret in ("canary", "s3cretpw", "the-api-key"):
        assert secret not in text


def test_what_is_explained_can_be_loaded_again(loaded: Loader) -> None:
    config = loaded(JOURNEY, PW="s3cretpw")
    text = explain(config.probes[0], config.journeys)

    shown = yaml.safe_load_all(text.replace("\n\n", "\n---\n"))
    journeys = {name: keys for document in list(shown)[1:] for name, keys in document.items()}
    again = loaded(yaml.safe_dump({"journeys": journeys}, sort_keys=False))

    assert again.journeys.keys() == {"shop", "login"}
