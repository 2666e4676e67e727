"""Whatever stands under ``journeys:``, there comes a Config or a ConfigError with lines."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from probes.config.load import load
from probes.errors import ConfigError
from probes.journey.loading.families import FAMILIES, AnyStep
from probes.journey.loading.settings import JourneyKeys

TEXTS = st.sampled_from(
    [
        "", "/", "/x", "http://a/", "ftp://a", "${", "${}", "$${", "${token}", "${row.x}", "2xx",
        "${secrets.s}", "${env('X')}", "${randint(1)}", "${X}", "${X:-${y}}", "1s", "1s..3s", "$",
        "$.a", "$..[?@.a]", "(", "a", "é\\u0000", "${item} == 1", "shop", "other", "${" * 40,
    ]
)  # fmt: skip
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 2000), st.floats(allow_nan=False), TEXTS
)
MODELS: tuple[type[BaseModel], ...] = (*FAMILIES, JourneyKeys)
OWN_KEYS = {it.alias or name for model in MODELS for name, it in model.model_fields.items()}
BELOW = [
    "status", "json", "until", "every", "times", "over", "url", "query", "dialog", "send", "kind",
    "target", "method", "x", "<",
]  # fmt: skip
KEYS = sorted({*OWN_KEYS, *BELOW})
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=12,
)
TOLD_BY = [key for family in FAMILIES for key in family.told_by]
NAMES = st.sampled_from(["a", "b", "c"])
STEPS = st.one_of(
    st.dictionaries(st.sampled_from([*TOLD_BY, "name", "expect", "extract", "if"]), VALUES),
    st.builds(lambda name, key, value: {"name": name, key: value},
              NAMES, st.sampled_from(TOLD_BY), VALUES),
    st.builds(lambda name, url, key, value: {"name": name, "get": url, key: value},
              NAMES, TEXTS, st.sampled_from(KEYS), VALUES),
)  # fmt: skip
JOURNEYS = st.one_of(
    VALUES,
    st.fixed_dictionaries(
        {"steps": st.lists(STEPS, max_size=4)},
        optional=dict.fromkeys(["vars", "secrets", "http", "data", "cleanup", "timeout"], VALUES),
    ),
)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("any") / "probes.yaml"


def outcome(path: Path) -> str:
    try:
        load(path, environ={"X": "x"})
    except ConfigError as error:
        return "told" if all(it.line > 0 for it in error.problems) else "told without a line"
    return "taken"


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(st.sampled_from(["shop", "other", "Bad"]), JOURNEYS, max_size=2))
@example({"shop": {"steps": [{"name": "a", "get": "/", "extract": {"a": 1}}]}})
@example({"shop": {"steps": [{"include": "shop"}], "cleanup": [{"include": "other"}]}})
def test_any_journeys_are_taken_or_told(file: Path, journeys: dict[str, Any]) -> None:
    # JSON is YAML, but for what JSON cannot say
    file.write_text(json.dumps({"version": 1, "journeys": journeys}), encoding="utf-8")

    assert outcome(file) in ("taken", "told")


def test_the_families_are_those_of_the_union() -> None:
    union = AnyStep.__origin__.__args__  # type: ignore[attr-defined]

    assert [member.__origin__ for member in union] == list(FAMILIES)
