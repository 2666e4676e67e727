"""What came, looked at from several sides; each is parsed at most once.

The home of selectolax. Foreign bytes never fail here but where a document was wanted. Knows no
expectation.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from probes.journey.language.selector import Complex, find, split
from probes.jsonpath import parse_json
from probes.units import short

NO_COOKIES: Mapping[str, str] = {}
# As the default of ``max_body``; what is looked at is a page, not a file.
MAX_HTML_BYTES = 2 * 1024 * 1024
# lexbor looks through all open elements for each block: 0.2 s for so many that nest (2026-11).
MAX_HTML_ELEMENTS = 10_000
# The text of an outer element holds that of all inner ones: 0.2 ms each on the largest page.
MAX_FOUND = 1000

# The encodings of the web. Others that Python knows are no text (base64), run code-like escapes
# (unicode_escape) or take quadratic time (idna).
CHARSETS = frozenset(
    {
        "ascii", "us-ascii", "big5", "euc-jp", "euc-kr", "gb18030", "gb2312", "gbk", "iso-2022-jp",
        "koi8-r", "koi8-u", "latin-1", "latin1", "shift_jis", "utf-16", "utf-16be", "utf-16le",
        *(f"iso-8859-{part}" for part in (*range(1, 12), *range(13, 17))),
        *(f"windows-125{part}" for part in range(9)),
    }
)  # fmt: skip
_CHARSET = re.compile(r"""charset[ \t]*=[ \t]*["']?([A-Za-z0-9_.:-]{1,40})""", re.IGNORECASE)
_UNREAD: Any = object()


class View:
    """An answer, a WebSocket message or the rows of a query, for expectations and extractions.

    Args:
        status: 0 where there is none.
        headers: lower-case names.
        body: as it came, decoded.
        cookies: of the run's jar that would go to the answer's URL.
        document: already parsed JSON (rows of a query); by default the body is parsed when asked.
    """

    __slots__ = (
        "_document", "_error", "_html", "_text", "_utf8", "body", "cookies", "headers", "status",
    )  # fmt: skip

    def __init__(
        self,
        *,
        status: int = 0,
        headers: tuple[tuple[str, str], ...] = (),
        body: bytes = b"",
        cookies: Mapping[str, str] = NO_COOKIES,
        document: Any = None,
    ) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.cookies = cookies
        self._document = _UNREAD if document is None else document
        self._error = ""
        self._text: str | None = None
        self._utf8: bytes | None = None
        self._html: Any = None

    @property
    def text(self) -> str:
        """The body as text, foreign bytes replaced."""
        if self._text is None:
            charset = _charset(self.headers)
            self._text = self.body.decode(charset, "replace")
        return self._text

    @property
    def utf8(self) -> bytes:
        """The body as valid UTF-8, for patterns."""
        if self._utf8 is None:
            self._utf8 = self.text.encode("utf-8", "replace")
        return self._utf8

    def document(self) -> Any:
        """Return the body as JSON; texts in it hold no lone surrogates.

        Raises:
            ValueError: it is none; the message says what was wanted.
        """
        if self._document is _UNREAD and not self._error:
            try:
                self._document = read_json(self.body)
            except ValueError as error:
                self._error = str(error)
        if self._error:
            raise ValueError(self._error)
        return self._document

    def header(self, name: str) -> list[str]:
        """Return every value of a header, its name in any case."""
        wanted = name.lower()
        return [value for key, value in self.headers if key == wanted]

    def css(self, selector: str, attribute: str | None, limit: int = MAX_FOUND) -> list[str]:
        """Return text, or an attribute, of the first elements that *selector* finds in the HTML.

        White space in a text is as a reader sees it: one blank.

        Raises:
            ValueError: the page is too large to be looked at, or it is no selector.
        """
        nodes = find(_selector(selector), self._page().css)
        if attribute is None:
            return [" ".join(node.text().split()) for node in nodes[:limit]]
        having = [node.attributes for node in nodes if attribute in node.attributes]
        return [attributes[attribute] or "" for attributes in having[:limit]]

    def _page(self) -> Any:
        if self._html is None:
            if len(self.body) > MAX_HTML_BYTES:
                raise ValueError(
                    f"want HTML of at most {MAX_HTML_BYTES} bytes, got {len(self.body)}"
                )
            elements = self.utf8.count(b"<") - self.utf8.count(b"</")
            if elements > MAX_HTML_ELEMENTS:
                raise ValueError(
                    f"want HTML of at most {MAX_HTML_ELEMENTS} elements, got {elements}"
                )
            self._html = _parse(self.utf8)
        return self._html


def _charset(headers: tuple[tuple[str, str], ...]) -> str:
    for name, value in headers:
        if name == "content-type":
            found = _CHARSET.search(value)
            if found and found[1].lower() in CHARSETS:
                return found[1]
            break
    # with its byte order mark, which no pattern should have to know
    return "utf-8-sig"


def read_json(data: bytes) -> Any:
    """Read JSON whose texts can be sent again.

    Raises:
        ValueError: no JSON; the message says what was wanted.
    """
    if not data.strip():
        raise ValueError("want JSON, got an empty body")
    document = parse_json(data)
    # half a character can stand in JSON only as an escape, and in no encoding
    return _clean(document) if b"\\ud" in data or b"\\uD" in data else document


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, dict):
        return {_clean(key): _clean(item) for key, item in value.items()}
    return value


def _parse(html: bytes) -> Any:
    from selectolax.lexbor import LexborHTMLParser  # noqa: PLC0415 - few journeys read pages

    return LexborHTMLParser(html)


def check_selector(selector: str) -> None:
    """Refuse what is no CSS selector.

    Raises:
        ValueError: it is none, or it could take long.
    """
    _selector(selector)


@lru_cache(maxsize=1024)
def _selector(selector: str) -> tuple[Complex, ...]:
    from selectolax.lexbor import SelectolaxError  # noqa: PLC0415 - as its parser

    parts = split(selector)
    nothing = _parse(b"<p>")
    for compound in (compound for part in parts for compound in part.compounds):
        try:
            nothing.css(compound)
        except (SelectolaxError, ValueError):
            raise ValueError(f"want a CSS selector, got {short(selector)}") from None
    return parts
