"""The contract with blackbox_exporter: one file, the same servers, the same page."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.exporter.blackbox.conftest import ROWS
from tests.exporter.blackbox.pages import Page, read
from tests.exporter.blackbox.rows import Row, names
from tests.exporter.blackbox.stage import Answer, Stage, asked, path_of

pytestmark = pytest.mark.service
NO_CHAIN = -62135596800.0


def test_every_row_has_a_name_of_its_own() -> None:
    ids = [(row.prober, row.id) for row in ROWS]

    assert len(ROWS) >= 100
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    ("name", "row"),
    [
        pytest.param(name, row, id=f"{row.prober}: {row.id}")
        for name, row in names(ROWS).items()
        if not row.since
    ],
)
def test_the_same_module_says_the_same(stage: Stage, name: str, row: Row) -> None:
    path = path_of(name, row.place(stage.places), **row.more)

    # at once: what waits for a limit waits once
    with ThreadPoolExecutor(3) as pool:
        each = (stage.theirs, stage.strict, stage.fixed)
        answers = list(pool.map(lambda server: asked(server, path), each))

    assert {answer.status for answer in answers} == {200}
    theirs, strict, fixed = (page_of(it, ours=n > 0) for n, it in enumerate(answers))
    wanted = allowed(theirs, row, strict)
    assert difference(wanted, strict) == {}
    without, quirks = unquirked(wanted, fixed, row)
    assert difference(without, fixed) == {}
    assert quirks == {row.quirk} - {""}


@pytest.mark.parametrize(
    ("name", "row"),
    [
        pytest.param(name, row, id=f"{row.prober}: {row.id}")
        for name, row in names(ROWS).items()
        if row.since
    ],
)
def test_what_is_newer_says_what_it_should(stage: Stage, name: str, row: Row) -> None:
    path = path_of(name, row.place(stage.places), **row.more)

    pages = [page_of(asked(it, path), ours=False) for it in (stage.strict, stage.fixed)]

    for page in pages:
        assert {series: page.values.get(series) for series in row.says} == row.says


def page_of(answer: Answer, *, ours: bool) -> Page:
    return read(answer.body, ours=ours)


def allowed(theirs: Page, row: Row, ours: Page) -> Page:
    """Return what our page should be: theirs, changed by what the row names."""
    types, values = dict(theirs.types), dict(theirs.values)
    for family in row.missing.split():
        del types[family]
        values = {s: v for s, v in values.items() if s.partition("{")[0] != family}
    for family in row.extra.split():
        assert family not in types, f"{family} is on their page too"
        types[family] = "gauge"
        found = {s: v for s, v in ours.values.items() if s.partition("{")[0] == family}
        assert found, f"{family} is not on our page"
        values |= found
    for series, (before, after) in row.values.items():
        assert values.pop(series, None) == before, series
        if after is not None:
            values[series] = after
    return Page(types, values, theirs.zeros | ours.zeros, theirs.own)


def difference(wanted: Page, got: Page) -> dict[str, tuple[object, object]]:
    """Return what is wanted and what is got, of the series and families that differ."""
    pairs = ((wanted.values, got.values), (wanted.types, got.types))
    return {
        name: (before.get(name), after.get(name))
        for before, after in pairs
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    }


def unquirked(wanted: Page, fixed: Page, row: Row) -> tuple[Page, set[str]]:
    """Return a page without what only ``compat: strict`` keeps, and what that was."""
    if row.quirk == "D3":
        return fixed, {"D3"} if fixed.values["probe_success"] > wanted.values[
            "probe_success"
        ] else set()
    quirks: set[str] = set()
    values = dict(wanted.values)
    for series, value in wanted.values.items():
        if series not in fixed.values and "phase=" in series and series in wanted.zeros:
            quirks.add("D10")
            del values[series]
        elif value == NO_CHAIN and series not in fixed.values:
            quirks.add("D4")
            del values[series]
    told = {series.partition("{")[0] for series in values}
    types = {family: it for family, it in wanted.types.items() if family in told}
    return Page(types, values, wanted.zeros, wanted.own), quirks
