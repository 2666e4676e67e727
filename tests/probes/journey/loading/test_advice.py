"""Advice: what a journey brings along and never reads."""

from pathlib import Path
from typing import Any

import pytest

from probes.journey.loading.advice import advice
from tests.probes.journey.written import made, read

STEPS = [{"name": "a", "get": "/"}]


@pytest.mark.parametrize(
    ("keys", "path", "said"),
    [
        pytest.param({"secrets": {"pw": "secret"}}, ("secrets", "pw"),
                     "want ${secrets.pw} somewhere, got a secret that nothing reads", id="secret"),
        pytest.param({"vars": {"x": 1}}, ("vars", "x"),
                     "want ${x} somewhere, got a variable that nothing reads", id="variable"),
        pytest.param({"data": {"file": "u.csv"}}, ("data",),
                     "want ${row.column} somewhere, got rows that nothing reads", id="rows"),
    ],
)  # fmt: skip
def test_what_nothing_reads_is_told(
    keys: dict[str, Any], path: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    (tmp_path / "u.csv").write_text("user\nann\n")
    values = {**keys, "steps": STEPS}

    (flaw,) = advice(read(values), made(values, directory=tmp_path))

    assert (flaw.path, flaw.message) == (path, said)


@pytest.mark.parametrize(
    ("keys", "url"),
    [
        pytest.param({"secrets": {"pw": "secret"}}, "/${secrets.pw}", id="secret"),
        pytest.param({"vars": {"x": 1}}, "/${x}", id="variable"),
        pytest.param({"vars": {"x": 1}}, "/${vars.x}", id="variable with its space"),
        pytest.param({"data": {"file": "u.csv"}}, "/${row.user}", id="rows"),
        pytest.param({"data": {"file": "u.csv"}}, "/${user}", id="rows without their space"),
        pytest.param({}, "/", id="nothing"),
    ],
)
def test_what_is_read_needs_no_advice(keys: dict[str, Any], url: str, tmp_path: Path) -> None:
    (tmp_path / "u.csv").write_text("user\nann\n")
    values = {**keys, "steps": [{"name": "a", "get": url, "extract": {"unread": "$.x"}}]}

    assert list(advice(read(values), made(values, directory=tmp_path))) == []
