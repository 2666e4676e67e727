"""What is refused before any code of a user runs."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from probes.journey.flaws import Flawed
from probes.journey.loading.settings import World
from probes.journey.script.compile import Script, compile_script
from probes.journey.script.settings import ScriptKeys

GOOD = "async def play(user):\n    ...\n"


def make(directory: Path, file: str = "shop.py", **keys: Any) -> Script:
    python = {"file": file, "function": "play", **keys.pop("python", {})}
    made = ScriptKeys.model_validate({"python": python, **keys})
    return compile_script("shop-py", made, World(directory, environ={"REGION": "eu"}))


@pytest.mark.parametrize(
    ("file", "code", "message"),
    [
        pytest.param(
            "shop.py", "async def play(user):\n    x = = 1\n",
            "shop.py:2: want Python, got 'invalid syntax'", id="syntax",
        ),
        pytest.param(
            "shop.py", "def play(user): ...\n",
            "shop.py:1: want `async def play`, got a plain def", id="plain def",
        ),
        pytest.param(
            "shop.py", "async def pay(user): ...\n",
            "want an `async def play(user)` in shop.py, got none (pay)", id="no such function",
        ),
        pytest.param(
            "shop.py", "async def play(): ...\n",
            "shop.py:1: want one argument, the user, got 0", id="no argument",
        ),
        pytest.param(
            "json.py", GOOD, "want a name that is no module of Python itself, got 'json.py'",
            id="name of a module",
        ),
        pytest.param(
            "shop.txt", GOOD, "want a file that ends in .py, got 'shop.txt'", id="no Python",
        ),
        pytest.param(
            "shop.py", "# " + "x" * 2**20, "shop.py: want at most 1MiB, got more", id="too large",
        ),
        pytest.param("shop.py", "x = '\0'", None, id="zero byte"),
    ],
)  # fmt: skip
def test_code_is_judged_without_running_it(
    tmp_path: Path, file: str, code: str, message: str | None
) -> None:
    (tmp_path / file).write_text(code)

    with pytest.raises(Flawed) as refused:
        make(tmp_path, file)

    (flaw,) = refused.value.flaws
    assert message is None or flaw.message == message
    assert flaw.path[0] == "python"


def test_nothing_of_the_code_runs_at_load(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n{GOOD}")

    make(tmp_path)

    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("file", ["../shop.py", "link.py", "/etc/shop.py"])
def test_code_stands_beside_the_probe_file(tmp_path: Path, file: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "shop.py").write_text(GOOD)
    (home / "link.py").symlink_to(tmp_path / "shop.py")

    with pytest.raises(Flawed, match="want a file inside"):
        make(home, file)


def test_a_file_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(Flawed, match=r"want a regular file, got 'shop.py'"):
        make(tmp_path)


def test_what_the_code_may_see_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(GOOD)

    assert make(tmp_path, python={"env": ["REGION"]}).environ == (("REGION", "eu"),)
    with pytest.raises(Flawed, match="want the environment variable GONE to be set, got none"):
        make(tmp_path, python={"env": ["GONE"]})


@pytest.mark.parametrize("name", ["LD_PRELOAD", "PYTHONSTARTUP", "PYTHONPATH", "PATH"])
def test_the_file_cannot_change_the_interpreter(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValidationError, match="does not change the child itself"):
        make(tmp_path, python={"env": [name]})


def test_scripts_are_equal_as_long_as_their_code_is(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(GOOD)
    first, same = make(tmp_path), make(tmp_path)

    (tmp_path / "shop.py").write_text(GOOD + "# more\n")

    assert first == same
    assert hash(first) == hash(same)
    assert make(tmp_path) != first
