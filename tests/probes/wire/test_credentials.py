"""Credentials in files: read for every run, off the loop, and hidden."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.redact import MAX_SECRET_FILE_BYTES, Secret
from probes.result import Reason
from probes.wire.credentials import Credential, LateText, SecretFile, read_credential, read_line

Write = Callable[[str | bytes], Path]
CREDENTIAL: TypeAdapter[Secret | SecretFile] = TypeAdapter(Credential)
TEXT: TypeAdapter[str | Secret | SecretFile] = TypeAdapter(LateText)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Put a text into the file."""

    def put(text: str | bytes) -> Path:
        path = tmp_path / "token"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return put


@pytest.fixture
def token(write: Write) -> SecretFile:
    return SecretFile(str(write("first\n")))


async def test_a_file_is_read_anew_for_every_run(token: SecretFile, write: Write) -> None:
    recorder = Recorder()
    assert await read_credential(token, recorder) == "first"
    os.replace(write(" \tsecond \r\n"), token.path)  # noqa: PTH105 - as who rotates it
    assert await read_credential(token, recorder) == "second"
    assert recorder.secrets == ["first", "second"]


async def test_what_stands_in_the_settings_needs_no_file() -> None:
    recorder = Recorder()
    assert await read_credential("plain", recorder) == "plain"
    assert await read_credential(Secret("hidden"), recorder) == "hidden"
    assert recorder.secrets == []


@pytest.fixture(params=["missing", "empty", "large", "binary", "directory", "fifo"])
def broken(request: pytest.FixtureRequest, tmp_path: Path, write: Write) -> tuple[str, str]:
    """A path where no secret is, and what is said of it."""
    path = tmp_path / "token"
    if request.param == "missing":
        return str(path), f"want a readable secret file, got {path}: No such file or directory"
    if request.param == "directory":
        return str(tmp_path), f"want a regular secret file, got {tmp_path}"
    if request.param == "fifo":
        os.mkfifo(path)
        return str(path), f"want a regular secret file, got {path}"
    content = {"empty": b" \n", "large": b"x" * (MAX_SECRET_FILE_BYTES + 1), "binary": b"\xff\xfe"}
    text = {
        "empty": f"want a secret that is not empty, got an empty file {path}",
        "large": f"want a secret file of at most 65536 bytes, got {path}",
        "binary": f"want a secret file in UTF-8, got {path}",
    }
    return str(write(content[request.param])), text[request.param]


async def test_a_file_that_cannot_be_used_is_our_own_fault(broken: tuple[str, str]) -> None:
    path, message = broken
    with pytest.raises(CheckFailed) as caught:
        await read_credential(SecretFile(path), Recorder())
    assert (caught.value.reason, caught.value.message) == (Reason.CONFIG, message)


@pytest.fixture
def two_lines(write: Write) -> SecretFile:
    return SecretFile(str(write("one\nX-Evil: two")))


async def test_a_header_takes_one_line(two_lines: SecretFile) -> None:
    with pytest.raises(CheckFailed) as caught:
        await read_line(two_lines, Recorder())
    assert caught.value.message == (f"want a secret of one line in {two_lines.path}, got several")


def test_a_path_stands_beside_the_probe_file_and_is_looked_at(tmp_path: Path) -> None:
    seen: set[Path] = set()
    context = {"directory": str(tmp_path), "secret_files": seen}
    value = CREDENTIAL.validate_python({"file": "token", "every_run": True}, context=context)
    assert value == SecretFile(str(tmp_path / "token"))
    assert seen == {tmp_path / "token"}
    assert CREDENTIAL.dump_python(value) == {"file": str(tmp_path / "token"), "every_run": True}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"every_run": True}, "want every_run beside a file, got it without one"),
        ({"env": "A", "every_run": True}, "want every_run beside a file, got it without one"),
        ({"file": "a", "every_run": "yes"}, "want every_run: true or none at all"),
        ({"file": "/no/such"}, "want a readable secret file"),
        (5, "got a number: put it in quotes"),
    ],
)
def test_another_spelling_is_a_mistake(value: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        CREDENTIAL.validate_python(value)


def test_a_text_stays_a_text() -> None:
    assert TEXT.validate_python("plain") == "plain"
    assert TEXT.validate_python(2) == "2"
    assert TEXT.validate_python({"env": "A"}, context={"environ": {"A": "b"}}) == Secret("b")
    assert TEXT.dump_python("plain") == "plain"
    assert isinstance(CREDENTIAL.validate_python("plain"), Secret)
