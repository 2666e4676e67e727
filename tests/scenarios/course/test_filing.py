"""Reports in files: whole, in their place, kept as many as wanted, told when they cannot be."""

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from scenarios.course.filing import FILES, Filed, Form, Wish, file_report, write_whole
from scenarios.report import LoadReport, Verdict, Why

BEGAN = datetime(2026, 11, 21, 3, 17, tzinfo=UTC)
PASSED = LoadReport("nightly", "r1", Verdict.PASS, 0, (), BEGAN, BEGAN)
FORMS: dict[str, Form] = {
    form: lambda report, form=form: f"{form} {report.verdict} {report.exit_code}"  # type: ignore[misc]
    for form in FILES
}


def filed(directory: Path, report: LoadReport = PASSED, keep: int = 0) -> Filed:
    return file_report(report, Wish(directory, keep=keep), FORMS)


def test_each_run_has_a_directory_with_each_report(tmp_path: Path) -> None:
    done = filed(tmp_path)

    assert done.directory == tmp_path / "nightly" / "20261121T031700Z-r1"
    assert {it.name for it in done.directory.iterdir()} == set(FILES.values())
    assert (done.directory / "junit.xml").read_text() == "junit pass 0"
    assert (done.broken, done.odd, done.report) == ((), (), PASSED)


def test_what_others_wrote_of_the_run_lies_beside(tmp_path: Path) -> None:
    pages = {"locust.html": "<p>of Locust \udcff"}

    done = file_report(PASSED, Wish(tmp_path), FORMS, pages)

    assert done.directory is not None
    assert (done.directory / "locust.html").read_text() == "<p>of Locust \\udcff"
    (tmp_path / "a-file").touch()
    broken = file_report(PASSED, Wish(tmp_path), FORMS, {"../../a-file/x.html": ""})
    assert (broken.report.exit_code, len(broken.broken)) == (3, 1)


def test_only_the_last_runs_are_kept_and_nothing_foreign_is_deleted(tmp_path: Path) -> None:
    (tmp_path / "nightly" / "mine").mkdir(parents=True)
    for hour in range(5):
        filed(tmp_path, replace(PASSED, started_at=BEGAN + timedelta(hours=hour)), keep=2)

    assert {it.name for it in (tmp_path / "nightly").iterdir()} == {
        "mine", "20261121T061700Z-r1", "20261121T071700Z-r1",
    }  # fmt: skip


def test_a_report_that_cannot_be_written_turns_0_into_3_in_all_others(tmp_path: Path) -> None:
    (tmp_path / "a-file").touch()
    wish = Wish(tmp_path, ("json",), files={"junit": tmp_path / "a-file" / "out.xml"})

    done = file_report(PASSED, wish, FORMS)

    assert done.broken == (f"want to write {tmp_path}/a-file, got File exists",)
    assert (done.report.verdict, done.report.exit_code) == (Verdict.INCONCLUSIVE, 3)
    assert done.report.reasons[0] == Why(Verdict.INCONCLUSIVE, "report", done.broken[0])
    assert done.directory is not None
    assert (done.directory / "result.json").read_text() == "json inconclusive 3"


def test_a_report_that_cannot_be_written_leaves_a_worse_verdict_alone(tmp_path: Path) -> None:
    (tmp_path / "nightly").touch()
    failed = replace(PASSED, verdict=Verdict.FAIL, exit_code=1)

    done = filed(tmp_path, failed)

    assert (done.report.verdict, done.report.exit_code) == (Verdict.FAIL, 1)
    # one directory is one sentence, however many reports go there
    (text,) = done.broken
    assert text == f"want to write {tmp_path}/nightly/20261121T031700Z-r1, got Not a directory"
    assert [why.text for why in done.report.reasons] == [text]
    assert done.directory is None


def test_a_file_is_replaced_whole_or_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "it"
    path.mkdir()

    with pytest.raises(OSError, match="directory"):
        write_whole(path, "new")

    assert [it.name for it in tmp_path.iterdir()] == ["it"]


def test_a_text_that_is_no_unicode_does_not_cost_the_report(tmp_path: Path) -> None:
    write_whole(tmp_path / "it", "a\udcffb")

    assert (tmp_path / "it").read_text() == "a\\udcffb"


def test_without_a_directory_only_the_named_files_are_written(tmp_path: Path) -> None:
    done = file_report(PASSED, Wish(files={"junit": tmp_path / "new" / "out.xml"}), FORMS)

    assert done.directory is None
    assert (tmp_path / "new" / "out.xml").read_text() == "junit pass 0"


def test_a_clock_that_was_set_back_does_not_cost_the_run_its_reports(tmp_path: Path) -> None:
    for year in (2030, 2031):
        filed(tmp_path, replace(PASSED, started_at=BEGAN.replace(year=year)), keep=2)

    done = filed(tmp_path, keep=2)

    assert {it.name for it in (tmp_path / "nightly").iterdir()} == {
        "20261121T031700Z-r1", "20311121T031700Z-r1",
    }  # fmt: skip
    assert done.directory is not None
    assert done.directory.is_dir()


def test_a_device_is_written_and_stays_one_for_everybody_else(tmp_path: Path) -> None:
    """``--junit /dev/stdout`` by root."""
    pipe, link, file = tmp_path / "pipe", tmp_path / "link", tmp_path / "file"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    link.symlink_to(file)

    write_whole(pipe, "report")
    write_whole(link, "report")

    assert os.read(reader, 100) == b"report"
    os.close(reader)
    assert pipe.is_fifo()
    assert link.is_symlink()
    assert file.read_text() == "report"


def test_a_disk_that_takes_nothing_is_one_sentence_and_no_directory(tmp_path: Path) -> None:
    def full(_: LoadReport) -> str:
        raise OSError(28, "No space left on device")

    done = file_report(PASSED, Wish(tmp_path), dict.fromkeys(FILES, full))

    place = tmp_path / "nightly" / "20261121T031700Z-r1"
    names = "result.json, junit.xml, report.md, report.html"
    assert done.broken == (f"want to write {place}/{names}, got No space left on device",)
    assert (done.directory, place.exists(), done.report.exit_code) == (None, False, 3)
