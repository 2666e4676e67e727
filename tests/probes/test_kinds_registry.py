"""Kinds are found by name; kinds of other packages only when they are allowed."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from probes.extras import wanted
from probes.kind import Kind
from probes.kinds import (
    Glance,
    _glance,
    discover,
    find_kind,
    glances,
    kind_names,
    missing_extra,
    release_kinds,
)
from tests.probes.config.conftest import DEMO_KIND, METADATA

# other names than those of the package that the tests of the config install
THIRD_KIND = DEMO_KIND.replace('"demo"', '"third"').replace('"bare"', '"driven"')
THIRD_ENTRY_POINTS = """[sonde.kinds]
third = sonde_third:Demo
driven = sonde_third:Bare
gone = sonde_third:Gone
other = sonde_third:Demo
group = sonde_third:Tls
syntax = sonde_syntax:Kind
fails = sonde_fails:Kind
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "sonde_third.py").write_text(THIRD_KIND)
    (tmp_path / "sonde_syntax.py").write_text("def (")
    (tmp_path / "sonde_fails.py").write_text("raise ValueError('no licence')")
    info = tmp_path / "sonde_third-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(METADATA.replace("sonde-demo", "sonde-third"))
    (info / "entry_points.txt").write_text(THIRD_ENTRY_POINTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in ("sonde_third", "sonde_syntax", "sonde_fails"):
        sys.modules.pop(name, None)


def test_every_kind_of_our_own_is_found_under_the_name_of_its_file() -> None:
    assert {"http", "tcp"} <= set(kind_names())
    for name, kind in discover().items():
        assert kind.name == name
        assert kind.__module__ == f"probes.kinds.{name}"


def test_looking_for_one_kind_imports_no_other() -> None:
    script = (
        "import json, sys; from probes.kinds import find_kind, kind_names; kind_names();"
        "find_kind('tcp');"
        "print(json.dumps([m for m in sys.modules if m.startswith('probes.kinds.')]))"
    )

    run = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)

    assert json.loads(run.stdout) == ["probes.kinds.tcp"]


def test_a_kind_of_another_package_is_found_when_it_is_allowed(site: Path) -> None:
    kind = find_kind("third", allowed=["third"])

    assert issubclass(kind, Kind)
    assert kind.__module__ == "sonde_third"
    assert "third" in discover(allowed=["third"])


def test_a_kind_that_is_not_allowed_is_not_even_imported(site: Path) -> None:
    """T69: an entry point of another package is off until the file names it."""
    with pytest.raises(ValueError, match="allows") as caught:
        find_kind("third")

    assert str(caught.value) == "want a kind that prober.kinds allows, got 'third'"
    assert "sonde_third" not in sys.modules


def test_our_own_kind_wins_over_one_of_the_same_name(site: Path) -> None:
    entry_points = site / "sonde_third-1.0.dist-info" / "entry_points.txt"
    entry_points.write_text("[sonde.kinds]\ntcp = sonde_third:Demo\n")

    assert find_kind("tcp", allowed=["tcp"]).__module__ == "probes.kinds.tcp"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("htpp", "want a kind, got 'htpp'; did you mean 'http'?", id="misspelt"),
        pytest.param("gone", "want the kind 'gone' to load, got AttributeError", id="no class"),
        pytest.param("syntax", "want the kind 'syntax' to load, got SyntaxError", id="syntax"),
        pytest.param(
            "fails", "want the kind 'fails' to load, got ValueError: no licence", id="raises"
        ),
        pytest.param("other", "want a Kind with name = 'other', got", id="other name"),
        pytest.param("group", "want a Kind with name = 'group', got", id="no kind"),
    ],
)
def test_what_cannot_be_loaded_is_named(site: Path, name: str, message: str) -> None:
    with pytest.raises(ValueError, match="want") as caught:
        find_kind(name, allowed=["gone", "syntax", "fails", "other", "group"])

    assert str(caught.value).startswith(message)


def test_a_word_like_none_of_them_lists_the_kinds() -> None:
    with pytest.raises(ValueError, match="want a kind") as caught:
        find_kind("xyzzy")

    assert str(caught.value) == f"want a kind, got 'xyzzy' ({', '.join(kind_names())})"


def test_two_packages_with_the_same_kind_are_refused(site: Path) -> None:
    info = site / "sonde_fourth-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(METADATA.replace("sonde-demo", "sonde-fourth"))
    (info / "entry_points.txt").write_text("[sonde.kinds]\ntwice = sonde_third:Demo\n")
    third = site / "sonde_third-1.0.dist-info" / "entry_points.txt"
    third.write_text("[sonde.kinds]\ntwice = sonde_third:Demo\n")

    with pytest.raises(ValueError, match="want") as caught:
        find_kind("twice", allowed=["twice"])

    assert str(caught.value) == "want one package that brings the kind 'twice', got 2"


def test_a_missing_driver_is_told_with_the_command_that_installs_it(site: Path) -> None:
    bare = find_kind("driven", allowed=["driven"])

    assert missing_extra(bare) == wanted("driven")
    assert missing_extra(find_kind("third", allowed=["third"])) is None
    assert missing_extra(find_kind("tcp")) is None


class Shared(Kind):
    """A kind whose runs share something."""

    name = "shared"
    released: ClassVar[int] = 0

    @classmethod
    async def release(cls) -> None:
        cls.released += 1


async def test_what_runs_share_is_released_of_every_kind_that_was_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("probes.kinds._own_kind", lambda _: Shared)
    monkeypatch.setattr("probes.kinds._found", set())
    monkeypatch.setattr(Shared, "released", 0)

    await release_kinds()
    assert Shared.released == 0

    assert find_kind("tcp") is Shared
    await release_kinds()
    assert Shared.released == 1


def test_a_glance_says_what_the_class_says() -> None:
    assert glances() == [
        Glance(kind.name, (kind.__doc__ or "").partition("\n")[0], kind.requires, kind.driver)
        for kind in discover().values()
    ]


@pytest.mark.slow
def test_a_list_of_kinds_imports_none() -> None:
    code = (
        "import json, sys; from probes.kinds import glances; glances();"
        "print(json.dumps([m for m in sys.modules if m.startswith('probes.kinds.')]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=True
    )

    assert json.loads(done.stdout) == []


def test_a_glance_at_a_file_without_its_kind_says_so() -> None:
    with pytest.raises(ValueError, match=r"^want a class with name = 'tcp' in tcp.py, got none$"):
        _glance("tcp", b"name = 'tcp'\nclass Udp: name = 'udp'\n")
