"""``${VAR}`` and ``${VAR:-default}`` inside one text value; ``$${`` is a literal ``${``.

Works on parsed values, never on the raw file, and a value is not expanded again: what stands in the
environment is data. Inside ``journeys:`` the same syntax has two times: upper case is replaced
here, everything else is left to the journey. Knows no YAML.
"""

import re
from collections.abc import Mapping

from probes.redact import SECRET_HEADER
from probes.units import short

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_REFERENCE = re.compile(r"\$\$\{|\$\{([^}]*)(\}?)")
# load.md 2.1: upper case is ours; everything else belongs to the journey, which tells what is wrong
# with it. An expression ends at the first brace outside of quotes, and without one never.
_IN_JOURNEYS = re.compile(
    r"""\$\$\{
      | \$\{(?P<reference>[A-Z_][A-Z0-9_]*(?=[:}])[^}]*)(?P<end>\}?)
      | (?P<expression>\$\{
            (?:[^}'"]|'(?:[^'\\]|\\.)*+(?:'|\\?\Z)|"(?:[^"\\]|\\.)*+(?:"|\\?\Z))*+
        \}?)
    """,
    re.ASCII | re.DOTALL | re.VERBOSE,
)
_INSIDE = re.compile(r"\$\$\{|\$\{([A-Z_][A-Z0-9_]*)(?=[:}])[^}]*\}?", re.ASCII)
# Shorter values of a variable with a telling name are switches ("0", "yes"), not secrets.
MIN_SECRET_CHARACTERS = 6


class Variables:
    """Expands references to *environ* and remembers the values that look like secrets."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.secrets: set[str] = set()
        self._environ = environ

    def expand(self, text: str) -> str:
        """Return *text* with every reference replaced.

        Raises:
            ValueError: an unset variable, or ``${`` that begins no reference.
        """
        return _REFERENCE.sub(self._replace, text)

    def expand_in_journey(self, text: str) -> str:
        """Return *text* with every upper-case reference replaced; the rest stays as it is.

        Raises:
            ValueError: as `expand`, or a reference inside an expression of the journey.
        """
        return _IN_JOURNEYS.sub(self._replace_in_journey, text)

    def _replace_in_journey(self, found: re.Match[str]) -> str:
        if found["reference"] is None:
            for inside in _INSIDE.finditer(found["expression"] or ""):
                # a quote in its value would change the code around it
                if name := inside[1]:
                    got = short(inside[0])
                    raise ValueError(f"want env('{name}') inside an expression, got {got}")
            return found[0]
        # what stands in the environment is data for the journey, too
        value = self._value_of(found[0], found["reference"], is_ended=bool(found["end"]))
        value = value.replace("${", "$${")
        follows = found.string[found.end() : found.end() + 1]
        return f"{value[:-1]}$$" if value.endswith("$") and follows == "{" else value

    def _replace(self, found: re.Match[str]) -> str:
        if found[1] is None:
            return "${"
        return self._value_of(found[0], found[1], is_ended=bool(found[2]))

    def _value_of(self, shown: str, inner: str, *, is_ended: bool) -> str:
        name, separator, default = inner.partition(":-")
        if not is_ended or not _NAME.fullmatch(name) or "${" in default:
            raise ValueError(
                f"want ${{NAME}} or ${{NAME:-default}}, got {short(shown)}"
                "; a literal '${' is written '$${'"
            )
        value = self._environ.get(name)
        if separator and not value:
            return default
        if value is None:
            raise ValueError(f"want the environment variable {name} to be set, got none")
        if not _is_text(value):
            raise ValueError(f"want UTF-8 in the environment variable {name}, got other bytes")
        if len(value) >= MIN_SECRET_CHARACTERS and SECRET_HEADER.search(name):
            self.secrets.add(value)
        return value


def _is_text(value: str) -> bool:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
