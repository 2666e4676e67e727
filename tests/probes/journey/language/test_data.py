"""Rows out of files, dealt by the number of the iteration."""

import csv
import hashlib
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from probes.journey.language import data
from probes.journey.language.data import DataKeys, Feeder, read_data

USERS = b"user,can_pay\nann,true\nbob,false\ncid,true\n"


def read(directory: Path, content: bytes, name: str = "users.csv", **keys: Any) -> Feeder:
    (directory / name).write_bytes(content)
    return read_data(DataKeys(file=name, **keys), directory)


@pytest.mark.parametrize(
    ("name", "content", "rows"),
    [
        pytest.param("a.csv", USERS, [{"user": "ann", "can_pay": "true"},
                     {"user": "bob", "can_pay": "false"}, {"user": "cid", "can_pay": "true"}],
                     id="csv"),
        pytest.param("a.CSV", b"\xef\xbb\xbfa, b \r\n1, 2\r\n\r\n", [{"a": "1", "b": " 2"}],
                     id="byte order mark, CRLF, blanks around names only"),
        pytest.param("a.csv", b'a,b\n"x\ny,""z""",\n', [{"a": 'x\ny,"z"', "b": ""}], id="quotes"),
        pytest.param("a.jsonl", b'{"a": 1, "b": {"c": [null]}}\n\n{"b": "x", "a": true}\n',
                     [{"a": 1, "b": {"c": [None]}}, {"a": True, "b": "x"}], id="JSON lines"),
        pytest.param("a.ndjson", b'\xef\xbb\xbf{"a": "\xe2\x80\xa8"}\r\n', [{"a": "\u2028"}],
                     id="a line separator inside a text"),
        pytest.param("a.json", b'[{"a": 1},\n{"a": 2}]', [{"a": 1}, {"a": 2}], id="JSON list"),
        pytest.param("a.json", rb'[{"a": "\ud800"}]', [{"a": "\ufffd"}], id="half a character"),
    ],
)  # fmt: skip
def test_rows_are_read(
    tmp_path: Path, name: str, content: bytes, rows: list[dict[str, Any]]
) -> None:
    feeder = read(tmp_path, content, name)

    assert [feeder.row(n, 0) for n in range(feeder.length)] == rows
    assert feeder.columns == set(rows[0])
    assert feeder.path == name
    assert feeder.digest == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        pytest.param("a.csv", b"", "a.csv: want a header line, got an empty file", id="Data 8"),
        pytest.param("a.csv", b"a,b\n", "a.csv: want at least one row, got none", id="no row"),
        pytest.param("a.csv", b"a,b\n1,2\n\n1\n", "a.csv:4: want 2 values, got 1", id="ragged"),
        pytest.param("a.csv", b"a,b\n1,2,3\n", "a.csv:2: want 2 values, got 3", id="too many"),
        pytest.param("a.csv", b"a,b,a\n1,2,3\n",
                     "a.csv:1: want column names that differ, got 'a' twice", id="twice"),
        pytest.param("a.csv", b"a;b\n1;2\n",
                     "a.csv:1: want a column name such as user_id, got 'a;b'",
                     id="semicolons"),
        pytest.param("a.csv", b"a,\n1,2\n", "a.csv:1: want a column name such as user_id, got ''",
                     id="no name"),
        pytest.param("a.csv", b'a\n"x\n', "a.csv:2: want CSV, got unexpected end of data",
                     id="open quote"),
        pytest.param("a.csv", b'a\n"x"y\n', "a.csv:2: want CSV, got ',' expected after '\"'",
                     id="text behind a quote"),
        pytest.param("a.csv", b"a\nok\n\xfc\n", "a.csv:3: want UTF-8, got other bytes",
                     id="latin-1"),
        pytest.param("a.jsonl", b'{"a": 1}\n{"a": \n',
                     "a.jsonl:2: want JSON, got Expecting value at byte 6: b'{\"a\": '",
                     id="half a line of JSON"),
        pytest.param("a.jsonl", b'{"a": 1}\n5\n',
                     "a.jsonl:2: want an object, got a number", id="5"),
        pytest.param("a.jsonl", b'{"a": 1}\n{"b": 1}\n',
                     "a.jsonl:2: want the keys of the first row, got a difference in ['a', 'b']",
                     id="other keys"),
        pytest.param("a.jsonl", b"{}\n", "a.jsonl:1: want a name for each column, got none",
                     id="no keys"),
        pytest.param("a.jsonl", b"\n", "a.jsonl: want at least one row, got none", id="no lines"),
        pytest.param("a.json", b"{}", "a.json: want a list of objects, got an object", id="{}"),
        pytest.param("a.json", b"[{},{}]", "a.json: row 1: want a name for each column, got none",
                     id="row of a list"),
        pytest.param("a.json", b"[]", "a.json: want at least one row, got none", id="empty list"),
        pytest.param("a.xlsx", b"PK", "want a file .csv, .jsonl, .ndjson, .json, got 'a.xlsx'",
                     id="unknown form"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_line(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        read(tmp_path, content, name)


def test_files_and_rows_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "MAX_ROWS", 3)
    monkeypatch.setattr(data, "MAX_COLUMNS", 2)

    assert read(tmp_path, USERS).length == 3
    with pytest.raises(ValueError, match=r"^users.csv:5: want at most 3 rows, got more$"):
        read(tmp_path, USERS + b"dan,true\n")
    with pytest.raises(ValueError, match=r"^users.csv:1: want at most 2 columns, got 3$"):
        read(tmp_path, b"a,b,c\n1,2,3\n")
    monkeypatch.setattr(data, "MAX_FILE_BYTES", 10)
    with pytest.raises(ValueError, match=r"^users.csv: want at most 10 bytes, got more$"):
        read(tmp_path, USERS)


def test_a_long_value_is_read_and_a_longer_one_refused(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    assert read(tmp_path, b"a\n" + b"x" * 200_000).length == 1
    with pytest.raises(ValueError, match=r"^users.csv:2: want CSV, got field larger than"):
        read(tmp_path, b"a\n" + b"x" * (data.MAX_CELL_CHARACTERS + 1))
    assert csv.field_size_limit() == before


def test_the_file_lies_beside_the_config(tmp_path: Path) -> None:
    home, outside = tmp_path / "home", tmp_path / "outside.csv"
    (home / "data").mkdir(parents=True)
    (home / "data/in.csv").write_bytes(USERS)
    outside.write_bytes(USERS)
    (home / "link.csv").symlink_to("data/in.csv")
    (home / "out.csv").symlink_to(outside)
    (home / "loop.csv").symlink_to("loop.csv")
    (home / "folder.csv").mkdir()
    os.mkfifo(home / "pipe.csv")

    for good in ("data/in.csv", "link.csv", str(home / "data/../link.csv")):
        assert read_data(DataKeys(file=good), home).length == 3
    refused = {
        "../outside.csv": "want a file inside ",
        "out.csv": "want a file inside ",
        str(outside): "want a file inside ",
        "loop.csv": "want a readable file, got 'loop.csv': ",
        "absent.csv": "want a readable file, got 'absent.csv': No such file or directory",
        "folder.csv": "want a regular file, got 'folder.csv'",
        "pipe.csv": "want a regular file, got 'pipe.csv'",
        "nul\0.csv": "want a file name without a zero byte, got 'nul\\x00.csv'",
    }
    for file, message in refused.items():
        with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
            read_data(DataKeys(file=file), home)


def users_of(feeder: Feeder, iterations: range, seed: int = 1) -> list[str | None]:
    rows = [feeder.row(n, seed) for n in iterations]
    return [None if row is None else row["user"] for row in rows]


def test_sequential_begins_anew_behind_the_last_row(tmp_path: Path) -> None:
    """Rows are dealt by iteration, not by user: a file may be shorter than the users are many."""
    feeder = read(tmp_path, USERS)

    assert users_of(feeder, range(5)) == ["ann", "bob", "cid", "ann", "bob"]
    assert repr(feeder) == "Feeder('users.csv', 'sequential', 3 rows)"


def test_unique_ends_with_the_last_row(tmp_path: Path) -> None:
    feeder = read(tmp_path, USERS, pick="unique")

    assert users_of(feeder, range(1, 5)) == ["bob", "cid", None, None]


def test_random_depends_on_seed_and_iteration_alone(tmp_path: Path) -> None:
    content = b"user\n" + b"".join(b"u%d\n" % n for n in range(100))
    feeder = read(tmp_path, content, pick="random")
    seeded = read(tmp_path, content, pick="random", seed=1)

    dealt = users_of(feeder, range(200))

    assert users_of(feeder, range(100, 200)) == dealt[100:]
    assert users_of(feeder, range(200), seed=2) != dealt
    assert users_of(seeded, range(200), seed=2) == dealt
    assert len(set(dealt)) > 70


def test_keys_are_judged() -> None:
    with pytest.raises(ValidationError):
        DataKeys(file="a.csv", pick="shuffle")
    with pytest.raises(ValidationError):
        DataKeys(file="")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["a.csv", "a.jsonl", "a.json"]),
    st.binary(max_size=60) | st.text(alphabet='ab,"\n\r{}[]:1 ', max_size=60).map(str.encode),
)
def test_any_file_has_rows_or_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    try:
        feeder = read(tmp_path, content, name)
    except ValueError:
        return
    row = feeder.row(0, 0)
    assert row is not None
    assert set(row) == feeder.columns
