"""The rules of the house that no linter knows."""

import ast
import gc
import io
import re
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("probes", "scenarios", "exporter")
MAX_LINES = 400
# tests are 1.0 to 2.2 times what they test
MAX_TEST_LINES = 880
# the words that say nothing; a module with such a name grows without end
BANNED_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "base", "misc"}
STDLIB_ONLY = (
    "probes/result.py",
    "probes/errors.py",
    "probes/recorder.py",
    "probes/families.py",
    "exporter/exposition/blocks.py",
)
# One third-party library, one home: what may import it, at the top or late.
HOMES = {
    "aiodns": ("probes/wire/",),
    "aiohttp": ("exporter/web/",),
    "apscheduler": ("exporter/schedule.py",),
    "asyncpg": ("probes/kinds/postgres.py",),
    "bcrypt": ("exporter/web/",),
    "brotli": ("probes/wire/http/decode.py",),
    "cel": ("probes/cel.py",),
    "cryptography": tuple(
        f"probes/wire/{name}.py"
        for name in ("tls/x509", "tls/chains", "tls/leaf", "oauth2/jwt", "ssh/keys")
    ),
    "dns": ("probes/wire/dns/",),
    "gevent": ("scenarios/worker.py",),
    "h2": ("probes/wire/http/h2.py",),
    "httptools": ("probes/wire/http/http1.py",),
    "isal": ("exporter/exposition/stream.py",),
    "jsonpath": ("probes/jsonpath.py",),
    "locust": ("scenarios/worker.py",),
    "playwright": ("probes/browser/child/",),
    "prometheus_client": ("exporter/metrics.py",),
    "psutil": ("probes/kinds/host.py",),
    "pycurl": ("probes/wire/http/h3/",),
    "pycares": ("probes/wire/",),
    "re2": ("probes/pattern.py",),
    "redis": ("probes/kinds/redis.py",),
    "selectolax": ("probes/journey/language/view.py",),
    "websockets": ("probes/wire/websocket/frames.py",),
    "yaml": ("probes/config/", "exporter/generate/", "exporter/importing/"),
    "yarl": ("probes/wire/url.py",),
}
# Libraries that are the language of many rooms.
EVERYWHERE = {"pydantic", "pydantic_core", "typer", "uvloop"}
# Who may turn any exception into something else.
CATCHES_ALL = {"probes/run.py", "exporter/service.py", "exporter/cli.py"}
# What is promised, threatens and breaks (P, T, F), as far as there is something of ours to test.
PROMISED = """
P1 P2 P3 P4 P5 P8 P10 P11 P12 P13 P14 P15 P16 P17 P19 P24 P25 P26 P27
T1 T2 T3 T4 T5 T6 T7 T8 T9 T10 T11 T13 T16 T17 T18 T19 T20 T21 T22 T23 T24 T26 T28 T30 T31 T32
T34 T35 T38 T40 T41 T42 T43 T44 T45 T46 T47 T49 T50 T53 T54 T55 T56 T61 T62 T63 T64 T66 T68 T69
F1 F2 F3 F4 F5 F6 F7 F8 F10 F11 F12 F13 F15 F20 F21 F22 F26 F27 F28 F29 F30 F33 F35 F45 F46 F47
F48 F51 F54 F56 F57 F58 F59
"""
INDEX_HOSTS = {"pypi.org", "files.pythonhosted.org"}


@cache
def sources() -> tuple[str, ...]:
    """Every module of the three packages, as a path from the root."""
    found = (path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return tuple(sorted(str(path.relative_to(ROOT)) for path in found))


@cache
def everything() -> tuple[str, ...]:
    """Every Python file of ours, tests and scripts too."""
    folders = ("tests", "bench", "scripts", "docs", "examples")
    found = (path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return sources() + tuple(sorted(str(path.relative_to(ROOT)) for path in found))


@cache
def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@cache
def tree(name: str) -> ast.Module:
    return ast.parse(text(name), name)


@cache
def nodes(name: str) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(tree(name)))


@pytest.fixture(autouse=True, scope="module")
def forgets() -> Iterator[None]:
    """Two million nodes would cost each later collection of this process a second."""
    gc.disable()  # they have no cycles, and looking for some takes longer than reading
    yield
    for known in (text, tree, nodes, comments):
        known.cache_clear()
    gc.enable()


def imports(name: str) -> Iterator[str]:
    """The modules that a file imports, at its top or late, save for types alone."""
    for node in nodes(name):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def calls(name: str) -> Iterator[ast.Call]:
    return (node for node in nodes(name) if isinstance(node, ast.Call))


def attribute(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


@cache
def comments(name: str) -> tuple[tuple[int, str], ...]:
    return tuple(
        (token.start[0], token.string)
        for token in tokenize.generate_tokens(io.StringIO(text(name)).readline)
        if token.type == tokenize.COMMENT
    )


def test_a_file_has_at_most_400_lines() -> None:
    lines = {name: len(text(name).splitlines()) for name in everything()}
    allowed = {name: MAX_TEST_LINES if name.startswith("tests/") else MAX_LINES for name in lines}

    assert {name: count for name, count in lines.items() if count > allowed[name]} == {}


def test_no_module_has_a_name_that_says_nothing() -> None:
    parts = {name: set(Path(name).with_suffix("").parts) for name in everything()}

    assert [name for name, words in parts.items() if words & BANNED_NAMES] == []


@pytest.mark.parametrize("name", STDLIB_ONLY)
def test_plain_data_imports_the_standard_library_and_itself_only(name: str) -> None:
    allowed = sys.stdlib_module_names | set(PACKAGES)
    inner = {module.removesuffix(".py").replace("/", ".") for module in STDLIB_ONLY}

    roots = set(imports(name))

    assert {module.split(".")[0] for module in roots} <= allowed
    assert {module for module in roots if module.split(".")[0] in PACKAGES} <= inner


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_holds_a_docstring_and_nothing_else(package: str) -> None:
    body = tree(f"{package}/__init__.py").body

    assert len(body) == 1
    assert isinstance(body[0], ast.Expr)
    assert ast.get_docstring(tree(f"{package}/__init__.py"))


@pytest.mark.slow
def test_the_packages_load_neither_sockets_nor_a_loop() -> None:
    program = (
        "import sys, probes, scenarios, exporter, probes.result, probes.recorder, probes.errors;"
        "print(*sorted({'ssl', 'asyncio', 'aiohttp', 'pydantic'} & set(sys.modules)))"
    )

    ended = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True, cwd=ROOT
    )

    assert (ended.returncode, ended.stdout.strip()) == (0, ""), ended.stderr


def test_a_library_is_imported_in_its_home_only() -> None:
    strangers = [
        f"{name}: {module}"
        for name in sources()
        for module in imports(name)
        if (home := HOMES.get(module.split(".")[0])) and not name.startswith(home)
    ]

    assert strangers == []


def test_every_library_has_a_home() -> None:
    known = sys.stdlib_module_names | set(PACKAGES) | set(HOMES) | EVERYWHERE

    assert [
        f"{name}: {module}"
        for name in sources()
        for module in imports(name)
        if module.split(".")[0] not in known
    ] == []


def test_every_dependency_is_used() -> None:
    project = tomllib.loads(text("pyproject.toml"))["project"]
    names = {re.split(r"[<>=;\[ ]", entry)[0].lower() for entry in project["dependencies"]}
    modules = {"google-re2": "re2", "pyyaml": "yaml", "python-jsonpath": "jsonpath"}
    modules["dnspython"] = "dns"
    # data that the standard library looks for
    modules["tzdata"] = "zoneinfo"
    used = {module.split(".")[0] for name in sources() for module in imports(name)}

    unused = {name for name in names if modules.get(name, name.replace("-", "_")) not in used}
    assert unused == set()


def test_nobody_uses_the_default_executor() -> None:
    """It starves name lookups and shutdown: house-rules 4."""
    found = [
        f"{name}:{call.lineno}"
        for name in sources()
        for call in calls(name)
        if (
            attribute(call) == "run_in_executor"
            and isinstance(call.args[0], ast.Constant)
            and call.args[0].value is None
        )
        or attribute(call) in {"to_thread", "set_default_executor"}
    ]

    assert found == []


# gevent has patched a load child: what blocks there lets the other users run, and its fence stands
# before the system's resolver, which users' locust files ask too.
IN_A_PATCHED_CHILD = frozenset(
    {"scenarios/child/driver.py", "scenarios/child/resolver.py", "scenarios/child/transport.py"}
)


@pytest.mark.parametrize("banned", ["getaddrinfo", "getnameinfo", "gethostbyname"])
def test_nobody_asks_the_resolver_of_the_system(banned: str) -> None:
    """`probes.wire` resolves: the system's resolver blocks a thread and knows no deadline."""
    assert [
        f"{name}:{call.lineno}"
        for name in sorted(set(sources()) - IN_A_PATCHED_CHILD)
        for call in calls(name)
        if attribute(call) == banned
        and isinstance(call.func, ast.Attribute)
        and ast.unparse(call.func.value) in {"socket", "loop", "asyncio.get_running_loop()"}
    ] == []


def test_durations_come_from_the_monotonic_clock() -> None:
    wall = {("time", "time"), ("datetime", "utcnow")}
    found = [
        f"{name}:{node.lineno}"
        for name in sources()
        for node in nodes(name)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and (node.value.id, node.attr) in wall
    ]

    assert found == []


def test_nothing_is_unpickled() -> None:
    """T66: a pickle runs what its author likes."""
    modules = {"pickle", "cPickle", "dill", "shelve", "marshal"}

    assert [name for name in sources() if modules & {m.split(".")[0] for m in imports(name)}] == []


def test_an_exception_of_any_class_is_caught_in_three_places_only() -> None:
    """`run` makes a Result of it, `service` spares the other sinks, `cli` exits 3 and not 1."""
    broad = [
        f"{name}:{node.lineno}"
        for name in sources()
        for node in nodes(name)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or {"Exception", "BaseException"} & names_in(node.type))
        and not (isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None)
        and name not in CATCHES_ALL
    ]

    assert broad == []


def names_in(node: ast.expr) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def test_an_exclusion_gives_its_reason() -> None:
    pattern = re.compile(r"#\s*(noqa|type: ignore|pragma: no cover)(.*)")
    # what a good one says behind its name: the reason, or the rule that is set aside
    good = {"pragma: no cover": r" - \w", "noqa": r": [A-Z]", "type: ignore": r"\["}
    bare = [
        f"{name}:{line}: {comment}"
        for name in sources()
        for line, comment in comments(name)
        if (found := pattern.search(comment)) and not re.match(good[found[1]], found[2])
    ]

    assert bare == []


def test_work_left_undone_links_to_an_issue() -> None:
    assert [
        f"{name}:{line}"
        for name in sources()
        for line, comment in comments(name)
        if re.search(r"\b(TODO|FIXME|XXX|HACK)\b", comment) and "http" not in comment
    ] == []


def test_nothing_of_ours_sleeps_to_wait_for_another_thread() -> None:
    """A blocking sleep on the loop falsifies every latency; in a thread it is a race."""
    found = [
        f"{name}:{call.lineno}"
        for name in sorted(set(sources()) - IN_A_PATCHED_CHILD)
        for call in calls(name)
        if attribute(call) == "sleep"
        and isinstance(call.func, ast.Attribute)
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id == "time"
    ]

    assert found == []


def test_every_test_folder_is_a_package() -> None:
    folders = {path.parent for path in (ROOT / "tests").rglob("*.py")}

    assert [str(folder) for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_every_promise_stands_in_a_test() -> None:
    """The P, T and F numbers in the name or docstring of a test, or in the id of a row."""
    told = {
        number.upper()
        for name in everything()
        if name.startswith("tests/")
        for words in words_of(name)
        for number in re.findall(r"(?<![A-Za-z0-9])[PTF]\d+(?![A-Za-z0-9])", words, re.IGNORECASE)
    }

    assert [number for number in PROMISED.split() if number not in told] == []


# load.md 14: theme -> rows; those of browsers and workers have homes of their own
LOAD_ROWS = {
    "child": 9, "parent": 6, "target": 16, "data": 11, "control": 8, "rails": 6, "thresholds": 7,
}  # fmt: skip


def test_every_failure_of_a_load_stands_in_a_test() -> None:
    """``Target 3`` in the name or docstring of a test, or in the id of a row."""
    pattern = rf"\b({'|'.join(LOAD_ROWS)}) (\d+)\b"
    told = {
        f"{theme.lower()} {number}"
        for name in everything()
        if name.startswith("tests/")
        for words in words_of(name)
        for theme, number in re.findall(pattern, words, re.IGNORECASE)
    }
    wanted = {f"{theme} {row}" for theme, rows in LOAD_ROWS.items() for row in range(1, rows + 1)}

    assert sorted(wanted - told) == []


def words_of(name: str) -> Iterator[str]:
    """What a test file says about its tests."""
    for node in nodes(name):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name.replace("_", " ")
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module):
            yield ast.get_docstring(node) or ""
        if (
            isinstance(node, ast.keyword)
            and node.arg == "id"
            and isinstance(node.value, ast.Constant)
        ):
            yield str(node.value.value)


# chains.md 17, by theme
BLACKBOX = ("api", "contract", "dashboards", "deadline", "documented", "targets")
FAILURES = ("answers", "families", "heads", "indexer", "transport", "websocket")


def test_a_test_mirrors_a_module() -> None:
    """`tests/probes/wire/test_net.py` is about `probes/wire/net.py`; `test_net_faults.py` too."""
    orphans = []
    for path in (ROOT / "tests").rglob("test_*.py"):
        room = path.parent.relative_to(ROOT / "tests")
        if room.parts[:1] and room.parts[0] in PACKAGES:
            words = path.stem.removeprefix("test_").split("_")
            stems = ["_".join(words[: end + 1]) for end in range(len(words))]
            paths = [ROOT / room / f"{stem}{end}" for stem in stems for end in (".py", "")]
            if not any(path.exists() for path in paths):
                orphans.append(str(path.relative_to(ROOT)))

    # laws, storms and whole days run over many modules
    whole = {
        f"tests/probes/chain/test_{story}.py"
        for story in (
            "day",
            "failures",
            *(f"failures_{theme}" for theme in FAILURES),
            "group_budget",
            "halts",
            "outlets",
        )
    }
    assert set(orphans) <= whole | {
        *(f"tests/exporter/blackbox/test_{story}.py" for story in BLACKBOX),
        "tests/exporter/test_measured.py",
        "tests/probes/test_kinds_registry.py",
        "tests/probes/test_must_fail.py",
        "tests/probes/wire/test_resolve.py",
        "tests/exporter/test_clock.py",
        "tests/exporter/web/test_storms.py",
        "tests/probes/kinds/test_http_nginx.py",
        "tests/probes/browser/test_shop_chromium.py",
        "tests/probes/journey/test_conformance.py",
        "tests/probes/journey/test_hostile.py",
        "tests/probes/journey/test_shop.py",
        "tests/scenarios/test_traps.py",
    }


def test_the_lock_file_knows_the_public_index_only() -> None:
    """P27: no mirror, no file of one machine, no credentials."""
    urls = re.findall(r'(?:url|registry|path|git) = "([^"]+)"', text("uv.lock"))

    assert len(urls) > 100
    assert {urlsplit(url).netloc for url in urls} == INDEX_HOSTS
    assert {urlsplit(url).scheme for url in urls} == {"https"}


def test_every_locked_file_has_a_hash() -> None:
    """T68: nothing is installed that was replaced."""
    files = re.findall(r'\{ url = "[^"]+"(.*?)\}', text("uv.lock"))

    assert [entry for entry in files if 'hash = "sha256:' not in entry] == []


def test_the_tool_that_reads_the_lock_is_pinned_by_hash() -> None:
    lines = [line for line in text("scripts/uv.txt").splitlines() if not line.startswith("#")]

    assert re.fullmatch(r"uv==\d+\.\d+\.\d+ \\", lines[0])
    assert all(re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line) for line in lines[1:])


def test_no_file_of_ours_names_a_package_index() -> None:
    """The machine says where packages come from; only the lock file knows the public index."""
    files = [*everything(), "Makefile", "Dockerfile", ".ci/run", "pyproject.toml", "compose.yaml"]
    files += ["scripts/bootstrap.sh", "scripts/servers.sh", "README.md", "CONTRIBUTING.md"]

    named = [name for name in files if any(host in text(name) for host in INDEX_HOSTS)]

    assert named == ["tests/test_house.py"]


def test_the_makefile_has_at_most_thirteen_targets_and_each_explains_itself() -> None:
    targets = re.findall(r"^([a-z]+):(.*)$", text("Makefile"), re.MULTILINE)

    assert len(targets) <= 13
    assert [name for name, rest in targets if "## " not in rest] == []


def test_ci_does_two_things_and_nothing_else() -> None:
    lines = text(".ci/run").splitlines()
    commands = [line for line in lines if line and not line.startswith(("#", "set ", "cd "))]

    assert commands == ["REQUIRE_SERVICES=1 SECOND_TRY=1 make test", "make check"]
