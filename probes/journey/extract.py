"""``extract``: a value taken out of an answer, by JSONPath, pattern, header, cookie or CSS."""

from typing import Any

from probes.journey.view import View


class Extract:
    """One value to take.

    ``name`` is the variable; ``source`` is what the file says. Strict unless ``optional`` or
    ``default``.
    """

    __slots__ = ("default", "is_optional", "name", "source")

    name: str
    source: Any
    is_optional: bool
    default: Any

    def take(self, view: View) -> Any:
        """Return the value; `probes.matcher.MISSING` for an optional one that is not there.

        Raises:
            CheckFailed: ``extract``: a strict one is not there; ``want X, got Y`` with its name.
        """
        raise NotImplementedError


def extract(name: str, source: Any) -> Extract:
    """Compile what the file says of one value.

    Raises:
        ValueError: an unknown form, a bad path, pattern or selector.
    """
    raise NotImplementedError
