"""Where the values of a journey come from, whatever its family: secrets, a file of data, variables.

Knows no step.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from probes.journey.flaws import Flaw, Path
from probes.journey.language.data import DataKeys, Feeder, read_data
from probes.journey.language.expression import Tree, literal
from probes.journey.loading.overrides import overridden
from probes.journey.loading.proof import Origins, Proof
from probes.journey.loading.settings import World
from probes.redact import Secret


class Keys(Protocol):
    """What every family of journeys has."""

    @property
    def data(self) -> DataKeys | None:
        """A file of data."""
        ...


def begin(
    keys: Keys, world: World, secrets: Mapping[str, Secret], extracted: Mapping[str, Any]
) -> tuple[Proof, Feeder | None]:
    """Return the proof of a journey, and its rows; what is wrong with the file is in the proof.

    Args:
        keys: of the journey.
        world: what else it may reach.
        secrets: by name.
        extracted: see `Origins`.
    """
    feeder, flaw = None, None
    if keys.data is not None:
        try:
            feeder = read_data(keys.data, world.directory)
        except ValueError as error:
            flaw = Flaw(("data", "file"), str(error))
    proof = Proof(
        Origins(
            secrets=secrets,
            columns=None if feeder is None else feeder.columns,
            environ=world.environ,
            data="" if keys.data is None else keys.data.file,
            extracted=extracted,
        )
    )
    if flaw is not None:
        proof.flaws.append(flaw)
    return proof, feeder


def variables(
    proof: Proof, own: Mapping[str, tuple[str, Any]], given: Mapping[str, str]
) -> list[tuple[str, Tree]]:
    """Return ``vars:`` with what ``--var`` says instead, in the order of the file.

    Args:
        proof: of the journey.
        own: name -> the included journey that brings it (empty: the journey itself), and its value.
        given: by ``--var``.
    """
    found: list[tuple[str, Tree]] = []
    for key, text in given.items():
        if key not in own:
            found.append((key, proof.tree(("vars",), literal(text))))
            proof.declare(key)
    for key, (owner, written) in own.items():
        path: Path = ("vars", key)
        value = _overridden(proof, path, written, given[key]) if key in given else written
        if owner:
            with proof.guest(path, owner):
                found.append((key, proof.tree(path, value)))
        else:
            found.append((key, proof.tree(path, value)))
        proof.declare(key)
    return found


def _overridden(proof: Proof, path: Path, value: Any, text: str) -> Any:
    return proof.made(path, lambda: overridden(value, text), literal(text))
