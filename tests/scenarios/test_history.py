"""What a shard could do is kept by config hash, and a broken file knows nothing."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scenarios.history import FILE, KEEP, known_capacities, note_capacity
from scenarios.lock import DIRECTORY
from scenarios.report import Generator, LoadReport, Second, Verdict

NOW = datetime.now(UTC)
BUSY = LoadReport(
    "s", "r", Verdict.PASS, 0, (), NOW, NOW,
    config_hash="aa",
    generators=(Generator(0, state="final"),),
    timeline=tuple(Second(at, requests=700, cpu=0.5) for at in range(20)),
)  # fmt: skip


def test_what_a_shard_could_do_is_known_to_the_next_run(tmp_path: Path) -> None:
    (tmp_path / DIRECTORY).mkdir()

    note_capacity(tmp_path, BUSY)
    note_capacity(tmp_path, replace(BUSY, config_hash="bb"))
    note_capacity(tmp_path, replace(BUSY, config_hash="cc", timeline=()))  # nothing to tell
    note_capacity(tmp_path, replace(BUSY, config_hash=""))

    assert known_capacities(tmp_path) == {"aa": 1400.0, "bb": 1400.0}


def test_the_plans_that_were_run_last_are_kept(tmp_path: Path) -> None:
    (tmp_path / DIRECTORY).mkdir()
    before = {"aa": 5.0, **{str(number): 1.0 for number in range(KEEP)}}
    (tmp_path / DIRECTORY / FILE).write_text(json.dumps(before))

    note_capacity(tmp_path, BUSY)

    known = known_capacities(tmp_path)
    assert len(known) == KEEP
    assert list(known)[-1] == "aa"
    assert "0" not in known
    assert "1" in known


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"aa": "x", "bb": true, "cc": -1, "dd": NaN}'])
def test_a_broken_file_knows_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / DIRECTORY).mkdir()
    (tmp_path / DIRECTORY / FILE).write_text(text)

    assert known_capacities(tmp_path) == {}
    assert known_capacities(tmp_path / "never") == {}
