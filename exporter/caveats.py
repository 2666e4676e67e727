"""What `sonde run` tells about a config that loads: what is odd, and what is news after a reload.

Knows neither who reads it nor how it is told.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

from probes.config.load import Config
from probes.errors import Problem


def caveats(config: Config) -> tuple[Problem, ...]:
    """Return what whoever runs *config* should know about it, in file order."""
    return (*_reach(config), *config.warnings, *config.faults)


def _reach(config: Config) -> Iterator[Problem]:
    """Yield what a blackbox.yml alone means for who may be reached."""
    if not config.is_drop_in:
        return
    text = "/probe takes any target, as blackbox_exporter does, but those of cloud metadata"
    with_secrets = [
        name
        for name, module in config.modules.items()
        if module.settings is not None and module.settings.secrets("")
    ]
    if with_secrets:
        text += f"; whoever asks chooses where the secrets go of {', '.join(with_secrets)}"
    yield Problem(str(config.path), 0, 0, "", text)


def news(now: Sequence[Problem], before: Sequence[Problem]) -> tuple[Problem, ...]:
    """Return what *now* has and *before* had not, in the order of *now*.

    Lines move with every edit above them, and so do the numbers of a list: what was told of another
    place of the file is no news while that has become one less.
    """
    told = Counter(map(_words, before))
    stood = {(_words(problem), problem.path) for problem in before}
    fresh: set[int] = set()
    # who stands where it stood counts first, or it would be told in place of the one that came
    for index in sorted(
        range(len(now)), key=lambda it: (_words(now[it]), now[it].path) not in stood
    ):
        words = _words(now[index])
        if told[words]:
            told[words] -= 1
        else:
            fresh.add(index)
    return tuple(problem for index, problem in enumerate(now) if index in fresh)


def _words(problem: Problem) -> tuple[str, str]:
    return problem.file, problem.message
