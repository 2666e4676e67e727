"""The nearest known word, or what there is; patterns themselves are tested in test_expect.py."""

import pytest

from probes.pattern import OFFERED, offer


@pytest.mark.parametrize(
    ("word", "known", "hint"),
    [
        pytest.param("frnt", ["front", "back"], "; did you mean 'front'?", id="misspelt"),
        pytest.param("x", ["front", "back", "front"], " (known: front, back)", id="another"),
        pytest.param("", ["front", "back"], " (known: front, back)", id="none was given"),
        pytest.param("x", [], " (none is known)", id="there is none"),
        pytest.param(
            "x", list("abcdefgh"), " (known: a, b, c, d, e, f and 2 more)", id="too many for a line"
        ),
    ],
)
def test_who_has_no_name_is_told_what_there_is(word: str, known: list[str], hint: str) -> None:
    assert offer(word, known) == hint
    assert OFFERED == 6
