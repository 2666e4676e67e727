"""One probe with every setting it ended up with."""

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
