"""The pages say what the code does: generated ones are fresh, examples load, links lead on."""

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from exporter.cli import app, with_command
from exporter.commands.oneshot import probe_from_words
from probes.config.load import load
from probes.config.sections import SECTION_KEYS, CommonKeys, Sections
from probes.kinds import discover
from probes.settings import Settings
from scripts.docs import PAGES, ROOT, main, stale

WRITTEN = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/index.md", "docs/config.md",
           "docs/design.md", "docs/security.md", "docs/chains.md", "docs/journeys.md",
           "docs/journeys-python.md", "docs/load.md", "docs/blackbox.md", "docs/alerts.md",
           "docs/coming-from.md")  # fmt: skip
BLOCK = re.compile(r"^```yaml probes\.yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PLACES = (*WRITTEN, *PAGES, "probes.yaml")
COMMANDS: Any = get_command(app)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)")


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_generated_page_is_what_the_code_says_now() -> None:
    assert stale() == [], "run make docs"


def test_the_generator_refuses_what_it_does_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--chekc"]) == 2
    assert "usage: python -m scripts.docs [--check], got --chekc" in capsys.readouterr().err


def test_every_page_is_written_by_hand_or_by_the_generator() -> None:
    found = {f"docs/{path.name}" for path in (ROOT / "docs").iterdir() if path.is_file()}

    assert found - {"docs/conftest.py"} == {
        name for name in (*WRITTEN, *PAGES) if name.startswith("docs/") and name.count("/") == 1
    }


@pytest.mark.parametrize("name", [*WRITTEN, "docs/kinds.md"])
def test_a_link_leads_to_a_file(name: str) -> None:
    targets = LINK.findall(text(name))

    assert [link for link in targets if not (ROOT / name).parent.joinpath(link).exists()] == []


@pytest.mark.parametrize("name", [name for name in WRITTEN if name.startswith("docs/")])
def test_a_page_names_the_sources_that_it_describes(name: str) -> None:
    found = re.match(r"<!-- source_paths: (.+) -->\n", text(name))

    if found is None:
        assert name == "docs/index.md"
    else:
        assert [path for path in found[1].split() if not (ROOT / path).exists()] == []


def test_the_example_of_the_readme_loads(tmp_path: Path) -> None:
    (block,) = BLOCK.findall(text("README.md"))
    (tmp_path / "probes.yaml").write_text(block)

    config = load(tmp_path / "probes.yaml", environ={})

    assert [probe.kind.name for probe in config.probes] == ["http", "postgres", "redis", "host"]


def test_every_make_that_is_shown_has_its_target() -> None:
    targets = set(re.findall(r"^(\w+):", text("Makefile"), re.MULTILINE))
    shown = {
        name: re.findall(r"(?:`|^\$ |^(?:\w+=\w+ )*)make (\w+)", text(name), re.MULTILINE)
        for name in (*PLACES, ".ci/run")
    }

    assert shown["README.md"] == ["run", "test", "demo", "demo"]
    assert shown[".ci/run"] == ["test", "check"]
    assert {
        name: set(found) - targets for name, found in shown.items() if set(found) - targets
    } == {}


def command_lines(page: str) -> set[str]:
    """Return the calls of sonde that *page* shows: in its sentences, listings and comments."""
    known = "|".join(command for command in COMMANDS.commands)
    found = re.findall(
        r"`(sonde [^`]+)`"  # in a sentence
        r"|^(?:\$ )?(sonde .+?)(?:  |$)"  # in a listing
        r"|^# {2,}(sonde .+?)(?:  |$)"  # in a listing that is a comment
        rf"|\S +# (sonde (?:{known})\b.*)$",  # behind a line of YAML
        page,
        re.MULTILINE,
    )
    return {line for each in found for line in each if line}


def test_a_call_is_found_wherever_it_is_shown() -> None:
    page = (
        "say `sonde x y`\n$ sonde a  # b\nsonde c\n#   sonde d e   f\nk: v # sonde lint g\n"
        "# sonde is told apart\nk: v # sonde is not\n"
    )

    assert command_lines(page) == {
        "sonde x y", "sonde a", "sonde c", "sonde d e", "sonde lint g",
    }  # fmt: skip


def understood(line: str) -> None:
    """Read a call as the program does; what it does not understand raises."""
    words = with_command(shlex.split(re.split(r" [>|] ", line)[0])[1:])

    with COMMANDS.make_context("sonde", words, resilient_parsing=True) as root:
        name, command, rest = COMMANDS.resolve_command(root, words)
        parent = root
        while rest and isinstance(command, TyperGroup):
            parent = command.make_context(name, list(rest), parent=parent, resilient_parsing=True)
            name, command, rest = command.resolve_command(parent, rest)
        assert command is not None
        if not rest:
            return  # the command is named, not called
        # raises for an unknown flag, a wrong choice, a word too many or too few
        given = command.make_context(name, list(rest), parent=parent).params

    if given.get("kind") and given.get("target"):
        probe = probe_from_words(given["kind"], given["target"], given["settings"] or [], 5.0)
        assert probe.kind.name == given["kind"]


@pytest.mark.parametrize(
    "line", sorted({line for name in PLACES for line in command_lines(text(name))})
)
def test_every_call_that_is_shown_is_understood(line: str) -> None:
    understood(line)


def test_the_pages_show_calls() -> None:
    shown = [name for name in PLACES if command_lines(text(name))]

    assert {"README.md", "docs/cli.md", "docs/config.md", "CHANGELOG.md", "probes.yaml"} <= set(
        shown
    )


@pytest.mark.parametrize("name", WRITTEN)
def test_nobody_is_sent_to_a_stranger_of_our_name(name: str) -> None:
    """The public index of packages has another project under the name sonde."""
    assert re.findall(r"pip install .?sonde\b(?!\[\w+\] @).*", text(name)) == []


def test_the_readme_is_short() -> None:
    assert len(text("README.md").splitlines()) < 80


def test_the_shipped_file_loads_without_a_warning() -> None:
    config = load(ROOT / "probes.yaml", environ={})

    assert config.probes
    assert config.warnings == ()


def test_what_ships_needs_the_extra_standard_at_most() -> None:
    extras = tomllib.loads(text("pyproject.toml"))["project"]["optional-dependencies"]
    standard = set(re.findall(r"\[(.*)\]", extras["standard"][0])[0].split(","))
    shipped = [load(ROOT / "probes.yaml", environ={})]

    needed = {probe.kind.requires for config in shipped for probe in config.probes}

    assert needed - {None} <= standard
    assert {kind.requires for kind in discover().values()} - {None} <= set(extras)


def test_the_guide_names_every_common_key() -> None:
    guide = text("docs/config.md")

    assert [key for key in CommonKeys.model_fields if not re.search(rf"\b{key}\b", guide)] == []


def test_the_guide_names_every_key_of_every_section() -> None:
    guide = text("docs/config.md")
    keys = {
        f"{section}.{key}"
        for section in SECTION_KEYS - {"probe_policy"}
        if isinstance(settings := Sections.model_fields[section].annotation, type)
        and issubclass(settings, Settings)
        for key in settings.model_fields
    }

    assert keys
    assert [key for key in sorted(keys) if f"`{key}`" not in guide] == []


def test_the_reference_has_a_section_for_every_kind() -> None:
    sections = re.findall(r"^## (\w+)$", text("docs/kinds.md"), re.MULTILINE)

    assert sections == list(discover())
