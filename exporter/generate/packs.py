"""The packs of alerting and recording rules, and the one file that they become.

    config ── rules_text(config, names) ──> rules.yml

The same probe file gives the same bytes. Knows neither where the file goes nor who asked for it.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from types import MappingProxyType

from exporter.generate.chains import chain_groups
from exporter.generate.loads import load_groups
from exporter.generate.rules import Group, as_yaml
from probes.config.load import Config
from probes.pattern import suggest
from probes.units import short
from scenarios.config.section import scenarios_of

RULES_FILE = "rules.yml"
ALL = "all"
# As many as `sonde_config_info` shows: the file in force is found by it.
HASH_DIGITS = 12
PACKS: Mapping[str, Callable[[Config], list[Group]]] = MappingProxyType(
    {
        "chain": lambda config: chain_groups(config.probes),
        "load": lambda config: load_groups(scenarios_of(config)),
    }
)
"""Pack -> what makes its groups; a pack without a group has nothing to watch in the file."""
_NEEDS: Mapping[str, str] = MappingProxyType(
    {
        "chain": "an entry under chains, or a probe of kind evm, solana or cosmos",
        "load": "an entry under scenarios",
    }
)
# Rules of other probes hold no name and no number of a file: nothing is generated for them.
_NOTHING = (
    "want chains or scenarios to write rules for, got neither; those of other probes fit every "
    "file and are ready to copy: examples/rules.yml, docs/alerts.md"
)
# metrics.md 12: told apart from a slip of the keyboard.
PLANNED = frozenset(
    {
        "slo", "prober", "conditions", "certificates", "host", "database", "redis", "gate",
        "platform",
    }
)  # fmt: skip


def chosen_packs(names: Sequence[str]) -> tuple[str, ...]:
    """Return the packs that *names* mean, each once, in the order in which they are written.

    Args:
        names: as given; none or ``all`` is every pack there is.

    Raises:
        ValueError: there is no such pack; the text speaks of ``--pack``.
    """
    for name in names:
        if name in PLANNED:
            raise ValueError(f"want --pack {_words()}, got {name!r}, which is not made yet")
        if name not in (*PACKS, ALL):
            hint = suggest(name, [*PACKS, ALL])
            raise ValueError(f"want --pack {_words()}, got {short(name)}{hint}")
    return tuple(pack for pack in PACKS if not names or ALL in names or pack in names)


def rules_text(config: Config, names: Sequence[str], runbooks: str = "") -> str:
    """Return the rule file for the packs *names* of *config*.

    Args:
        config: whose probes are watched.
        names: of packs; empty: all.
        runbooks: page whose sections are the alerts; empty: none.

    Raises:
        ValueError: a pack does not exist, or finds nothing to watch.
    """
    packs = chosen_packs(names)
    groups = {pack: PACKS[pack](config) for pack in packs}
    empty = [pack for pack in packs if not groups[pack]]
    is_asked_for = bool(names) and ALL not in names
    if empty and is_asked_for:
        raise ValueError(f"want {_NEEDS[empty[0]]} for the pack {empty[0]}, got none")
    if len(empty) == len(packs):
        raise ValueError(_NOTHING)
    filled = [pack for pack in packs if groups[pack]]
    head = (
        f"sonde {version('sonde')}, config {config.hash[:HASH_DIGITS]}, packs {' '.join(filled)}: "
        "written by `sonde generate rules`, changes here are lost"
    )
    return as_yaml(
        [group for pack in packs for group in groups[pack]], head=head, runbooks=runbooks
    )


def _words() -> str:
    return " or ".join((*PACKS, ALL))
