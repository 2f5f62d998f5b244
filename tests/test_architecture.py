"""The shape of the house: what `docs/architecture.rst` promises, read from the source and enforced.

Every check is a function from parsed modules to complaints, so that each can be shown to fail on a bad snippet: a check
that cannot fail protects nothing.
"""

from __future__ import annotations

import ast
import configparser
import functools
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from l7 import compiled
from l7.telemetry.eventnames import NAMES
from tests.harness.checkout import CHECKOUT
from tests.harness.l7process import ROOT
from tests.harness.passes import COMPILED_ALONE, OVER_TLS, PLAIN_ALONE, SLOW

TOP_LEVEL = {
    ".ci", ".gitignore", "LICENSE", "MANIFEST.in", "Makefile", "README.rst", "docs", "l7", "pyproject.toml",
    "setup.cfg", "setup.py", "tests",
}  # fmt: skip

FLOORS = {
    "l7.compiled": 0,
    "l7.errors": 1,
    "l7.descriptors": 1,
    "l7.oserrors": 1,
    "l7.units": 1,
    "l7.clock": 1,
    "l7.networks": 1,
    "l7.proxy_protocol": 1,
    "l7.config": 2,
    "l7.http": 2,
    "l7.ipc": 2,
    "l7.sharedmem": 2,
    "l7.balancing": 3,
    "l7.exchange": 3,
    "l7.tls": 3,
    "l7.explain": 5,
    "l7.acme": 4,
    "l7.rules": 4,
    "l7.telemetry": 4,
    "l7.workers": 5,
    "l7.master": 6,
    "l7.validation": 1,
    "l7.cli": 7,
    "l7.commands": 7,
    "l7.__main__": 7,
}
"""The floor of every room; ``l7`` itself is the ground: the version, and whether the hot modules run compiled."""

MASTER_FLOORS = {
    "l7.master.supervision": 0,
    "l7.master.resources": 1,
    "l7.master.children": 2,
    "l7.master.state": 3,
    "l7.master.context": 4,
    "l7.master.part": 4,
    "l7.master.certificate_requests": 5,
    "l7.master.connection_broker": 5,
    "l7.master.opener": 5,
    "l7.master.control": 5,
    "l7.master.child_supervisor": 5,
    "l7.master.monitor_supervisor": 6,
    "l7.master.upgrade": 6,
    "l7.master.announcer": 7,
    "l7.master.certificate_watch": 7,
    "l7.master.reloader": 7,
    "l7.master.worker_supervisor": 7,
    "l7.master.arbiter": 7,
    "l7.master.build": 8,
}
"""The floors inside the master: what may be known by whom, from the pure step up to the function that composes all."""

SIDEWAYS = {
    ("l7.exchange", "l7.tls"): "what is known of a request is known of its connection's TLS, too",
    ("l7.balancing", "l7.tls"): "why TLS with a server failed is a reason why it gets no requests",
    ("l7", "l7.compiled"): "before any hot module it decides whether extensions or sources are found",
    ("l7.__main__", "l7.cli"): "the same command under another name",
    ("l7.cli", "l7.commands"): "runs the one that is meant",
}
"""Imports from a room to another one on the same floor, and why each is right."""

LOCAL_IMPORTS: dict[tuple[str, str], str] = {
    ("l7.__main__", "l7.cli"): "Ctrl-C is to be quiet while everything else is imported",
    ("l7.cli", "l7.commands.dispatch"): "`l7 --version` knows of no setting and no command",
    (
        "l7.config.reading.version",
        "importlib.metadata",
    ): "it brings the parsers of mail, and who starts l7 does not ask for a version",
    ("l7.tls.certificate_files", "l7.tls.parsing"): "it brings cryptography, some megabytes, for those who have TLS",
    ("l7.tls.servers.failures", "l7.tls.servers.verification"): "the same, for those whose servers fail TLS",
    ("l7.master.certificate_requests", "l7.tls.parsing"): "the same",
    ("l7.master.state.certificate_storage", "l7.tls.parsing"): "the same",
    ("l7.master.state.certificate_storage", "l7.tls.self_signed"): "the same",
    ("l7.workers.monitor.certificate_renewal", "l7.tls.parsing"): "the same",
    (
        "l7.workers.monitor.certificate_renewal",
        "l7.acme.authority",
    ): "an extra brings what it needs, where ACME is wanted",
    ("l7.cli", "l7.commands.serve"): "whether the schema has its validators is settled before it is imported",
    ("l7.commands.serve", "l7.master.build"): "a child reads the configuration meanwhile, and needs nothing of it",
    ("l7.commands.dispatch", "l7.commands.serve"): "who only asks a running l7 does not wait for gevent and the proxy",
    ("l7.commands.dispatch", "l7.commands.demo"): "the same",
    ("l7.commands.dispatch", "l7.commands.explain"): "who starts l7 does not wait for what explains and asks",
    ("l7.commands.dispatch", "l7.commands.reload"): "the same",
    ("l7.commands.dispatch", "l7.commands.status"): "the same",
    ("l7.commands.dispatch", "l7.commands.logs"): "the same",
    ("l7.commands.dispatch", "l7.commands.server"): "the same",
    ("l7.commands.dispatch", "l7.commands.recorder.why"): "the same",
    ("l7.commands.dispatch", "l7.commands.recorder.tail"): "the same",
    ("l7.commands.dispatch", "l7.commands.top.command"): "the same, and for urwid, which brings asyncio",
    ("l7.commands.dispatch", "l7.config.rendering.dump"): "the same",
    ("l7.commands.dispatch", "l7.config.rendering.jsonschema"): "the same",
    ("l7.commands.dispatch", "l7.commands.completion"): "the same, and for shtab, which knows five shells",
    ("l7.commands.dispatch", "l7.commands.rehearsal.command"): "the same, and for asyncio",
    (
        "l7.commands.dispatch",
        "l7.rules.answers.named_files",
    ): "of commands `l7 check` alone reads certificates: ssl",
    ("l7.commands.dispatch", "l7.rules.answers.page_files"): "the same",
    ("l7.config.reading.loading", "l7.config.reading.yaml_file"): "it brings YAML, for those who have a file",
    ("l7.config.reading.serving", "l7.config.reading.yaml_file"): "the same",
    ("l7.commands.control_client", "l7.config.reading.yaml_file"): "the same",
    ("l7.config.reading.serving", "l7.config.rendering.dump"): "the same, for those who reload or dump",
    ("l7.config.reading.serving", "l7.config.changes"): "the same",
}
"""Imports inside a function: (module, what it imports) and why it cannot stand at the top."""

LOOP_LIBRARIES = {"gevent", "greenlet"}
STANDARD_LIBRARY = {"l7.master": {"setproctitle"}, "l7.ipc": set[str]()}
"""Rooms of the standard library alone, and what each may use beyond it: process titles have no other way."""

BANNED_NAMES = {"base", "common", "core", "helper", "helpers", "manager", "managers", "misc", "tools", "util", "utils"}
UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")

MAX_MODULE = 400
MAX_FUNCTION = 40
MAX_FOLDER = 13
"""Modules in a folder: about a dozen."""
MAX_FAN_OUT = 10
"""Modules of its own room that a module imports."""
MAX_PARAMETERS = 6
"""Parameters of a constructor."""

COMPOSERS = {
    "l7.config.schema": "puts the sections together",
    "l7.commands.dispatch": "runs the command that is meant",
    "l7.master.build": "puts the master together",
    "l7.rules.compile": "puts the rules of a route together",
    "l7.workers.process": "puts a worker together",
    "l7.workers.monitor.process": "puts the monitor process together",
    "l7.workers.proxy": "the life of a request, a verb a module",
}
"""Modules that may import more of their own room, and why."""

WORK = re.compile(r"(os|socket|subprocess|mmap|fcntl)\.(?!path\.)|open$|fdopen$")
"""Calls of a constructor that do something to the world: that is for a method with a name."""

Complaints = Iterator[str]
Function = ast.FunctionDef | ast.AsyncFunctionDef


# --------------------------------------------------------------------------------------------- reading source


@dataclass(frozen=True)
class Import:
    """One import: the module it names, its line, and whether it stands inside a function."""

    target: str
    line: int
    local: bool


@dataclass
class Module:
    """A parsed module of the package."""

    name: str
    source: str
    tree: ast.Module = field(init=False)

    def __post_init__(self) -> None:
        self.tree = ast.parse(self.source)

    @property
    def room(self) -> str:
        """The top-level part of ``l7`` that it belongs to."""
        return ".".join(self.name.split(".")[:2])

    def functions(self) -> Iterator[Function]:
        return (node for node in ast.walk(self.tree) if isinstance(node, Function))

    def imports(self, names: set[str]) -> list[Import]:
        """Every import, ``from l7.x import y`` as ``l7.x.y`` where that is a module among ``names``."""
        return [
            Import(target, node.lineno, inside)
            for node, inside in self._imports
            for target in _targets(node, self.name, names)
        ]

    @functools.cached_property
    def _imports(self) -> list[tuple[ast.Import | ast.ImportFrom, bool]]:
        """The statements, and whether each is within a function: looked for once, as many checkers ask."""
        return list(_import_statements(self.tree, inside=False))


def _import_statements(node: ast.AST, *, inside: bool) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.Import, ast.ImportFrom)):
            yield child, inside
        elif isinstance(child, (ast.stmt, ast.ExceptHandler, ast.match_case)):  # no expression has one
            yield from _import_statements(child, inside=inside or isinstance(child, Function))


def _targets(node: ast.Import | ast.ImportFrom, importer: str, names: set[str]) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    assert not node.level, f"{importer}:{node.lineno}: relative import"
    module = node.module or ""
    return [f"{module}.{a.name}" if f"{module}.{a.name}" in names else module for a in node.names]


def _module_name(path: Path) -> str:
    parts = path.relative_to(CHECKOUT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _package() -> list[Module]:
    return [Module(_module_name(path), path.read_text("utf-8")) for path in sorted((CHECKOUT / "l7").rglob("*.py"))]


@pytest.fixture(scope="module")
def package() -> list[Module]:
    return _package()


def _declared(section: str = "options", key: str = "install_requires") -> set[str]:
    """The import names of what ``setup.cfg`` requires at run time, or with an extra."""
    settings = configparser.ConfigParser()
    settings.read(CHECKOUT / "setup.cfg", "utf-8")
    required = settings[section][key].split()
    names = {re.split(r"[<>=!~;\[]", line)[0].lower() for line in required}
    return {{"pyyaml": "yaml", "dnspython": "dns"}.get(name, name.replace("-", "_")) for name in names}


# --------------------------------------------------------------------------------------------------- checkers


def every_room_has_a_floor(modules: list[Module]) -> Complaints:
    for module in modules:
        if module.name != "l7" and module.room not in FLOORS:
            yield f"{module.name}: {module.room} has no floor"


def imports_point_down(modules: list[Module]) -> Complaints:
    names = {module.name for module in modules}
    for module in modules:
        for found in module.imports(names):
            there = ".".join(found.target.split(".")[:2])
            if not there.startswith("l7.") or there == module.room:
                continue
            here, floor = FLOORS.get(module.room, 0), FLOORS.get(there, 0)
            if floor > here or (floor == here and (module.room, there) not in SIDEWAYS):
                yield f"{module.name}:{found.line}: floor {here} imports {found.target} of floor {floor}"


def the_master_points_down(modules: list[Module]) -> Complaints:
    """What `imports_point_down` is between rooms, inside the largest one."""
    names = {module.name for module in modules}

    def floor(name: str) -> int | None:
        return MASTER_FLOORS.get(".".join(name.split(".")[:3]))

    for module in modules:
        if module.room != "l7.master" or module.name == "l7.master":
            continue
        here = floor(module.name)
        if here is None:
            yield f"{module.name}: has no floor in the master"
            continue
        for found in module.imports(names):
            there = floor(found.target)
            same = module.name.split(".")[:3] == found.target.split(".")[:3]
            if there is not None and not same and there >= here:
                yield f"{module.name}:{found.line}: floor {here} imports {found.target} of floor {there}"


def folders_are_small(modules: list[Module]) -> Complaints:
    packages = {module.name.rpartition(".")[0] for module in modules}
    for package in sorted(packages - {""}):
        inside = [one for one in modules if one.name.rpartition(".")[0] == package and one.name not in packages]
        if len(inside) > MAX_FOLDER:
            yield f"{package}: {len(inside)} modules"


def fan_out_is_small(modules: list[Module]) -> Complaints:
    names = {module.name for module in modules}
    for module in modules:
        own = {found.target for found in module.imports(names) if found.target.startswith(f"{module.room}.")}
        if len(own) > MAX_FAN_OUT and module.name not in COMPOSERS:
            yield f"{module.name}: imports {len(own)} modules of {module.room}"


def _constructors(modules: list[Module]) -> Iterator[tuple[Module, str, Function]]:
    for module in modules:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef):
                for child in node.body:
                    if isinstance(child, Function) and child.name == "__init__":
                        yield module, node.name, child


def constructors_take_few_things(modules: list[Module]) -> Complaints:
    for module, name, function in _constructors(modules):
        spec = function.args
        if (count := len([*spec.posonlyargs, *spec.args, *spec.kwonlyargs]) - 1) > MAX_PARAMETERS:
            yield f"{module.name}:{function.lineno}: {name} takes {count} things"


def constructors_tie_nothing(modules: list[Module]) -> Complaints:
    """A lambda in a constructor refers to what does not exist yet."""
    for module, name, function in _constructors(modules):
        if any(isinstance(node, ast.Lambda) for node in ast.walk(function)):
            yield f"{module.name}:{function.lineno}: {name} has a lambda in its constructor"


def constructors_do_no_work(modules: list[Module]) -> Complaints:
    """In the master, where the order of what is opened counts."""
    for module, name, function in _constructors(modules):
        for node in ast.walk(function):
            if module.room == "l7.master" and isinstance(node, ast.Call) and WORK.match(ast.unparse(node.func)):
                yield f"{module.name}:{node.lineno}: {name} calls {ast.unparse(node.func)} in its constructor"


def no_cycles(modules: list[Module]) -> Complaints:
    names = {module.name for module in modules}
    edges = {m.name: {i.target for i in m.imports(names) if i.target in names} for m in modules}
    finished: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> Complaints:
        if name in path:
            yield " -> ".join((*path[path.index(name) :], name))
        elif name not in finished:
            for target in sorted(edges[name]):
                yield from visit(target, (*path, name))
            finished.add(name)

    for name in sorted(names):
        yield from visit(name, ())


def only_workers_know_gevent(modules: list[Module]) -> Complaints:
    for module in modules:
        for found in module.imports(set()):
            if found.target.split(".")[0] in LOOP_LIBRARIES and module.room != "l7.workers":
                yield f"{module.name}:{found.line}: imports {found.target} outside l7/workers/"


def some_rooms_are_standard_library(modules: list[Module]) -> Complaints:
    for module in modules:
        beyond = STANDARD_LIBRARY.get(module.room)
        for found in module.imports(set()) if beyond is not None else ():
            if found.target.split(".")[0] not in sys.stdlib_module_names | (beyond or set()) | {"l7"}:
                yield f"{module.name}:{found.line}: imports {found.target}, which is not of the standard library"


EXCHANGE = {"body", "client_exchange", "request_handler"}
"""What may be known of ``l7.workers.downstream`` by what serves a request: nothing of what is on the wire."""


def clients_are_exchanges(modules: list[Module]) -> Complaints:
    for module in modules:
        if module.name != "l7.workers.proxy" and not module.name.startswith("l7.workers.upstream."):
            continue
        for found in module.imports(set()):
            room, _, name = found.target.rpartition(".")
            if room == "l7.workers.downstream" and name not in EXCHANGE:
                yield f"{module.name}:{found.line}: imports {found.target}: it may know its client as an exchange alone"


def dependencies_are_declared(modules: list[Module]) -> Complaints:
    allowed = sys.stdlib_module_names | _declared() | LOOP_LIBRARIES | {"l7"}
    extra = _declared("options.extras_require", "acme")
    for module in modules:
        known = allowed | (extra if module.room == "l7.acme" else set())
        for found in module.imports(set()):
            if found.target.split(".")[0] not in known:
                yield f"{module.name}:{found.line}: {found.target} is not among install_requires"


def local_imports_have_reasons(modules: list[Module]) -> Complaints:
    names = {module.name for module in modules}
    used = set()
    for module in modules:
        for found in module.imports(names):
            if found.local:
                used.add((module.name, found.target))
                if (module.name, found.target) not in LOCAL_IMPORTS:
                    yield f"{module.name}:{found.line}: imports {found.target} inside a function"
    for name, target in sorted(LOCAL_IMPORTS.keys() - used):
        if name in names:
            yield f"{name}: the reason for importing {target} inside a function is no longer needed"


def modules_are_short(modules: list[Module]) -> Complaints:
    for module in modules:
        if (lines := len(module.source.splitlines())) > MAX_MODULE:
            yield f"{module.name}: {lines} lines"


def functions_are_short(modules: list[Module]) -> Complaints:
    for module in modules:
        for function in module.functions():
            lines = (function.end_lineno or 0) - function.lineno + 1
            first = function.body[0]
            if ast.get_docstring(function) is not None:
                lines -= (first.end_lineno or 0) - first.lineno + 1
            if lines > MAX_FUNCTION:
                yield f"{module.name}:{function.lineno}: {function.name} has {lines} lines"


def signatures_are_annotated(modules: list[Module]) -> Complaints:
    for module in modules:
        methods = {id(f) for c in ast.walk(module.tree) if isinstance(c, ast.ClassDef) for f in c.body}
        for function in module.functions():
            spec = function.args
            arguments = [*spec.posonlyargs, *spec.args]
            static = any(isinstance(d, ast.Name) and d.id == "staticmethod" for d in function.decorator_list)
            if id(function) in methods and not static:
                arguments = arguments[1:]
            arguments += [*spec.kwonlyargs, *(a for a in (spec.vararg, spec.kwarg) if a)]
            bare = [argument.arg for argument in arguments if argument.annotation is None]
            if bare or function.returns is None:
                yield f"{module.name}:{function.lineno}: {function.name}: {', '.join(bare) or 'the result'} has no type"


def public_things_are_documented(modules: list[Module]) -> Complaints:
    def undocumented(node: ast.Module | ast.ClassDef) -> Iterator[tuple[int, str]]:
        for child in node.body:
            if isinstance(child, ast.ClassDef | Function) and not child.name.startswith("_"):
                if ast.get_docstring(child) is None:
                    yield child.lineno, child.name
                if isinstance(child, ast.ClassDef):
                    yield from undocumented(child)

    for module in modules:
        if ast.get_docstring(module.tree) is None:
            yield f"{module.name}: the module does not say what it is"
        for line, name in undocumented(module.tree):
            yield f"{module.name}:{line}: {name} does not say what it does"


def names_say_something(modules: list[Module]) -> Complaints:
    for module in modules:
        if banned := BANNED_NAMES.intersection(module.name.split(".")):
            yield f"{module.name}: {banned.pop()} could be the name of anything"


def nothing_is_left_undone(modules: list[Module]) -> Complaints:
    for module in modules:
        for number, line in enumerate(module.source.splitlines(), 1):
            if UNFINISHED.search(line):
                yield f"{module.name}:{number}: {line.strip()}"


Checker = Callable[[list[Module]], Complaints]

BAD: dict[Checker, dict[str, str]] = {
    every_room_has_a_floor: {"l7.attic": ""},
    imports_point_down: {"l7.http.parser": "from l7.workers.proxy import handle"},
    the_master_points_down: {
        "l7.master.state.rows": "from l7.master.control.server import ControlServer",
        "l7.master.control.server": "",
    },
    folders_are_small: {f"l7.m{number}": "" for number in range(MAX_FOLDER + 1)},
    fan_out_is_small: {
        "l7.http.parser": "\n".join(f"import l7.http.m{number}" for number in range(MAX_FAN_OUT + 1)),
        **{f"l7.http.m{number}": "" for number in range(MAX_FAN_OUT + 1)},
    },
    constructors_take_few_things: {"l7.cli": "class A:\n    def __init__(self, a, b, c, d, e, *, f, g): ..."},
    constructors_tie_nothing: {"l7.cli": "class A:\n    def __init__(self):\n        self.f = lambda: self.g()"},
    constructors_do_no_work: {"l7.master.arbiter": "class A:\n    def __init__(self):\n        self.f = os.pipe()"},
    no_cycles: {"l7.http.a": "import l7.http.b", "l7.http.b": "from l7.http import a"},
    only_workers_know_gevent: {"l7.master.arbiter": "def f():\n    from gevent import sleep"},
    some_rooms_are_standard_library: {"l7.ipc.codec": "import pydantic"},
    clients_are_exchanges: {
        "l7.workers.upstream.relay": "from l7.workers.downstream.http1_exchange import Http1Exchange"
    },
    dependencies_are_declared: {"l7.config.loader": "import requests"},
    local_imports_have_reasons: {"l7.cli": "def f():\n    import json"},
    modules_are_short: {"l7.cli": "x = 1\n" * (MAX_MODULE + 1)},
    functions_are_short: {"l7.cli": "def f():\n    '''Words.'''\n" + "    x = 1\n" * MAX_FUNCTION},
    signatures_are_annotated: {"l7.cli": "class A:\n    def f(self, x, *y: int) -> int: ..."},
    public_things_are_documented: {"l7.cli": "'''Words.'''\nclass A:\n    '''Words.'''\n    def f(self): ..."},
    names_say_something: {"l7.http.utils": ""},
    nothing_is_left_undone: {"l7.cli": "x = 1  # TO" + "DO: more"},
}
"""Each checker with the smallest package that it must complain about."""


# ------------------------------------------------------------------------------------------------------ tests


@pytest.mark.parametrize("checker", BAD, ids=lambda checker: checker.__name__)
def test_house(checker: Checker, package: list[Module]) -> None:
    complaints = list(checker(package))
    assert not complaints, "\n".join(complaints)


@pytest.mark.parametrize("checker", BAD, ids=lambda checker: checker.__name__)
def test_checker_can_fail(checker: Checker) -> None:
    assert list(checker([Module(name, source) for name, source in BAD[checker].items()]))


SIDE_STEP = {"l7.config.schema": "from l7.http.grammar import CRLF", "l7.http.grammar": ""}


@pytest.mark.parametrize(
    ("checker", "modules", "complaints"),
    [
        (imports_point_down, SIDE_STEP, 1),
        (the_master_points_down, {"l7.master.lobby": ""}, 1),
        (the_master_points_down, {"l7.master.state.a": "import l7.master.state.b", "l7.master.state.b": ""}, 0),
        (
            constructors_do_no_work,
            {"l7.master.a": "class A:\n    def __init__(self): os.path.abspath('a')"},
            0,
        ),
        (constructors_do_no_work, {"l7.master.a": "class A:\n    def start(self): self.p = os.pipe()"}, 0),
        (constructors_take_few_things, {"l7.cli": "class A:\n    def __init__(self, a, b, c, d, e, f): ..."}, 0),
        (imports_point_down, {"l7.cli": "from l7.commands.demo import main", "l7.commands.demo": ""}, 0),
        (imports_point_down, {"l7.cli": "from l7 import __version__"}, 0),
        (imports_point_down, {"l7.http.parser": "import typing\nif typing.TYPE_CHECKING:\n    import l7.workers"}, 1),
        (functions_are_short, {"l7.cli": "def f():\n    '''" + "\n" * 100 + "'''\n" + "    x = 1\n" * 39}, 0),
        (signatures_are_annotated, {"l7.cli": "def f(x: int): ..."}, 1),
        (signatures_are_annotated, {"l7.cli": "class A:\n    @staticmethod\n    def f(x) -> int: ..."}, 1),
        (signatures_are_annotated, {"l7.cli": "def f(*, x: int, **y: int) -> int: ..."}, 0),
        (public_things_are_documented, {"l7.cli": "'''Words.'''\ndef _f(): ..."}, 0),
        (some_rooms_are_standard_library, {"l7.master.titles": "import setproctitle, os, l7.errors, gevent"}, 1),
        (some_rooms_are_standard_library, {"l7.cli": "import pydantic"}, 0),
    ],
)
def test_checker_borders(checker: Checker, modules: dict[str, str], complaints: int) -> None:
    found = list(checker([Module(name, source) for name, source in modules.items()]))
    assert len(found) == complaints, found


MAX_UNNAMED = 20
"""So many events have no name in `l7.telemetry.eventnames`; name new ones, and lower this when an old one gets one."""

EVENT_METHODS = {"debug", "info", "warning", "error", "write", "log", "report", "_report", "_say"}


def _calls(modules: list[Module], wanted: Callable[[ast.expr], bool]) -> Iterator[tuple[Module, ast.Call]]:
    for module in modules:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and wanted(node.func):
                yield module, node


def unnamed_events(modules: list[Module]) -> Complaints:
    """Events written without a name; who passes on what it was given has a variable in its place."""

    def writes(function: ast.expr) -> bool:
        if not isinstance(function, ast.Attribute) or function.attr not in EVENT_METHODS:
            return False
        owned = ast.unparse(function.value).endswith(("events", "turn"))
        return owned or function.attr in ("_report", "report", "_say")

    for module, call in _calls(modules, writes):
        if any(isinstance(argument, ast.JoinedStr) for argument in call.args) or (
            call.args and isinstance(call.args[-1], ast.Constant) and " " in str(call.args[-1].value)
        ):
            yield f"{module.name}:{call.lineno}: {ast.unparse(call)}"


def misnamed_events(modules: list[Module]) -> Complaints:
    """Names that are not in the table or not in use, and facts that are missing."""
    used = set()
    for module, call in _calls(modules, lambda function: isinstance(function, ast.Name) and function.id == "named"):
        names = {node.value for node in ast.walk(call.args[0]) if isinstance(node, ast.Constant)}
        facts = {keyword.arg for keyword in call.keywords}
        for name in sorted(map(str, names)):
            used.add(name)
            if name not in NAMES:
                yield f"{module.name}:{call.lineno}: {name} is not in l7/telemetry/eventnames.py"
            elif None not in facts and (missing := set(NAMES[name].facts) - facts):
                yield f"{module.name}:{call.lineno}: {name} has no {', '.join(sorted(missing))}"
    if any(module.name == "l7.telemetry.eventnames" for module in modules):
        for name in sorted(NAMES.keys() - used):
            yield f"l7.telemetry.eventnames: {name} is never written"


def test_events_have_names_of_the_table(package: list[Module]) -> None:
    complaints = list(misnamed_events(package))
    assert not complaints, "\n".join(complaints)


def test_events_without_a_name_become_fewer(package: list[Module]) -> None:
    found = list(unnamed_events(package))
    assert len(found) <= MAX_UNNAMED, "\n".join(found)


@pytest.mark.parametrize(
    ("checker", "source"),
    [
        (unnamed_events, "self._events.info(f'{x} is ready')"),
        (unnamed_events, "turn.log('info', 'it is ready')"),
        (misnamed_events, "named('no.such-event', 'words')"),
        (misnamed_events, "named('reload.done', 'words', workers=1)"),
    ],
)
def test_an_event_without_a_proper_name_is_found(checker: Checker, source: str) -> None:
    assert list(checker([Module("l7.cli", source)]))


def test_top_level_is_fixed() -> None:
    if not (CHECKOUT / ".git").exists():
        pytest.skip("not a checkout")
    command = ["git", "-c", f"safe.directory={CHECKOUT}", "-C", str(CHECKOUT), "ls-files"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
    assert {name.split("/")[0] for name in listed.splitlines()} <= TOP_LEVEL


def test_nothing_is_left_undone_elsewhere() -> None:
    files = [path for room in ("tests", "docs", ".ci") for path in (CHECKOUT / room).rglob("*") if path.is_file()]
    texts = [path for path in files if path.suffix in {".py", ".rst", ".toml"} and "_build" not in path.parts]
    assert texts
    undone = [str(path) for path in texts if UNFINISHED.search(path.read_text("utf-8", "replace"))]
    assert not undone


def modules_share_by_the_harness(modules: list[Module]) -> Complaints:
    """What two test modules need belongs into ``tests/harness/``."""
    names = {module.name for module in modules}
    for module in modules:
        for found in module.imports(names):
            if any(part.startswith("test_") for part in found.target.split(".")):
                yield f"{module.name}:{found.line}: imports {found.target}"


def test_what_a_pass_of_the_suite_names_is_there() -> None:
    modules = [place.partition("::") for place in (*COMPILED_ALONE, *OVER_TLS, *PLAIN_ALONE, *SLOW)]
    assert [place for place, _, _ in modules if not (CHECKOUT / "tests" / place).exists()] == []
    tests = [(CHECKOUT / "tests" / place, name) for place, _, name in modules if name]
    assert [name for path, name in tests if f"def {name}(" not in path.read_text("utf-8")] == []


def test_no_test_module_is_imported() -> None:
    paths = sorted((CHECKOUT / "tests").rglob("*.py"))
    modules = [Module(_module_name(path), path.read_text("utf-8")) for path in paths]
    complaints = list(modules_share_by_the_harness(modules))
    assert not complaints, "\n".join(complaints)


@pytest.mark.parametrize("source", ["from tests.e2e.test_b import f", "from tests.e2e import test_b", "import test_b"])
def test_an_imported_test_module_is_found(source: str) -> None:
    modules = [Module("tests.e2e.test_a", source), Module("tests.e2e.test_b", "")]
    assert len(list(modules_share_by_the_harness(modules))) == 1


POINTER = re.compile(r"\bu?char\b|\w\s*\*|\bcimport\s+(libc|cpython)\b|\bfrom\s+(libc|cpython)\b|\bextern\b")
"""What lets compiled code read memory without looking at its bounds: pointers, and C that is called."""
VIEW = re.compile(r"\[\s*:")
"""A view of memory by Cython, which looks, and puts 900 KB of C into each module that knows of it."""
UNCHECKED = re.compile(r"\b(boundscheck|wraparound)\b|#\s*cython:|^\s*(import|from)\s+cython\b", re.MULTILINE)
"""What takes the checks of an index away, or puts types where `POINTER` is not looked for."""
BY_ADDRESS = {
    "l7/clock.pxd",
    "l7/http/octets.pxd",
    "l7/workers/runtime/switching.pxd",
    "l7/sharedmem/integers.pxd",
    "l7/telemetry/line_writing.pxd",
    "l7/telemetry/recorder/texts.pxd",
    "l7/workers/transport/socket_calls.pxd",
}
"""The time, octets that are looked at, cells, lines and texts, greenlets, what is received and sent."""


def only_helpers_go_by_address(files: dict[str, str]) -> Complaints:
    """Nothing but the helpers in `BY_ADDRESS` reads or writes memory; they can check, or always do."""
    for path, source in files.items():
        lines = [line.partition("#")[0] for line in source.splitlines()]
        found = bool(UNCHECKED.search(source))
        if path.endswith(".pxd") and path not in BY_ADDRESS:
            found = found or any(POINTER.search(line) or VIEW.search(line) for line in lines)
        if found:
            yield f"{path}: reads memory without a look at its bounds"


def test_only_helpers_go_by_address() -> None:
    paths = [path for path in sorted((CHECKOUT / "l7").rglob("*.p*")) if path.suffix in {".py", ".pxd", ".pyx", ".pxi"}]
    files = {path.relative_to(CHECKOUT).as_posix(): path.read_text("utf-8") for path in [*paths, CHECKOUT / "setup.py"]}
    assert set(files) >= BY_ADDRESS and not any(path.endswith((".pyx", ".pxi")) for path in files)
    complaints = list(only_helpers_go_by_address(files))
    assert not complaints, "\n".join(complaints)


@pytest.mark.parametrize(
    ("path", "source", "complaints"),
    [
        ("l7/http/fields.pxd", '    @cython.locals(end=Py_ssize_t, text="const char *")', 1),
        ("l7/http/fields.pxd", "cdef unsigned char* _beginning", 1),
        ("l7/http/fields.pxd", "cdef int *counts", 1),
        ("l7/http/fields.pxd", "from cpython.bytes cimport PyBytes_FromStringAndSize", 1),
        ("l7/http/fields.pxd", "cdef extern from *:", 1),
        ("l7/http/fields.py", "import cython", 1),
        ("l7/http/fields.py", "# cython: boundscheck=False", 1),
        ("setup.py", 'DIRECTIVES = {"boundscheck": False}', 1),
        ("l7/http/fields.pxd", "    cpdef Field pick(self, object tried, int key=*)  # not a char *", 0),
        ("l7/http/fields.pxd", "cdef long long[::1] _cells", 1),
        ("l7/http/octets.pxd", "cdef extern from *:", 0),
        ("l7/sharedmem/integers.pxd", "cdef extern from *:", 0),
    ],
)
def test_a_pointer_is_found(path: str, source: str, complaints: int) -> None:
    assert len(list(only_helpers_go_by_address({path: source}))) == complaints


def test_hot_modules_are_those_with_types() -> None:
    included = {path.removesuffix(".pxd").replace("/", ".") for path in BY_ADDRESS}
    """What is in their .pxd is compiled into each module that names them."""
    typed = {_module_name(path) for path in (CHECKOUT / "l7").rglob("*.pxd")}
    assert typed - included == set(compiled.HOT)


def test_the_page_names_each_room() -> None:
    """docs/architecture.rst says of each room on which floor it is."""
    page = (CHECKOUT / "docs/architecture.rst").read_text("utf-8")
    table = page[page.index("\nFloors\n") : page.index("MASTER_FLOORS")]
    found: dict[str, int] = {}
    for row in table.split("   * - ")[2:]:
        floor, rooms, _ = re.split(r"\n     - ", row, maxsplit=2)
        found.update(dict.fromkeys(re.findall(r"``(\w+)/?``", rooms), int(floor)))
    told = {room.removeprefix("l7."): floor for room, floor in FLOORS.items() if floor and not room.endswith("__")}
    assert found == told


def test_master_runs_no_gevent() -> None:
    """It imports what workers need, so that they are born with it; a hub or a patch would be a worker's inheritance."""
    code = (
        "import sys, l7.master.build\n"
        "from gevent import _hub_local, monkey\n"
        "sys.exit(_hub_local.get_hub_if_exists() is not None or any(map(monkey.is_module_patched, sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
