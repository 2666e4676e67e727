from pathlib import Path

import pytest

from probes.browser.room import free_bytes

GIB = 2**30


def machine(
    place: Path, available: str = "MemAvailable:  4194304 kB", group: str = "0::/a/b"
) -> Path:
    (place / "self").mkdir()
    (place / "meminfo").write_text(f"MemTotal: 8388608 kB\n{available}\n")
    (place / "self" / "cgroup").write_text(f"12:memory:/old\n{group}\n")
    return place


def limit(group: Path, limit: str, used: int, inactive: int = 0) -> None:
    group.mkdir(parents=True, exist_ok=True)
    (group / "memory.max").write_text(f"{limit}\n")
    (group / "memory.current").write_text(f"{used}\n")
    (group / "memory.stat").write_text(f"anon 1\ninactive_file {inactive}\n")


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "proc").mkdir()
    (tmp_path / "cgroups").mkdir()
    return tmp_path / "proc", tmp_path / "cgroups"


def test_without_a_limit_the_machine_counts(places: tuple[Path, Path]) -> None:
    limit(places[1] / "a" / "b", "max", GIB)
    assert free_bytes(machine(places[0]), places[1]) == 4 * GIB


def test_the_limit_of_our_own_group_counts(places: tuple[Path, Path]) -> None:
    limit(places[1] / "a" / "b", str(GIB), 3 * GIB // 4)
    assert free_bytes(machine(places[0]), places[1]) == GIB // 4


def test_the_limit_of_a_group_around_ours_counts(places: tuple[Path, Path]) -> None:
    limit(places[1] / "a" / "b", "max", 0)
    limit(places[1] / "a", str(2 * GIB), GIB)
    assert free_bytes(machine(places[0]), places[1]) == GIB


def test_pages_of_files_are_given_back(places: tuple[Path, Path]) -> None:
    limit(places[1] / "a" / "b", str(GIB), GIB, GIB // 2)
    assert free_bytes(machine(places[0]), places[1]) == GIB // 2


def test_a_group_over_its_limit_has_nothing_left(places: tuple[Path, Path]) -> None:
    limit(places[1] / "a" / "b", str(GIB), 2 * GIB)
    assert free_bytes(machine(places[0]), places[1]) == 0


def test_a_namespace_that_hides_our_group_tells_of_the_machine_alone(
    places: tuple[Path, Path],
) -> None:
    limit(places[1], str(GIB), 0)
    assert free_bytes(machine(places[0], group="0::/../.."), places[1]) == 4 * GIB


def test_the_root_of_a_container_has_a_limit_of_its_own(places: tuple[Path, Path]) -> None:
    limit(places[1], str(GIB), 0)
    assert free_bytes(machine(places[0], group="0::/"), places[1]) == GIB


@pytest.mark.parametrize("available", ["", "MemAvailable:", "MemAvailable: many kB"])
def test_where_nothing_tells_nothing_is_known(available: str, places: tuple[Path, Path]) -> None:
    assert free_bytes(machine(places[0], available, "0::/none"), places[1]) is None


def test_this_machine_has_some() -> None:
    found = free_bytes()
    assert found is not None
    assert found > 0
