"""What came, looked at from several sides; each is parsed at most once."""

from collections.abc import Mapping
from typing import Any

NO_COOKIES: Mapping[str, str] = {}


class View:
    """An answer, a WebSocket message or the rows of a query, for expectations and extractions.

    Args:
        status: 0 where there is none.
        headers: lower-case names.
        body: as it came, decoded.
        cookies: of the run's jar that would go to the answer's URL.
        document: already parsed JSON (rows of a query); by default the body is parsed when asked.
    """

    def __init__(
        self,
        *,
        status: int = 0,
        headers: tuple[tuple[str, str], ...] = (),
        body: bytes = b"",
        cookies: Mapping[str, str] = NO_COOKIES,
        document: Any = None,
    ) -> None:
        raise NotImplementedError

    @property
    def text(self) -> str:
        """The body as text, foreign bytes replaced."""
        raise NotImplementedError

    def document(self) -> Any:
        """Return the body as JSON.

        Raises:
            ValueError: it is none; the message says what was wanted.
        """
        raise NotImplementedError

    def header(self, name: str) -> list[str]:
        """Return every value of a header, its name in any case."""
        raise NotImplementedError

    def css(self, selector: str, attribute: str | None) -> list[str]:
        """Return text, or an attribute, of every element that *selector* finds in the HTML."""
        raise NotImplementedError
