"""What a module lets a request say: each type of parameter, and each mistake about one."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.config.load import Config, load
from probes.config.parameters import CLOSED, Opening, Parameter
from probes.errors import ConfigError
from probes.kinds.dns import Dns

Load = Callable[[str], Config]


@pytest.fixture
def load_module(tmp_path: Path) -> Load:
    def load_module(keys: str) -> Config:
        path = tmp_path / "p.yaml"
        path.write_text(
            f"version: 1\nmodules:\n  m: {{kind: dns, query_name: a.example, {keys}}}\n"
        )
        return load(path, environ={})

    return load_module


@pytest.mark.parametrize(
    ("keys", "text", "wanted"),
    [
        pytest.param({"type": "enum", "values": ["A", "MX"]}, "MX", "MX", id="one of some"),
        pytest.param(
            {"type": "enum", "values": ["A", "MX"]}, "X", "want one of A, MX, got 'X'", id="none"
        ),
        pytest.param({"type": "bool"}, "true", True, id="true"),
        pytest.param({"type": "bool"}, "1", "want true or false, got '1'", id="no bool"),
        pytest.param({"type": "int", "min": 1, "max": 9}, "9", 9, id="a number"),
        pytest.param({"type": "int", "max": 9}, "10", "want at most 9, got '10'", id="too great"),
        pytest.param({"type": "int", "min": 1}, "-1", "want at least 1, got '-1'", id="too small"),
        pytest.param({"type": "int"}, "1_0", "want a whole number, got '1_0'", id="no number"),
        pytest.param({"type": "duration", "max": "5s"}, "500ms", "500ms", id="a duration"),
        pytest.param(
            {"type": "duration", "max": "5s"}, "1m", "want at most 5s, got '1m'", id="too long"
        ),
        pytest.param({"type": "hostname"}, "a-1.example", "a-1.example", id="a host name"),
        pytest.param({"type": "hostname"}, "a b", "want a host name, got 'a b'", id="no host name"),
        pytest.param({"type": "hostname"}, "-a.b", "want a host name, got '-a.b'", id="a dash"),
        pytest.param(
            {"type": "hostname", "pattern": r"[a-z]+\.example"},
            "a.example.org",
            r"want a text that matches [a-z]+\.example, got 'a.example.org'",
            id="a pattern must match as a whole",
        ),
        pytest.param({"type": "string", "pattern": "a|ab"}, "ab", "ab", id="the longer way counts"),
        pytest.param(
            {"type": "string", "pattern": "(?s).*"},
            "x" * 257,
            "want at most 256 characters, got 257",
            id="too long a text",
        ),
    ],
)
def test_a_value_is_read_by_its_type(keys: Mapping[str, object], text: str, wanted: object) -> None:
    parameter = Parameter.model_validate(keys)

    if isinstance(wanted, str) and wanted.startswith("want"):
        with pytest.raises(ValueError, match="want") as caught:
            parameter.read(text)
        assert str(caught.value) == wanted
    else:
        assert parameter.read(text) == wanted


@given(st.sampled_from(["string", "hostname", "int", "duration", "enum", "bool"]), st.text())
def test_any_text_is_read_or_refused(kind: str, text: str) -> None:
    more: dict[str, dict[str, object]] = {
        "string": {"pattern": "[a-z]*"},
        "enum": {"values": ["A"]},
    }
    keys: dict[str, object] = {"type": kind, **more.get(kind, {})}

    with suppress(ValueError):
        Parameter.model_validate(keys).read(text)


def test_a_request_makes_another_kind(load_module: Load) -> None:
    config = load_module("params: {query_type: {type: enum, values: [A, MX]}}, recursion: false")
    module = config.modules["m"]
    assert isinstance(module.settings, Dns)

    settings = module.opening.read({"query_type": "MX"})
    kind = module.opening.kind(module.settings, settings)

    assert isinstance(kind, Dns)
    assert (kind.query_type, kind.query_name, kind.recursion) == ("MX", "a.example", False)
    assert module.settings.query_type == "A", "the module itself stays"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        pytest.param(
            {"query_type": "X"}, "parameter query_type: want one of A, MX, got 'X'", id="a value"
        ),
        pytest.param(
            {"querytype": "A"},
            "parameter 'querytype': want one of the module's, got it; did you mean 'query_type'?",
            id="a name",
        ),
    ],
)
def test_what_a_request_may_not_say(load_module: Load, given: dict[str, str], text: str) -> None:
    opening = (
        load_module("params: {query_type: {type: enum, values: [A, MX]}}").modules["m"].opening
    )

    with pytest.raises(ValueError, match="parameter") as caught:
        opening.read(given)

    assert str(caught.value) == text


def test_a_value_that_the_kind_refuses_is_told(load_module: Load) -> None:
    module = load_module("params: {query_type: {type: string, pattern: '.*'}}").modules["m"]
    assert module.settings is not None

    with pytest.raises(ValueError, match=r"^parameter query_type: want"):
        module.opening.kind(module.settings, module.opening.read({"query_type": "NOSUCH"}))


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        pytest.param(
            "params: {tls: {type: bool}}",
            "p.yaml:3: modules.m.params.tls: want a parameter of the kind dns"
            " (query_name, query_type, query_class, recursion, ip), got 'tls'",
            id="nothing that the kind lists",
        ),
        pytest.param(
            "params: {target: {type: bool}}",
            "p.yaml:3: modules.m.params.target: want a name that /probe does not use itself, got"
            " 'target'",
            id="a name of ours",
        ),
        pytest.param(
            "params: {query_name: {type: string}}",
            "p.yaml:3: modules.m.params.query_name: want a pattern beside type: string, got none",
            id="a text of any form",
        ),
        pytest.param(
            "params: {query_name: {type: enum}}",
            "p.yaml:3: modules.m.params.query_name: want values beside type: enum, got none",
            id="no values",
        ),
        pytest.param(
            "params: {recursion: {type: bool, min: 1}}",
            "p.yaml:3: modules.m.params.recursion: want neither min nor max beside type: bool, got"
            " one",
            id="a bound of nothing",
        ),
        pytest.param(
            "credentials_for: ['']",
            "p.yaml:3: modules.m.credentials_for: want globs over host names such as"
            " *.example.org, got an empty one",
            id="an empty glob",
        ),
    ],
)
def test_mistakes_are_told_where_they_stand(load_module: Load, keys: str, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_module(keys)

    (problem,) = caught.value.problems
    assert str(problem).endswith(text)


@pytest.mark.parametrize(
    ("host", "trusted"),
    [("a.example", True), ("A.Example.", True), ("example", False), ("a.example.org", False)],
)
def test_secrets_go_to_the_hosts_that_are_named(host: str, trusted: bool) -> None:
    assert Opening(credentials_for=("*.example",)).trusts(host) is trusted
    assert not CLOSED.trusts(host)


def test_a_probe_takes_over_the_settings_and_not_what_a_request_may_say(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(
        "version: 1\nmodules:\n  m: {kind: dns, query_name: a.example, credentials_for: [x],"
        " params: {recursion: {type: bool}}}\n"
        "probes: [{name: it, module: m, target: '127.0.0.1:53'}]\n"
    )

    assert load(path, environ={}).probes[0].module == "m"
