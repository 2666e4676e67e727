"""Rows of mistakes in journeys as a text: `## id`, what stands in the file, `> what is said`."""

from typing import Any

import pytest

HEAD = "version: 1\njourneys:\n"


def rows(text: str) -> list[Any]:
    """Return each row of *text*; ``~`` stands for ``journeys.shop.``."""
    found: list[Any] = []
    for row in text.strip("\n").removeprefix("## ").split("\n## "):
        name, _, rest = row.partition("\n")
        lines = rest.split("\n")
        said = [line.removeprefix("> ") for line in lines if line.startswith("> ")]
        body = "\n".join(line for line in lines if not line.startswith("> "))
        said = [f"probes.yaml:{line.replace('~', 'journeys.shop.')}" for line in said]
        found.append(pytest.param(f"{body}\n", said, id=name))
    return found
