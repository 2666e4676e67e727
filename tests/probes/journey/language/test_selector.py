"""CSS selectors in bounded time."""

import random
import re
import time

import pytest
from selectolax.lexbor import LexborHTMLParser

from probes.journey.language.functions import chance
from probes.journey.language.selector import Complex, find, split

PAGE = """
<form id=login class="a b"><input name=csrf value=1><p><input name=mail></p></form>
<ul><li>one<!-- c --><li>two</li> x <li class=last>three</ul>
"""


def found(selector: str, page: str = PAGE) -> list[str]:
    return [node.html[:24] for node in find(split(selector), LexborHTMLParser(page).css)]


@pytest.mark.parametrize(
    ("selector", "parts"),
    [
        pytest.param("p", (Complex(("p",), ()),), id="one"),
        pytest.param("a  b>c", (Complex(("a", "b", "c"), (" ", ">")),), id="combinators"),
        pytest.param(" a ,\nb ~ c", (Complex(("a",), ()), Complex(("b", "c"), ("~",))), id="list"),
        pytest.param(
            "a[href='x > y, z'] + b", (Complex(("a[href='x > y, z']", "b"), ("+",)),), id="quoted"
        ),
        pytest.param(r"a\:b .c", (Complex((r"a\:b", ".c"), (" ",)),), id="escaped"),
        pytest.param("li:nth-child( 2n + 1 )", (Complex(("li:nth-child( 2n + 1 )",), ()),), id="+"),
        pytest.param(
            "p:not(:is(.a, [b=')'])) i",
            (Complex(("p:not(:is(.a, [b=')']))", "i"), (" ",)),),
            id="functions nest",
        ),
        pytest.param("p:not(.a, .b) i", (Complex(("p:not(.a, .b)", "i"), (" ",)),), id="not"),
    ],
)
def test_a_selector_is_taken_apart(selector: str, parts: tuple[Complex, ...]) -> None:
    assert split(selector) == parts


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        pytest.param("", "want a CSS selector, got ''", id="empty"),
        pytest.param("a,", "want a CSS selector, got 'a,'", id="half a list"),
        pytest.param("> a", "want a CSS selector, got '> a'", id="no start"),
        pytest.param("a > > b", "want a CSS selector, got 'a > > b'", id="two combinators"),
        pytest.param(
            "p:has(a)",
            "want one of the functions is, not, nth-child, nth-last-child, nth-last-of-type,"
            " nth-of-type, where, got 'has'",
            id="has",
        ),
        pytest.param(
            "p:not(a b)", "want no combinator inside :not(), got 'a b'", id="combinator inside"
        ),
        pytest.param(
            "p:nth-child(2 of .a)",
            "want a position such as 2n+1 in :nth-child(), got '2 of .a'",
            id="of",
        ),
        pytest.param(
            "p:not(a", "want a CSS selector with ')' at its end, got 'p:not(a'", id="no end"
        ),
        pytest.param(
            "a b c d e, f g h i",
            "want a selector of at most 8 parts, got 'a b c d e, f g h i'",
            id="too many parts",
        ),
        pytest.param(
            "a" * 1025, "want a selector of at most 1024 characters, got 1025", id="too long"
        ),
    ],
)
def test_what_could_take_long_is_refused(selector: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        split(selector)


@pytest.mark.parametrize(
    ("selector", "elements"),
    [
        pytest.param(
            "form#login input", ['<input name="csrf" value', '<input name="mail">'], id="inside"
        ),
        pytest.param("form > input", ['<input name="csrf" value'], id="directly inside"),
        pytest.param("li + .last", ['<li class="last">three</'], id="next, over a text"),
        pytest.param("li ~ li", ["<li>two</li>", '<li class="last">three</'], id="after"),
        pytest.param(
            "ul > .last, li.last, p",
            ['<p><input name="mail"></', '<li class="last">three</'],
            id="each once, in the order of the page",
        ),
        pytest.param("ul input", [], id="nothing"),
    ],
)  # fmt: skip
def test_elements_are_found(selector: str, elements: list[str]) -> None:
    assert found(selector) == elements


TAGS = ["div", "span", "b", "ul", "li", "section"]
COMPOUNDS = [*TAGS, ".x", ".y", "*", "li:not(.x)", "[class=z]", "b:first-child", "li:nth-child(2n)"]


def random_page(chance: random.Random, depth: int) -> str:
    if not depth:
        return "t"
    tags = [chance.choice(TAGS) for _ in range(chance.randint(depth > 2, 3))]
    return "".join(
        f"<{tag} class={chance.choice('xyz')}>{random_page(chance, depth - 1)}t<!--c--></{tag}>"
        for tag in tags
    )


def random_selector(chance: random.Random) -> str:
    steps = [
        chance.choice(COMPOUNDS) + chance.choice([" ", " > ", "+", " ~ ", ">"])
        for _ in range(chance.randint(0, 3))
    ]
    return "".join(steps) + chance.choice(COMPOUNDS)


@pytest.mark.parametrize("seed", range(4))
def test_the_same_elements_are_found_as_the_library_does(seed: int) -> None:
    chances = chance(seed, 0)
    for _ in range(150):
        page = LexborHTMLParser(random_page(chances, 4))
        selector = ", ".join(random_selector(chances) for _ in range(chances.randint(1, 2)))

        ours = [node.mem_id for node in find(split(selector), page.css)]

        assert list(dict.fromkeys(ours)) == list(
            dict.fromkeys(node.mem_id for node in page.css(selector))
        ), selector


def test_a_page_whose_elements_nest_takes_no_longer() -> None:
    """The library itself needs minutes for it: it tries every way up, for each blank."""
    page = LexborHTMLParser("".join(f"<b a{n}>" for n in range(4000)) + "<p>x" * 4000)
    start = time.monotonic()

    assert find(split("a b b b p"), page.css) == []
    assert time.monotonic() - start < 2
