"""The page of the keys of journeys, out of classes."""

from probes.reference import journeys_page
from probes.settings import Settings
from probes.units import Duration


class Inner(Settings):
    """What is inside."""

    wait: Duration = 2.0
    """How long."""


class Outer(Settings):
    """What is outside."""

    name: str
    """What it is called."""
    inner: Inner = Inner()
    """More of it."""


def test_a_class_with_a_section_of_its_own_is_not_spread_out() -> None:
    page = journeys_page([("Outer", Outer), ("Inner", Inner)], [("now", "[format]", "the time")])

    assert "## Outer\n\nWhat is outside.\n\n| key |" in page
    assert "| `name` | text | required | What it is called. |" in page
    assert "`inner.wait`" not in page
    assert "| `wait` | duration | `2s` | How long. |" in page
    assert "| `now([format])` | the time |" in page


def test_any_other_class_is_shown_where_it_is_used() -> None:
    page = journeys_page([("Outer", Outer)], [])

    assert "| `inner.wait` | duration | `2s` | How long. |" in page
