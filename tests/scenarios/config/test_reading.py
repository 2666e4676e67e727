"""Scenarios of a file: what is read, and every mistake word for word, with its place."""

from collections.abc import Callable
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest

from probes.config.explain import explain_entry
from probes.config.load import Config, load
from probes.errors import ConfigError
from scenarios.config.section import SCENARIOS, scenarios_of
from scenarios.config.settings import PoolKeys

HEAD = """\
version: 1
safety: {targets: {allow: [shop.test]}, load: {max_users: 50, protected: [www.shop.test]}}
probes:
  - {name: front, kind: tcp, target: "127.0.0.1:1"}
  - {name: many, kind: tcp, targets: ["127.0.0.1:1", "127.0.0.1:2"]}
  - {name: odd, kind: tcp, target: "127.0.0.1:1", evry: 1m}
journeys:
  shop:
    base_url: http://shop.test
    setup: [{name: login, post: /login}]
    steps: [{name: home, get: /}, {name: pay, post: /pay, load: skip}, {think: 1s}]
  bare: {steps: [{name: look, get: /}]}
  talk: {base_url: http://shop.test, steps: [{name: chat, ws: {dialog: [{send: hi}]}}]}
  idle: {base_url: http://shop.test, steps: [{name: pay, post: /pay, load: skip}]}
  code: {base_url: http://shop.test, python: {file: walk.py, function: play}}
  sick: {base_url: http://shop.test, steps: [{name: look, gte: /}]}
"""
# The probe and the journey with a mistake are there to be named.
KNOWN = ("probes.2.evry", "journeys.sick")
GOOD = "journey: shop, rate: 10/s, duration: 1m"
OPEN = "mix: [{journey: shop}], load: {stages: [{duration: 1m, rate: 10/s}]}"

Reader = Callable[[str], Config]
Refused = Callable[[str], list[str]]


def furnished(directory: Path) -> Path:
    (directory / "walk.py").write_text("async def play(user): ...\n")
    (directory / "users.py").write_text("from locust import HttpUser\nclass Api(HttpUser): ...\n")
    (directory / "random.py").write_text("class Api: ...\n")
    (directory / "broken.py").write_text("x = 1\nclass Api(:\n")
    (directory / "away.py").symlink_to("/etc/hostname")
    return directory


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return furnished(tmp_path)


@pytest.fixture
def read(place: Path) -> Reader:
    def read(text: str) -> Config:
        file = place / "probes.yaml"
        file.write_text(text)
        return load(file, environ={}, further=(SCENARIOS,))

    return read


def mistakes(file: Path, scenarios: str) -> list[str]:
    """Return the mistakes of ``scenarios:``, the first line of which is 1."""
    file.write_text(f"{HEAD}scenarios:\n{scenarios}\n")
    with pytest.raises(ConfigError) as caught:
        load(file, environ={}, further=(SCENARIOS,))
    first = HEAD.count("\n") + 1
    return [
        f"{it.line - first}:{it.column} {it.path.removeprefix('scenarios.')}: {it.message}"
        for it in caught.value.problems
        if not it.path.startswith(KNOWN)
    ]


@pytest.fixture
def refused(place: Path) -> Refused:
    """Give the mistakes of ``scenarios:``."""
    return lambda scenarios: mistakes(place / "probes.yaml", scenarios)


def row(keys: str, *said: str) -> Any:
    """Return a row: the keys of the scenario ``s``, and what is said of them."""
    return pytest.param(keys, said, id=keys[:100])


FORMS = [
    row("{}", "1:3 s: want load:, or duration: with users: or rate:, got none",
        "1:3 s: want mix:, or the short form journey:, got neither"),
    row("{journey: shop, duration: 1m}",
        "1:22 s.duration: want users: or rate: beside duration:, got none"),
    row("{journey: shop, rate: 1/s}", "1:22 s.rate: want duration: beside rate:, got none"),
    row("{journey: shop, rate: 1/s, users: 2, duration: 1m}",
        "1:22 s.rate: want users or rate, got both"),
    row("{journey: shop, rate: 1/s -> 2/s, duration: 1m}",
        "1:28 s.rate: want one number > 0, got a ramp or 0; ramps stand in load.stages"),
    row(f"{{{OPEN}, rate: 1/s}}", "1:77 s.rate: want rate in load.stages, got it beside load"),
    row(f"{{{OPEN}, journey: shop}}", "1:7 s.mix: want journey: or mix:, got both"),
    row("{mix: [], rate: 1/s, duration: 1m}",
        "1:7 s.mix: want at least one journey or Locust file, got none"),
    row("5", "1:6 s: want a mapping with mix and load, got 5"),
    row(f"{{{GOOD}, thresolds: []}}",
        "1:48 s.thresolds: want a known key, got 'thresolds'; did you mean 'thresholds'?"),
    row(f"{{{GOOD}, rat: 5}}", "1:48 s.rat: want a known key, got 'rat'; did you mean 'rate'?"),
]  # fmt: skip

PROFILES = [
    row("{journey: shop, load: {}}",
        "1:22 s.load: want stages: with duration and rate in the model open, got none"),
    row("{journey: shop, load: {stages: [{duration: 1m, users: 5}]}}",
        "1:53 s.load.stages.0.users: want rate in a stage of the model open, got users"),
    row("{journey: shop, load: {model: closed, stages: [{duration: 1m}]}}",
        "1:53 s.load.stages.0: want the key 'users' in the model closed, got none"),
    row("{journey: shop, load: {stages: [{duration: 1m, rate: 5/s, warmup: true}]}}",
        "1:29 s.load.stages: want a stage that is measured, with a rate > 0 and no warm-up,"
        " got none"),
    row("{journey: shop, load: {stages: [{duration: 1m, rate: 20}]}}",
        "1:59 s.load.stages.0.rate: want a rate such as 20/s or 1/s -> 20/s, got 20"),
    row("{journey: shop, load: {model: closed, stages: [{duration: 1m, users: 1.5}]}}",
        "1:75 s.load.stages.0.users: want users such as 50 or 0 -> 50, at most 1000000, got 1.5"),
    row("{journey: shop, load: {iterations: 5, stages: [{duration: 1m, rate: 1/s}]}}",
        "1:29 s.load.iterations: want iterations in the model iterations alone,"
        " got it in the model open"),
    row("{journey: shop, load: {pace: 5s, stages: [{duration: 1m, rate: 1/s}]}}",
        "1:29 s.load.pace: want pace in the models closed and iterations alone,"
        " got it in the model open"),
    row("{journey: shop, load: {model: closed, users: 5, stages: [{duration: 1m, users: 1}]}}",
        "1:44 s.load.users: want users in each of load.stages, got it in the model closed"),
    row("{journey: shop, load: {model: iterations, stages: [{duration: 1m, users: 1}]}}",
        "1:22 s.load: want the key 'iterations' in the model iterations, got none",
        "1:48 s.load.stages: want stages in the models open and closed alone,"
        " got it in the model iterations"),
    row("{journey: shop, load: {model: iterations, iterations: 5, users: {start: 1, max: 2}}}",
        "1:63 s.load.users: want one number of users in the model iterations, got a pool"),
    row("{journey: shop, load: {users: {start: 9, max: 5}, stages: [{duration: 1m, rate: 1/s}]}}",
        "1:44 s.load.users.start: want at most the 5 of users.max, got 9"),
    row("{journey: shop, load: {users: 5, shards: 6, stages: [{duration: 1m, rate: 1/s}]}}",
        "1:47 s.load.shards: want at most one shard for each of 5 users, got 6"),
    row("{journey: shop, load: {users: 5, shards: many, stages: [{duration: 1m, rate: 1/s}]}}",
        "1:47 s.load.shards: want auto or a number from 1 to 256, got 'many'"),
]  # fmt: skip

CEILINGS = [
    row("{journey: shop, load: {users: 5, stages: [{duration: 1m, rate: 1/s -> 201/s}]}}",
        "1:69 s.load.stages.0.rate: want at most 200/s (safety.load.max_rate), got 201/s"),
    row("{journey: shop, users: 51, duration: 1m}",
        "1:29 s.users: want at most 50 users (safety.load.max_users), got 51"),
    row("{journey: shop, rate: 201/s, duration: 16m, load: {}}",
        "1:22 s.rate: want rate in load.stages, got it beside load",
        "1:35 s.duration: want duration in load.stages, got it beside load",
        "1:50 s.load: want stages: with duration and rate in the model open, got none"),
    row("{journey: shop, users: 5, duration: 16m}",
        "1:42 s.duration: want at most 15m (safety.load.max_duration), got 16m"),
    row("{journey: shop, load: {users: 51, stages: [{duration: 1m, rate: 1/s}]}}",
        "1:36 s.load.users: want at most 50 users (safety.load.max_users), got 51"),
    row("{journey: shop, load: {users: {max: 51}, stages: [{duration: 1m, rate: 1/s}]}}",
        "1:42 s.load.users.max: want at most 50 users (safety.load.max_users), got 51"),
    row("{journey: shop, load: {model: closed, stages: [{duration: 1m, users: 0 -> 60}]}}",
        "1:75 s.load.stages.0.users: want at most 50 users (safety.load.max_users), got 60"),
]  # fmt: skip

MIXES = [
    row("{journey: shp, users: 1, duration: 1m}",
        "1:16 s.journey: want the name of a journey, got 'shp'; did you mean 'shop'?"),
    row("{mix: [{journey: talk}], users: 1, duration: 1m}",
        "1:23 s.mix.0.journey: want a journey that a load can play, got 'talk': its step 'chat'"
        " (ws) is for probes alone; load: skip leaves it out"),
    row("{mix: [{journey: code}], users: 1, duration: 1m}",
        "1:23 s.mix.0.journey: want a journey that a load can play, got 'code': with python: it is"
        " for probes alone"),
    row("{journey: idle, users: 1, duration: 1m}",
        "1:16 s.journey: want a journey that a load can play, got 'idle': no step that a load plays"
        " makes a request"),
    row("{journey: bare, users: 1, duration: 1m}",
        "1:16 s.journey: want target:, or base_url: of the journey 'bare', got neither"),
    row("{mix: [{journey: shop}, {journey: shop, weight: 2}], users: 1, duration: 1m}",
        "1:40 s.mix.1.journey: want each name once in a mix, got 'shop' again (first at mix.0)"),
    row("{mix: [{weight: 5}], users: 1, duration: 1m}",
        "1:13 s.mix.0: want journey or locustfile, got neither"),
    row("{mix: [{journey: shop, weight: 0}], users: 1, duration: 1m}",
        "1:37 s.mix.0.weight: want a number >= 1, got 0"),
    row("{mix: [{journey: shop, trust: true}], users: 1, duration: 1m}",
        "1:29 s.mix.0.trust: want trust beside locustfile alone, got it"),
    row("{mix: [{journey: shop, locustfile: users.py}], users: 1, duration: 1m}",
        "1:29 s.mix.0.locustfile: want journey or locustfile, got both"),
    row("{mix: [{locustfile: users.py, user_class: Api}], users: 1, duration: 1m}",
        "1:14 s.mix.0.locustfile: want trust: true beside a Locust file, which is code that will"
        " run, got none"),
    row("{mix: [{locustfile: users.py, trust: true}], users: 1, duration: 1m}",
        "1:13 s.mix.0: want the key 'user_class' beside locustfile, got none"),
    row("{mix: [{locustfile: users.py, trust: true, user_class: Ap}], users: 1, duration: 1m}",
        "1:61 s.mix.0.user_class: want a class of users.py, got 'Ap'; did you mean 'Api'?"),
    row("{mix: [{locustfile: random.py, trust: true, user_class: Api}], users: 1, duration: 1m}",
        "1:26 s.mix.0.locustfile: want a name that is no module of Python itself,"
        " got 'random.py'"),
    row("{mix: [{locustfile: broken.py, trust: true, user_class: Api}], users: 1, duration: 1m}",
        "1:26 s.mix.0.locustfile: broken.py:2: want Python, got 'invalid syntax'"),
    row("{mix: [{locustfile: lost.py, trust: true, user_class: Api}], users: 1, duration: 1m}",
        "1:26 s.mix.0.locustfile: want a regular file, got 'lost.py'"),
]  # fmt: skip

REFERENCES = [
    row(f"{{{GOOD}, target: \"http://me:secret@shop.test\"}}",
        "1:56 s.target: want a URL without user and password, got one with"),
    row(f"{{{GOOD}, schedule: 61 3 * * *}}",
        "1:58 s.schedule: want 0-59, a list, a-b or */n as the minute, got '61'"),
    row(f"{{{GOOD}, timezone: Europe/Berln}}",
        "1:58 s.timezone: want a time zone such as Europe/Berlin, got 'Europe/Berln'; did you mean"
        " 'Europe/Berlin'?"),
    row(f"{{{GOOD}, guards: [{{probe: frnt}}]}}",
        "1:65 s.guards.0.probe: want the name of a probe, got 'frnt'; did you mean 'front'?"),
    row(f"{{{GOOD}, guards: [{{probe: many}}]}}",
        "1:65 s.guards.0.probe: want one probe such as 'many/6183157c', got the list 'many'"),
    row(f"{{{GOOD}, guards: [{{probe: front}}, {{probe: front}}]}}",
        "1:81 s.guards.1.probe: want one guard for each probe, got 'front' again (first at"
        " guards.0)"),
    row(f"{{{GOOD}, preflight: {{probe: frnt}}}}",
        "1:67 s.preflight.probe: want the name of a probe, got 'frnt'; did you mean 'front'?"),
    row(f"{{{GOOD}, confirm: [ww.shop.test]}}",
        "1:58 s.confirm.0: want a host of safety.load.protected, got 'ww.shop.test'; did you mean"
        " 'www.shop.test'?"),
    row(f"{{{GOOD}, skip_if: [incident]}}",
        "1:58 s.skip_if.0: want 'incident_open', got 'incident'; did you mean 'incident_open'?"),
    row(f"{{{GOOD}, skip_if: [incident_open, maintenance]}}",
        "1:73 s.skip_if.1: want 'incident_open', got 'maintenance': this version has no maintenance"
        " windows yet, so it would never hold"),
]  # fmt: skip

WISHES = [
    row(f"{{{GOOD}, thresholds: [p95(request.durtion) < 4ms]}}",
        "1:61 s.thresholds.0: want one of request.duration, request.failed, iteration.duration,"
        " iteration.latency, start.delay, iteration.failed, iteration.interrupted,"
        " iteration.dropped, setup.failed, throughput, data.sent, data.received, browser.lcp,"
        " browser.fcp, browser.inp, browser.ttfb, browser.cls, got 'request.durtion'; did you mean"
        " 'request.duration'?"),
    row(f"{{{GOOD}, thresholds: {{http_req_duration: ['p(95)<200']}}}}",
        "1:48 s.thresholds: want a list such as [p95(request.duration) < 200ms], got a mapping"),
    row(f"{{{GOOD}, thresholds: {{expr: p95}}}}",
        "1:48 s.thresholds: want a list such as [p95(request.duration) < 400ms], got a mapping"),
    row(f"{{{GOOD}, thresholds: [{{http_req_failed: rate<0.01}}]}}",
        "1:61 s.thresholds.0: want a threshold such as rate(request.failed) < 1%, got"
        " 'http_req_failed: rate<0.01'"),
    row(f"{{{GOOD}, thresholds: [{{expr: rate(request.failed) < 1s}}]}}",
        "1:68 s.thresholds.0.expr: want a number with the unit %, got '1s'"),
    row(f"{{{GOOD}, thresholds: ['p95(request.duration{{step=\"hom\"}}) < 1s']}}",
        "1:61 s.thresholds.0: want step to be one of home, got 'hom'; did you mean 'home'?"),
    row(f"{{{GOOD}, thresholds: ['p95(request.duration{{step=\"login\"}}) < 1s']}}",
        "1:61 s.thresholds.0: want step to be one of home, got 'login'; requests of setup are not"
        " measured, setup.failed counts them"),
    row(f"{{{GOOD}, thresholds: ['p95(request.duration{{step=\"pay\"}}) < 1s']}}",
        "1:61 s.thresholds.0: want step to be one of home, got 'pay'"),
    row(f"{{{GOOD}, thresholds: ['rate(request.failed{{journey=\"bare\"}}) < 1%']}}",
        "1:61 s.thresholds.0: want journey to be one of shop, got 'bare'"),
    row(f"{{{GOOD}, thresholds: ['rate(request.failed{{reason=\"policy\"}}) < 1%']}}",
        "1:61 s.thresholds.0: want reason to be one of auth, blocked, body, certificate_expired,"
        " certificate_expiring, certificate_name, certificate_untrusted, closed, dns_no_address,"
        " dns_nxdomain, got 'policy'"),
    row("{journey: shop, users: 5, duration: 1m, thresholds: [p95(iteration.latency) < 1s]}",
        "1:59 s.thresholds.0: want iteration.latency in the model open alone, got it in closed;"
        " did you mean iteration.duration?"),
    row("{journey: shop, users: 5, duration: 1m, thresholds: [rate(iteration.dropped) < 1%]}",
        "1:59 s.thresholds.0: want iteration.dropped in the model open alone, got it in closed"),
    row(f"{{{GOOD}, thresholds: [p95(browser.lcp) < 1s]}}",
        "1:61 s.thresholds.0: want a guard of kind browser for browser.lcp, got none"),
    row("{journey: bare, target: http://shop.test, users: 5, duration: 1m, thresholds:"
        " [count(setup.failed) == 0]}",
        "1:85 s.thresholds.0: want a journey with setup for setup.failed, got none"),
    # Thresholds 3: exit code 2
    row(f"{{{GOOD}, thresholds: [{{expr: rate(request.failed) < 1%, window: 2m}}]}}",
        "1:103 s.thresholds.0.window: want a window of at most the run's 1m, got 2m"),
    row(f"{{{GOOD}, thresholds: [{{expr: rate(request.failed) < 1%, after: 1m}}]}}",
        "1:102 s.thresholds.0.after: want a time within the run's 1m, got 1m"),
    row(f"{{{GOOD}, thresholds: [{{expr: rate(request.failed) < 1%, for: 61}}]}}",
        "1:100 s.thresholds.0.for: want at most one for each second of the run's 1m, got 61"),
    row(f"{{{GOOD}, thresholds: [{{expr: rate(request.failed) < 1%, source: prometheus}}]}}",
        "1:103 s.thresholds.0.source: want load for a metric of the run, got prometheus"),
    row(f"{{{GOOD}, thresholds: [rate(request.failed)<1%, rate(request.failed) < 1%]}}",
        "1:86 s.thresholds.1: want each threshold once, got 'rate(request.failed) < 1%' again"
        " (first at thresholds.0)"),
    row(f"{{{GOOD}, baseline: {{fail_on: [{{stat: p95(request), worse_by: 1%}}]}}}}",
        "1:76 s.baseline.fail_on.0.stat: want one of request.duration, request.failed,"
        " iteration.duration, iteration.latency, start.delay, iteration.failed,"
        " iteration.interrupted, iteration.dropped, setup.failed, throughput, data.sent,"
        " data.received, browser.lcp, browser.fcp, browser.inp, browser.ttfb, browser.cls, got"
        " 'request'; did you mean 'request.failed'?"),
    row(f"{{{GOOD}, baseline: {{fail_on: [{{stat: throughput, worse_by: 1%,"
        " and_at_least: 5ms}]}}",
        "1:116 s.baseline.fail_on.0.and_at_least: want a number with a unit (/s, /m, /h),"
        " got '5ms'"),
    row(f"{{{GOOD}, baseline: {{fail_on: [{{stat: throughput, worse_by: 0.1}}]}}}}",
        "1:98 s.baseline.fail_on.0.worse_by: want a share such as 15%, got 0.1"),
]  # fmt: skip

ROWS = [*FORMS, *PROFILES, *CEILINGS, *MIXES, *REFERENCES, *WISHES]


# As many scenarios of a file as have a name of one letter: columns are told.
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Return keys -> what is said of them, of many scenarios a file: a file takes its time."""
    file = furnished(tmp_path_factory.mktemp("reading")) / "probes.yaml"
    every = [str(it.values[0]) for it in ROWS]
    found: dict[str, list[str]] = {keys: [] for keys in every}
    for begin in range(0, len(every), len(LETTERS)):
        part = every[begin : begin + len(LETTERS)]
        lines = (f"  {name}: {keys}" for name, keys in zip(LETTERS, part, strict=False))
        for said in mistakes(file, "\n".join(lines)):
            line, _, rest = said.partition(":")
            at = int(line) - 1
            found[part[at]].append(f"1:{rest}".replace(f" {LETTERS[at]}", " s", 1))
    return found


@pytest.mark.parametrize(("keys", "said"), ROWS)
def test_each_mistake_is_told_word_for_word(
    told: dict[str, list[str]], keys: str, said: tuple[str, ...]
) -> None:
    """Thresholds 3 among them."""
    assert told[keys] == list(said)


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(refused: Refused) -> None:
    scenarios = (
        f"  s: {{{GOOD}, seed: -1}}\n  t: {{journey: lost, users: 99, duration: 1m}}\n  u: 5"
    )

    assert [it.partition(":")[0] for it in refused(scenarios)] == ["1", "2", "2", "3"]


def test_what_is_wrong_with_a_journey_is_told_where_it_stands_alone(refused: Refused) -> None:
    assert refused("  s: {journey: sick, users: 1, duration: 1m, guards: [{probe: odd}]}") == []


def test_a_name_is_told_that_stands_nowhere(refused: Refused) -> None:
    assert refused(f"  Night_ly: {{{GOOD}}}") == [
        "1:3 Night_ly: want a name of a-z, 0-9 and '-' such as 'nightly', got 'Night_ly'"
    ]


def test_a_link_out_of_the_directory_is_refused(refused: Refused, place: Path) -> None:
    mix = "[{locustfile: away.py, trust: true, user_class: Api}]"
    said = refused(f"  s: {{mix: {mix}, users: 1, duration: 1m}}")

    assert [it[:46] for it in said] == ["1:26 s.mix.0.locustfile: want a file inside '/"]


SOUND = "\n".join(line for line in HEAD.splitlines() if "odd" not in line and "sick" not in line)


def test_the_short_forms_are_written_out(read: Reader) -> None:
    text = f"  o: {{{GOOD}}}\n  c: {{journey: shop, users: 10, duration: 1m}}"
    found = scenarios_of(read(f"{SOUND}\nscenarios:\n{text}"))

    assert [it.journey for it in found["o"].mix] == ["shop"]
    assert (found["o"].load.model, found["o"].load.peak, found["o"].load.seconds) == (
        "open",
        10,
        60,
    )
    assert (found["c"].load.model, found["c"].load.pool) == ("closed", PoolKeys(start=1, max=10))


def test_a_pool_that_nobody_has_written_is_as_large_as_may_be(read: Reader) -> None:
    found = scenarios_of(read(f"{SOUND}\nscenarios: {{o: {{{GOOD}}}}}"))

    assert found["o"].load.pool == PoolKeys(start=1, max=50)


def test_scenarios_of_included_files_are_read_too(read: Reader, place: Path) -> None:
    (place / "more.yaml").write_text(f"scenarios: {{night: {{{GOOD}}}}}")

    assert [*scenarios_of(read(f"{SOUND}\ninclude: [more.yaml]"))] == ["night"]


def test_a_locust_file_is_watched_like_the_probe_file(read: Reader, place: Path) -> None:
    part = "{locustfile: users.py, user_class: Api, trust: true}"
    config = read(f"{SOUND}\nscenarios: {{s: {{mix: [{part}], rate: 1/s, duration: 1m}}}}")

    assert (place / "users.py").resolve() in config.beside


def test_what_will_be_refused_is_a_warning(read: Reader) -> None:
    allowed = "targets: {allow: [shop.test]}, "
    keys = f'{GOOD}, target: "http://www.shop.test", schedule: "17 3 * * 1-5"'
    config = read(f"{SOUND.replace(allowed, '')}\nscenarios: {{s: {{{keys}}}}}")

    first, second = (it.message for it in config.warnings if it.path.startswith("scenarios"))

    assert first == (
        "want safety.targets.allow to say where loads may go, got none: this scenario will be"
        " refused"
    )
    assert second == (
        "want confirm: [www.shop.test] beside a schedule, got none for the protected host: its runs"
        " will be refused"
    )


def test_a_file_that_nobody_reads_scenarios_of_has_none(place: Path) -> None:
    file = place / "probes.yaml"
    file.write_text(SOUND)

    assert scenarios_of(load(file, environ={})) == {}
    assert scenarios_of(load(file, environ={}, further=(SCENARIOS,))) == {}


@pytest.mark.parametrize(
    "keys",
    [
        pytest.param(GOOD, id="open, short"),
        pytest.param("journey: shop, users: 10, duration: 1m", id="closed, short"),
        pytest.param(
            "journey: shop, load: {model: iterations, iterations: 5, users: 2}", id="iterations"
        ),
        pytest.param(
            "mix: [{journey: shop, weight: 2},"
            " {locustfile: users.py, user_class: Api, trust: true}],"
            " target: http://shop.test,"
            " load: {stages: [{duration: 1m, rate: 0/s -> 90/m}], shards: 2},"
            " thresholds: [promql(up) == 1,"
            " {expr: rate(request.failed) < 1%, abort: true, window: 5s}],"
            " baseline: {fail_on: [{stat: throughput, worse_by: 12.5%}]}",
            id="long",
        ),
    ],
)
def test_what_is_explained_means_the_same(read: Reader, keys: str) -> None:
    first = read(f"{SOUND}\nscenarios: {{s: {{{keys}}}}}")

    shown = explain_entry("s", scenarios_of(first)["s"].in_force, first.redact)
    second = read(f"{SOUND}\nscenarios:\n{indent(shown, '  ')}")

    wanted, got = (scenarios_of(config)["s"].in_force for config in (first, second))
    assert got.model_dump() == wanted.model_dump()
    assert got.load_ is not None


def test_a_target_outside_of_the_fences_is_a_warning(read: Reader) -> None:
    keys = f'{GOOD}, target: "http://elsewhere.test"'
    config = read(f"{SOUND}\nscenarios: {{s: {{{keys}}}}}")

    (warning,) = (it for it in config.warnings if it.path.startswith("scenarios"))
    assert (warning.path, warning.message) == (
        "scenarios.s.target",
        "want a host of safety.targets.allow, got 'elsewhere.test': this scenario will be refused",
    )


def test_no_outlet_shows_the_password_of_a_prometheus(read: Reader) -> None:
    keys = f'{GOOD}, prometheus: {{url: "http://me:opensesame@127.0.0.1:9090"}}'
    config = read(f"{SOUND}\nscenarios: {{s: {{{keys}}}}}")

    assert "opensesame" in config.secrets
    assert "opensesame" not in explain_entry("s", scenarios_of(config)["s"], config.redact)


def test_steps_of_a_locust_file_are_not_judged(read: Reader) -> None:
    mix = "[{journey: shop}, {locustfile: users.py, user_class: Api, trust: true}]"
    threshold = "'p95(request.duration{step=\"/any\"}) < 1s'"
    text = f"{{mix: {mix}, rate: 1/s, duration: 1m, thresholds: [{threshold}]}}"

    assert [*scenarios_of(read(f"{SOUND}\nscenarios: {{s: {text}}}"))] == ["s"]


def test_steps_of_a_named_journey_are_judged_beside_a_locust_file(refused: Refused) -> None:
    mix = "[{journey: shop}, {locustfile: users.py, user_class: Api, trust: true}]"
    threshold = '\'p95(request.duration{journey="shop",step="any"}) < 1s\''
    text = f"{{mix: {mix}, rate: 1/s, duration: 1m, thresholds: [{threshold}]}}"

    (said,) = refused(f"  s: {text}")
    assert said.endswith("want step to be one of home, got 'any'")
