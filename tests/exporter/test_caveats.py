"""What is told about a config that loads, and what of it is news."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.caveats import caveats, news
from probes.config.load import load, load_blackbox
from probes.errors import Problem

ODD = "want a limit, got none"


def problem(path: str, message: str = ODD, *, line: int = 1, file: str = "probes.yaml") -> Problem:
    return Problem(file, line, 1, path, message)


@pytest.mark.parametrize(
    ("before", "now", "fresh"),
    [
        pytest.param([], [problem("a")], [0], id="the first one"),
        pytest.param([problem("a")], [problem("a")], [], id="the same file"),
        pytest.param([problem("a")], [], [], id="mended"),
        pytest.param([problem("a")], [problem("a", line=9)], [], id="a line above it"),
        pytest.param([problem("p.0")], [problem("p.1")], [], id="a probe above it"),
        pytest.param([problem("p.0")], [problem("p.0"), problem("p.1")], [1], id="one below it"),
        pytest.param([problem("p.1")], [problem("p.0"), problem("p.1")], [0], id="one above it"),
        pytest.param([problem("a")], [problem("a", "want b, got c")], [0], id="other words"),
        pytest.param([problem("a")], [problem("a", file="more.yaml")], [0], id="another file"),
        pytest.param([problem("a")] * 2, [problem("a")], [], id="one of two"),
    ],
)
def test_what_was_told_before_is_no_news(
    before: list[Problem], now: list[Problem], fresh: list[int]
) -> None:
    assert news(now, before) == tuple(now[index] for index in fresh)


PROBLEMS = st.lists(
    st.builds(
        problem, st.sampled_from("abc"), st.sampled_from("xyz"), line=st.integers(1, 3)
    ),
    max_size=8,
)  # fmt: skip


@given(PROBLEMS, PROBLEMS)
def test_as_many_are_told_as_there_are_more_of(now: list[Problem], before: list[Problem]) -> None:
    told = news(now, before)

    def counted(problems: list[Problem] | tuple[Problem, ...], word: str) -> int:
        return sum(it.message == word for it in problems)

    for word in "xyz":
        assert counted(told, word) == max(0, counted(now, word) - counted(before, word))
    assert [it for it in now if it in told] == [it for it in now if it in set(told)]
    assert news(now, now) == ()
    assert news(now, []) == tuple(now)


def test_a_probe_file_has_its_warnings(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("version: 1\ninclude: ['more-*.yaml']\n")

    (found,) = caveats(load(path))

    assert str(found).endswith("include.0: want at least one file, got none like 'more-*.yaml'")


def test_a_blackbox_yml_has_its_faults_and_whoever_may_be_reached(tmp_path: Path) -> None:
    path = tmp_path / "blackbox.yml"
    path.write_text(
        "modules: {m: {prober: http, timeout: 5s, http: {basic_auth: {password_ref: v}}}}\n"
    )

    reach, fault = caveats(load_blackbox(path))

    assert str(reach).startswith(f"{path}: /probe takes any target, as blackbox_exporter does")
    assert "want password_file, got password_ref" in fault.message
