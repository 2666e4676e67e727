"""What a worker agrees to: row 6 of "Master and workers", one file of its own at a time."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from probes.config.load import Config, load
from scenarios.config.section import SCENARIOS, scenarios_of
from scenarios.course.workers import without_code
from scenarios.guest.admission import CONFIG, MASTER, RAIL, Declined, admit, read_offer, take_own
from scenarios.plan import Plan, Stage
from scenarios.planning.make import Flags, make_plan

FILE = """
version: 1
journeys:
  home:
    base_url: http://127.0.0.1:1
    data: {{file: rows.csv}}
    secrets: {{key: {secret}}}
    steps: [{{name: home, get: "{path}?${{row.a}}"}}]
safety:
  targets: {{allow: [{allow}]}}
  load: {{max_users: 100, max_rate: {ceiling}, max_duration: 2m{more}}}
scenarios:
  {name}:
    mix: [{{journey: home}}, {{locustfile: odd.py, user_class: Odd, trust: true}}]
    target: "http://127.0.0.1:{port}"
    load: {{stages: [{{rate: 20/s, duration: 4s}}]}}
"""
SAME = {"path": "/", "allow": "127.0.0.0/8", "ceiling": "100/s", "secret": "its", "name": "it",
        "port": "9", "more": ""}  # fmt: skip


def config(place: Path, rows: str = "a\n1\n", code: str = "class Odd: ...", **keys: str) -> Config:
    place.mkdir()
    (place / "rows.csv").write_text(rows)
    (place / "odd.py").write_text(code)
    (place / "probes.yaml").write_text(FILE.format(**SAME | keys))
    return load(place / "probes.yaml", further=(SCENARIOS,))


@pytest.fixture
def offered(tmp_path: Path) -> Plan:
    its = config(tmp_path / "master", secret="theirs")
    flags = Flags(rate=30.0, shards=2)
    made = make_plan(its, "it", scenarios_of(its)["it"], flags, cpus=2).plan
    text = without_code(made).to_json()
    # neither code nor secrets nor paths travel
    assert "theirs" not in text
    assert "secrets" not in text
    assert str(tmp_path) not in text
    return read_offer(text)


def test_a_worker_plays_its_own_files_and_secrets(tmp_path: Path, offered: Plan) -> None:
    own = config(tmp_path / "own", allow="127.0.0.1/32", secret="ours")
    admitted = asyncio.run(admit(own, take_own(own, offered), frozenset()))

    assert admitted.secrets.values == {"home": {"key": "ours"}}
    assert set(admitted.plan.journeys) == {"home"}
    assert admitted.plan.mix[1].locustfile == str(tmp_path / "own/odd.py")
    assert admitted.plan.stages == (Stage(4.0, 30.0, 30.0),)
    # a master can only be stricter
    assert admitted.plan.fences.allow == ("127.0.0.1/32",)
    assert admitted.plan.fences.within == ("127.0.0.0/8",)


@pytest.mark.parametrize(
    ("keys", "code", "text"),
    [
        pytest.param({"path": "/b"}, CONFIG, "want the scenario it as the", id="journey"),
        pytest.param({"port": "8"}, CONFIG, "want the scenario it as the", id="target"),
        pytest.param({"rows": "a\n2\n"}, CONFIG, "want the data file of home", id="data file"),
        pytest.param({"code": "class Odd: pass"}, CONFIG, "locust file odd.py", id="locust file"),
        pytest.param({"name": "other"}, CONFIG, "want the scenario 'it' in", id="scenario"),
        pytest.param({"ceiling": "25/s"}, RAIL, "want at most 25/s", id="ceiling"),
        pytest.param({"allow": "127.0.0.2/32"}, RAIL, "safety.targets.allow", id="allow-list"),
        pytest.param({"more": ", protected: [127.0.0.1]"}, RAIL, "--yes-load", id="protected"),
    ],
)  # fmt: skip
def test_workers_6_what_differs_is_refused_by_name(
    tmp_path: Path, offered: Plan, keys: dict[str, str], code: int, text: str
) -> None:
    own = config(tmp_path / "own", **keys)

    with pytest.raises(Declined) as caught:
        asyncio.run(admit(own, take_own(own, offered), frozenset()))

    assert text in str(caught.value)
    assert caught.value.code == code


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 1}', "[" * 9999])
def test_what_is_no_plan_is_refused(text: str) -> None:
    with pytest.raises(Declined) as caught:
        read_offer(text)

    assert caught.value.code == MASTER


def test_a_plan_of_another_schema_or_with_code_is_refused(tmp_path: Path, offered: Plan) -> None:
    with pytest.raises(Declined, match="schema 1"):
        read_offer(offered.to_json().replace('"schema": 1', '"schema": 2'))
    with pytest.raises(Declined, match="without journeys"):
        take_own(config(tmp_path / "own"), replace(offered, journeys={"home": {}}))
