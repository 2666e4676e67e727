"""Keys of the first level that somebody above the probes reads: what they are given to judge by.

    Further        key, schema, reader: handed to `probes.config.load.load`
    Around         what else the files say

Light: whoever only names a `Further` imports neither pydantic nor a section. Knows no such key.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel

    from probes.config.journeys import Journeys
    from probes.config.mistakes import Mistakes, Place
    from probes.config.sections import Sections
    from probes.probe import Probe


@dataclass(frozen=True, slots=True)
class Around:
    """What a further key is judged by.

    Args:
        directory: of the main file; relative paths begin there.
        environ: for ``{env: NAME}``.
        sections: of the main file.
        journeys: of all files, those with mistakes too.
        probes: those without a mistake.
        names: of all probes, those with mistakes too; of a list of targets, that of the list.
        mistakes: where they go.
        secrets: texts that no outlet may show are added here.
        files: what is read beside the probe files is added here.
    """

    directory: Path
    environ: Mapping[str, str]
    sections: "Sections"
    journeys: "Journeys"
    probes: "Sequence[Probe]"
    names: Collection[str]
    mistakes: "Mistakes"
    secrets: set[str] = field(default_factory=set)
    files: set[Path] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Further:
    """One key of the first level, which holds named entries.

    Args:
        key: in the file.
        description: for the schema.
        model: returns the class of one entry.
        names: pattern of the names of entries.
        read: makes something of what each file holds below the key; only called when one does.
        nothing: what `read` would give when no file has the key.
    """

    key: str
    description: str
    model: "Callable[[], type[BaseModel]]"
    names: str
    read: "Callable[[Sequence[tuple[Any, Place]], Around], Any]"
    nothing: Any
