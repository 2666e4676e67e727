"""An answer as the user's code sees it. Knows no request."""

from collections.abc import Mapping
from typing import Any

from probes.errors import CheckFailed
from probes.journey.language.view import View, read_json
from probes.result import Reason


class Answer:
    """What came: ``status``, ``headers``, ``body``, ``text``, ``json()``, ``cookies``, ``values``.

    ``values`` holds what ``extract`` took, by name; ``url`` is where the answer came from, behind
    all redirects; ``seconds`` is how long it took.
    """

    __slots__ = ("_view", "cookies", "seconds", "status", "url", "values")

    def __init__(
        self,
        view: View,
        *,
        url: str,
        seconds: float,
        cookies: Mapping[str, str],
        values: Mapping[str, Any],
    ) -> None:
        self._view = view
        self.status = view.status
        self.url = url
        self.seconds = seconds
        self.cookies = cookies
        self.values = values

    @property
    def headers(self) -> Mapping[str, str]:
        """By lower-case name; of one that came several times the first."""
        return dict(reversed(self._view.headers))

    @property
    def body(self) -> bytes:
        """As it came, decompressed."""
        return self._view.body

    @property
    def text(self) -> str:
        """The body as text, foreign bytes replaced."""
        return self._view.text

    def json(self) -> Any:
        """Return the body as JSON.

        Raises:
            CheckFailed: ``protocol``: it is none.
        """
        try:
            return read_json(self.body)
        except ValueError as error:
            raise CheckFailed(Reason.PROTOCOL, str(error)) from None

    def css(self, selector: str, attribute: str | None = None) -> list[str]:
        """Return texts, or an attribute, of the elements that *selector* finds in the page.

        Raises:
            ValueError: no selector, or a page too large to be looked at.
        """
        return self._view.css(selector, attribute)

    def __repr__(self) -> str:
        return f"Answer({self.status}, {self.url!r})"
