"""What is kept of passing runs, what is found again, and what counts as not there."""

import json
import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from scenarios.book import Book, Key
from scenarios.judging.baseline import KEEP, Past, Shelf
from scenarios.judging.figures import Windows
from scenarios.outlets.structure import to_json
from scenarios.plan import Part, Plan, Stage
from scenarios.report import LoadReport, Second, Verdict

HASH = "a1b2c3d4e5f6" + "0" * 52
OTHER = "f" * 64
STARTED = datetime(2026, 3, 14, 9, 0, tzinfo=UTC)
STAGES = (Stage(5, 1, 2, warmup=True), Stage(20, 2, 2))


def report(number: int = 1, **changes: object) -> LoadReport:
    """Return a run that passed: 20 s, 2 iterations a second."""
    book = Book({"request.duration": (400_000,)})
    key = Key("request.duration", "shop", "a", "GET", "2xx", "up")
    for at in range(100):
        book.time(key, 0.1 + at / 1000)
    book.time(key._replace(measured=False), 9.0)
    book.count(Key("iteration.completed", "shop"), 40)
    made = LoadReport(
        scenario="nightly", run_id=f"run-{number}", verdict=Verdict.PASS, exit_code=0, reasons=(),
        started_at=STARTED, ended_at=STARTED + timedelta(minutes=number), seconds=25.0,
        plan=Plan(run_id=f"run-{number}", scenario="nightly", target="http://shop.test",
                  model="open", stages=STAGES, mix=(Part("shop"),)),
        config_hash=HASH, git_ref="main", book=book,
        timeline=tuple(Second(at, completed=2) for at in range(25)),
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


def windows() -> Windows:
    made = Windows(STAGES)
    for at in range(25):
        made.add_completed(at, "shop", 2)
    return made


def kept(shelf: Shelf) -> list[str]:
    return sorted(it.name for it in shelf.directory.iterdir())


def ids(shelf: Shelf, compare_to: str, hash_: str = HASH) -> list[str]:
    return [it.run_id for it in shelf.find(compare_to, hash_, shelf.directory).pasts]


def test_a_passing_run_is_kept_whole_and_private(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, "nightly")

    path = shelf.save(report(), windows())

    assert path is not None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(shelf.directory.stat().st_mode) == 0o700
    (past,) = shelf.find("last_pass", HASH, tmp_path).pasts
    assert (past.run_id, past.git_ref, past.ended_at) == ("run-1", "main", report().ended_at)
    assert past.rates == ({"shop": 2.0}, {"shop": 2.0})
    # the warm-up is not kept
    assert past.book.timed("request.duration").as_dict() == report().book.timed(
        "request.duration", measured=True).as_dict()  # fmt: skip
    assert Past.from_json(past.to_json()) is not None
    assert kept(shelf) == [path.name]


@pytest.mark.parametrize("verdict", [it for it in Verdict if it is not Verdict.PASS])
def test_thresholds_7_only_a_passing_run_becomes_a_baseline(
    tmp_path: Path, verdict: Verdict
) -> None:
    shelf = Shelf(tmp_path, "nightly")

    assert shelf.save(report(verdict=verdict), windows()) is None
    assert not shelf.directory.exists()


def test_the_newest_and_the_median_of_the_newest(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, "nightly")
    for number in (2, 1, 3):
        shelf.save(report(number), windows())
    shelf.save(report(4, config_hash=OTHER), windows())
    shelf.save(report(5, git_ref="feature/x"), windows())

    assert ids(shelf, "last_pass") == ["run-5"]
    assert ids(shelf, "last_pass", OTHER) == ["run-4"]
    assert ids(shelf, "median_of_passes(3)") == ["run-5", "run-3", "run-2"]
    assert ids(shelf, "median_of_passes(9)") == ["run-5", "run-3", "run-2", "run-1"]
    assert ids(shelf, "ref:main") == ["run-3"]
    assert ids(shelf, "ref:feature/x") == ["run-5"]


def test_the_oldest_are_deleted_but_for_what_is_asked_for(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, "nightly")
    shelf.save(report(0, git_ref="release"), windows())
    (shelf.directory / "notes.txt").write_text("somebody's")
    for number in range(1, KEEP + 4):
        shelf.save(report(number), windows())

    assert len(kept(shelf)) == KEEP + 2
    assert ids(shelf, "ref:release") == ["run-0"]
    many = f"median_of_passes({KEEP + 3})"
    assert len(ids(shelf, many)) == KEEP + 1
    for number in (97, 98, 99):
        shelf.save(report(number), windows())
    assert len(ids(shelf, many)) == KEEP + 3


GOOD = Past("run-1", STARTED, HASH).to_json()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param("", "is no baseline: ", id="empty"),
        pytest.param(GOOD[:-20], "is no baseline: ", id="half"),
        pytest.param("[" * 100_000, "is no baseline: ", id="deep"),
        pytest.param("[]", "is no baseline: ", id="no object"),
        pytest.param("{}", "is no baseline: want a baseline, got", id="nothing in it"),
        pytest.param(GOOD.replace('"baseline":1', '"baseline":2'),
                     "is no baseline: want a baseline of schema 1, got another", id="newer"),
        pytest.param(GOOD.replace('"rates":[]', '"rates":[{"a":-1}]'),
                     "is no baseline: want a rate >= 0, got -1", id="nonsense"),
        pytest.param(GOOD.replace('"rates":[]', f'"rates":[{{"a":1{"0" * 400}}}]'),
                     "is no baseline: want a rate >= 0, got 1000", id="too great for a float"),
        pytest.param(to_json(report(timeline=(Second(10, completed=10**400),))),
                     "is no baseline: ", id="a second in which too much was completed"),
        pytest.param(GOOD.replace(HASH, OTHER), "is of a run with another plan", id="other hash"),
        pytest.param(to_json(report(verdict=Verdict.FAIL)),
                     "is no baseline: want the result of a run that passed, got fail",
                     id="a failed run"),
        pytest.param("\ud800", "is no baseline: ", id="no UTF-8"),
        pytest.param(None, "cannot be read: No such file or directory", id="missing"),
    ],
)  # fmt: skip
def test_thresholds_7_what_cannot_be_used_is_as_if_it_were_not_there_and_said(
    tmp_path: Path, text: str | None, why: str
) -> None:
    path = tmp_path / "main.json"
    if text is not None:
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
    shelf = Shelf(tmp_path / "data", "nightly")

    found = shelf.find("file:main.json", HASH, tmp_path)

    assert found.pasts == ()
    assert found.missing.startswith(f"main.json {why}")


def test_a_corrupt_file_is_passed_over_for_an_older_one_and_told(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, "nightly")
    shelf.save(report(1), windows())
    newer = shelf.save(report(2), windows())
    assert newer is not None
    newer.write_text("{")

    found = shelf.find("last_pass", HASH, tmp_path)
    newer.with_name(kept(shelf)[0]).unlink()
    alone = shelf.find("last_pass", HASH, tmp_path)

    assert [it.run_id for it in found.pasts] == ["run-1"]
    assert found.notes[0].startswith(f"{newer.name} is no baseline: ")
    assert alone.missing.startswith("no run passed yet; ")


def test_nothing_kept_yet_says_whether_another_plan_was(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, "nightly")

    first = shelf.find("last_pass", HASH, tmp_path)
    shelf.save(report(config_hash=OTHER), windows())
    then = shelf.find("ref:main", HASH, tmp_path)

    assert first.missing == "no run passed yet"
    assert then.missing == "no run passed yet on 'main' with this plan, 1 with another"


def test_the_result_of_a_run_that_passed_is_a_baseline(tmp_path: Path) -> None:
    (tmp_path / "main.json").write_text(to_json(report()))

    (past,) = Shelf(tmp_path, "x").find("file:main.json", HASH, tmp_path).pasts

    assert past.run_id == "run-1"
    assert past.rates == ({"shop": 2.0}, {"shop": 2.0})
    assert past.book.timed("request.duration").count == 100


def test_names_of_scenarios_stay_inside_and_apart(tmp_path: Path) -> None:
    names = ["a", "a/b", "a_b", "../../etc", "..", "ä", "x" * 300]

    directories = [Shelf(tmp_path, name).directory for name in names]

    assert len(set(directories)) == len(names)
    for directory in directories:
        assert directory.parent == tmp_path / "baselines"
        assert len(directory.name) < 100
        assert directory.name.strip(".")


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, "nightly")
    shelf.directory.parent.mkdir()
    shelf.directory.write_text("a file in the way")

    with pytest.raises(OSError, match="exists"):
        shelf.save(report(), windows())
    shelf.directory.unlink()
    path = shelf.save(report(), windows())
    assert path is not None
    path.unlink()
    path.mkdir()
    with pytest.raises(OSError, match="directory"):
        shelf.save(report(), windows())

    assert kept(shelf) == [path.name]


def test_a_file_says_what_it_is(tmp_path: Path) -> None:
    path = Shelf(tmp_path, "nightly").save(report(), windows())
    assert path is not None

    values = json.loads(path.read_text())

    assert path.name.startswith(f"20260314090100-{HASH[:12]}-")
    assert values.keys() == {
        "baseline", "run_id", "ended_at", "config_hash", "git_ref", "rates", "book",
    }  # fmt: skip
