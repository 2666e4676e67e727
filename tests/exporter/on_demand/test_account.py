"""What people are told of a run, and of the config: whole, bounded, without secrets."""

from pathlib import Path

import pytest

from exporter.inventory import config_text
from exporter.on_demand.account import MAX_ACCOUNT_BYTES, Level, account_of, log_lines, page_of
from exporter.on_demand.plans import Plan, Plans
from exporter.on_demand.question import Question
from exporter.on_demand.recent import Run
from probes.config.load import Config, load, load_blackbox
from probes.probe import Probe
from probes.result import Failure, Outcome, Phase, Reason, Result, Sample
from tests.exporter.pages import up

NATIVE = """
version: 1
modules:
  m: {kind: http, timeout: 3s, headers: {X-Api-Key: canary-header},
      basic_auth: {username: u, password: canary-password}}
web: {admin_token: canary-token}
probes: [{name: it, kind: tcp, target: "127.0.0.1:1"}]
"""
UPSTREAM = """
modules:
  http_2xx:
    prober: http
    timeout: 5s
    http:
      headers: {X-Api-Key: canary-header}
      basic_auth: {username: u, password: canary-password}
      proxy_url: "http://me:canary-proxy@proxy.example:3128"
"""


@pytest.fixture
def native(tmp_path: Path) -> Config:
    path = tmp_path / "p.yaml"
    path.write_text(NATIVE)
    return load(path, environ={})


@pytest.fixture
def drop_in(tmp_path: Path) -> Config:
    path = tmp_path / "b.yml"
    path.write_text(UPSTREAM)
    return load_blackbox(path)


def run_of(config: Config, name: str, result: Result) -> Run:
    plans = Plans(config)
    question = Question(name, "http://127.0.0.1:1/")
    source = plans.source(question)
    probe = Probe("asked", source.kind, question.target, module=name, redact=config.redact)
    return Run(1, Plan(probe, plans._free, source, b""), result, 5.0)


FAILED = up(
    "asked",
    Sample("http_status_code", 500),
    outcome=Outcome.DOWN,
    failure=Failure(Reason.STATUS, 'want 2xx, got "500"', "processing"),
    phases=(Phase("connect", 0.25), Phase("processing", 1.5, complete=False)),
    facts={"address": "127.0.0.1:1"},
    warnings=(Failure(Reason.LATENCY, "want at most 1 s, got 2 s"),),
)


def test_the_three_parts_are_headed_as_upstream_heads_them(drop_in: Config) -> None:
    run = run_of(drop_in, "http_2xx", FAILED)

    text = account_of(run).decode()

    logs, rest = text.split("\n\n\n\nMetrics that would have been returned:\n")
    page, module = rest.split("\n\n\n\nModule configuration:\n")
    assert logs.startswith("Logs for the probe:\ntime=")
    assert page + "\n" == page_of(run).decode()
    assert module.startswith("prober: http\n")
    assert "timeout: 5s\n" in module


@pytest.mark.parametrize("name", ["m", "http_2xx"])
def test_no_secret_is_in_an_account_or_a_config(native: Config, drop_in: Config, name: str) -> None:
    config = native if name == "m" else drop_in

    told = account_of(run_of(config, name, FAILED)).decode() + config_text(config)

    assert "canary" not in told
    assert "<secret>" in told
    assert "***" not in told


def test_a_log_tells_what_was_found(drop_in: Config) -> None:
    lines = [line.split(" ", 1)[1] for line in log_lines(run_of(drop_in, "http_2xx", FAILED))]

    assert lines == [
        (
            'level=info msg="Beginning probe" probe=web module=http_2xx '
            'target=http://example.org/ timeout_seconds=5 run_id=""'
        ),
        "level=info msg=Found fact=address value=127.0.0.1:1",
        'level=info msg="Phase ended" phase=connect duration_seconds=0.25',
        'level=info msg="Phase broke off" phase=processing duration_seconds=1.5',
        'level=warn msg=Degraded reason=latency phase="" err="want at most 1 s, got 2 s"',
        (
            'level=error msg="Probe failed" outcome=down reason=status phase=processing'
            ' err="want 2xx, got \\"500\\"" duration_seconds=0.25'
        ),
    ]


@pytest.mark.parametrize(("level", "count"), [("debug", 7), ("info", 6), ("warn", 2), ("error", 1)])
def test_the_depth_of_a_log_can_be_chosen(drop_in: Config, level: Level, count: int) -> None:
    assert len(list(log_lines(run_of(drop_in, "http_2xx", FAILED), level))) == count


def test_a_hostile_text_forges_no_line(drop_in: Config) -> None:
    result = up("asked", facts={"server": "x\ntime=now level=error msg=forged"})

    lines = list(log_lines(run_of(drop_in, "http_2xx", result)))

    assert len(lines) == 3
    assert all(line.startswith("time=2026") for line in lines)


def test_an_account_has_an_end(drop_in: Config) -> None:
    facts = {f"fact {number}": "x" * 2000 for number in range(100)}

    told = account_of(run_of(drop_in, "http_2xx", up("asked", facts=facts)))

    assert len(told) <= MAX_ACCOUNT_BYTES
    assert told.endswith(b"... cut off here: it is longer than 64 KiB\n")


def test_the_config_is_told_in_the_words_of_its_file(native: Config, drop_in: Config) -> None:
    own, upstream = config_text(native), config_text(drop_in)

    assert "\nmodules:\n  m:\n    kind: http\n    timeout: 3s\n" in own
    assert '\nprobes:\n  - {"name": "it", "kind": "tcp", "target": "127.0.0.1:1"' in own
    assert "\nprobe_policy:\n" in own
    assert upstream.startswith("modules:\n  http_2xx:\n    prober: http\n")
