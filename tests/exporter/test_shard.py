"""Which process owns which probe."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.shard import owner, share
from probes.kind import Kind
from probes.probe import Probe


class Nothing(Kind):
    """Does nothing."""

    name = "nothing"


def probes(*names: str, **depends_on: tuple[str, ...]) -> list[Probe]:
    return [Probe(name, Nothing(), "t", depends_on=depends_on.get(name, ())) for name in names]


@given(st.lists(st.text(max_size=8), unique=True, max_size=30), st.integers(1, 8))
def test_every_probe_has_exactly_one_owner(names: list[str], count: int) -> None:
    shares = [share(probes(*names), index, count) for index in range(1, count + 1)]

    assert sorted(probe.name for part in shares for probe in part) == sorted(names)


def test_shares_are_even_and_a_lost_node_moves_only_its_own() -> None:
    names = [f"probe-{n}" for n in range(2000)]

    eight = {name: owner(name, 8) for name in names}
    seven = {name: owner(name, 7) for name in names}

    sizes = [list(eight.values()).count(node) for node in range(1, 9)]
    assert min(sizes) > 200
    assert max(sizes) < 300
    assert all(seven[name] == eight[name] for name in names if eight[name] != 8)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_probes_that_depend_on_each_other_stay_together(count: int) -> None:
    tied = probes(*"abcdef", a=("b",), c=("b",), e=("f",))

    groups = [{probe.name for probe in share(tied, i, count)} for i in range(1, count + 1)]

    assert all(group >= {"a", "b", "c"} or not group & {"a", "b", "c"} for group in groups)
    assert all(group >= {"e", "f"} or not group & {"e", "f"} for group in groups)


def test_one_shard_owns_all_in_their_order() -> None:
    assert [probe.name for probe in share(probes("b", "a"), 1, 1)] == ["b", "a"]
