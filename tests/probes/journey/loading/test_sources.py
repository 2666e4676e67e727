"""What any family of journeys has beside its steps: data, variables, what a command gives."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from probes.journey.flaws import Path as FlawPath
from probes.journey.language.data import DataKeys, Feeder
from probes.journey.loading.proof import Origins, Proof
from probes.journey.loading.settings import World
from probes.journey.loading.sources import begin, variables
from tests.probes.journey.scopes import scope


@dataclass
class Keys:
    """The keys of some family."""

    data: DataKeys | None = None


@dataclass
class Made:
    """A proof of nothing but names."""

    proof: Proof = field(
        default_factory=lambda: Proof(
            Origins(secrets={}, columns=None, environ={}, data="", extracted={})
        )
    )

    def values(self, own: dict[str, tuple[str, Any]], **given: str) -> dict[str, Any]:
        """Return the variables as a run would have them."""
        values: dict[str, Any] = {}
        for name, tree in variables(self.proof, own, given):
            values[name] = tree.value(scope(**values))
        return values

    @property
    def flaws(self) -> list[tuple[FlawPath, str]]:
        """Where and what."""
        return [(it.path, it.message) for it in self.proof.flaws]


def _begin(directory: Path, keys: Keys) -> tuple[Proof, Feeder | None]:
    return begin(keys, World(directory, {}, {}, {}), {}, {})


def test_rows_bring_their_columns(tmp_path: Path) -> None:
    (tmp_path / "users.csv").write_text("name,age\nann,7\n")

    proof, feeder = _begin(tmp_path, Keys(DataKeys(file="users.csv")))
    proof.template(("steps", 0, "get"), "/${row.name}/${row.size}")

    assert feeder is not None
    assert feeder.columns == {"name", "age"}
    (flaw,) = proof.flaws
    assert flaw.path == ("steps", 0, "get")
    assert "size" in flaw.message


def test_without_a_file_there_is_no_column(tmp_path: Path) -> None:
    proof, feeder = _begin(tmp_path, Keys())
    proof.template(("steps", 0, "get"), "/${row.name}")

    assert feeder is None
    assert len(proof.flaws) == 1


def test_a_file_that_cannot_be_read_is_told_once(tmp_path: Path) -> None:
    proof, feeder = _begin(tmp_path, Keys(DataKeys(file="users.csv")))

    assert feeder is None
    (flaw,) = proof.flaws
    assert flaw.path == ("data", "file")
    assert "users.csv" in flaw.message


def test_variables_are_made_in_the_order_of_the_file() -> None:
    it = Made()

    assert it.values({"x": ("", 1), "y": ("", ["${x}"])}) == {"x": 1, "y": [1]}
    assert not it.flaws


def test_a_command_replaces_and_adds() -> None:
    it = Made()

    values = it.values({"x": ("", 1), "y": ("", "${x}-${z}")}, x="2", z="${run_id}")

    assert values == {"z": "${run_id}", "x": 2, "y": "2-${run_id}"}
    assert not it.flaws


def test_what_a_command_replaces_is_known_no_earlier() -> None:
    it = Made()

    variables(it.proof, {"y": ("", "${x}"), "x": ("", 1)}, {"x": "2"})

    assert [path for path, _ in it.flaws] == [("vars", "y")]


def test_another_form_is_a_flaw_of_the_variable() -> None:
    it = Made()

    assert it.values({"x": ("", 1)}, x="many") == {"x": "many"}
    assert it.flaws == [(("vars", "x"), "want a number by --var, got 'many'")]


def test_what_an_included_journey_lacks_is_told_with_its_name() -> None:
    it = Made()

    variables(it.proof, {"x": ("login", "${nobody}"), "y": ("", "${nobody}")}, {})

    (theirs, own) = it.flaws
    assert (theirs[0], own[0]) == (("vars", "x"), ("vars", "y"))
    assert "login" in theirs[1]
    assert "login" not in own[1]
