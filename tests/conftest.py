"""Fixtures of the whole suite: factories for the real program and for scripted origins, both checked for leaks."""

from __future__ import annotations

import contextlib
import functools
import os
import random
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import l7 as package
from tests.harness import over_tls
from tests.harness.checkout import CHECKOUT
from tests.harness.client import Client
from tests.harness.l7process import L7Process
from tests.harness.origin import Origin
from tests.harness.passes import COMPILED_ALONE, OVER_TLS, PLAIN_ALONE, SLOW, is_second_pass
from tests.harness.stage import Play, Stage


def pytest_configure(config: pytest.Config) -> None:
    """Register our markers, and refuse to test another l7 than was said."""
    config.addinivalue_line("markers", "e2e: runs the real program")
    expected, found = os.environ.get("EXPECT_L7"), f"{package.compiled.flavour()}, {Path(package.__file__).parent}"
    if expected and (not found.startswith(expected) or CHECKOUT in Path(package.__file__).resolve().parents[1:3]):
        raise pytest.UsageError(f"the l7 to test is to be installed, and {expected}; this one is {found}")
    _hear_signals()


def _hear_signals() -> None:
    """Let the programs that tests start hear what whoever started us does not, as ``nohup`` and a shell's ``&`` do."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)  # a program that is started begins with the default instead


def pytest_report_header() -> str:
    """Which l7 is tested."""
    return f"l7: {package.compiled.flavour()}, {Path(package.__file__).parent}"


@functools.cache
def _place(path: Path) -> str:
    """Where a test stands, as ``e2e/test_reload.py``. Each process asks for each of eight thousand tests, thrice."""
    return path.resolve().relative_to(Path(__file__).resolve().parent).as_posix()


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out of the second pass what it says nothing new of; what is named on the command line is run."""
    return True if is_second_pass() and _place(collection_path) in COMPILED_ALONE else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slowest modules; mark all of tests/e2e, so that ``-m 'not e2e'`` runs what needs no processes."""
    order = {place: number for number, place in enumerate(SLOW)}
    items.sort(key=lambda item: order.get(_place(item.path), len(order)))
    for item in items:
        if _place(item.path).startswith("e2e/"):
            item.add_marker("e2e")
            _leave_plain(item)


def _leave_plain(item: pytest.Item) -> None:
    """Skip, where all tests run over TLS, one that says nothing of it, or cannot."""
    place = _place(item.path)
    for reason in filter(None, map(PLAIN_ALONE.get, (place, f"{place}::{getattr(item, 'originalname', '')}"))):
        if over_tls.ALWAYS:
            item.add_marker(pytest.mark.skip(reason=reason))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run over TLS once more what is named for it."""
    if _place(Path(metafunc.module.__file__)) in OVER_TLS and not over_tls.ALWAYS and not is_second_pass():
        metafunc.parametrize("spoken", ["http", "https"], indirect=True, scope="module")


@pytest.fixture(scope="module", autouse=True)
def spoken(request: pytest.FixtureRequest) -> Iterator[None]:
    """What clients of one port speak; what is started for a whole module has to ask for it."""
    with over_tls.speaking(getattr(request, "param", "https" if over_tls.ALWAYS else "http")):
        yield


@pytest.fixture
def origin() -> Iterator[Callable[..., Origin]]:
    """Start origins: ``origin(handler, name=..., unix=...)``. Asserts at the end that none was sent a bad request."""
    with contextlib.ExitStack() as stack:
        started: list[Origin] = []

        def start(*args: Any, **options: Any) -> Origin:
            one = stack.enter_context(Origin(*args, **options))
            started.append(one)
            return one

        yield start
        stack.close()
        violations = [violation for one in started for violation in one.violations]
        assert not violations, "\n".join(violations)


@pytest.fixture(scope="module")
def running(request: pytest.FixtureRequest, spoken: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One l7 for all tests of a module that take `play`, with the module's ``CONFIG``.

    Or with what its ``stage_config`` makes of a directory for other files and of the origin's address.
    """
    made = getattr(request.module, "stage_config", None)
    config = request.module.CONFIG if made is None else partial(made, tmp_path_factory.mktemp("stage"))
    with Stage(config) as stage:
        yield stage


@pytest.fixture
def play(running: Stage) -> Iterator[Play]:
    """One test's share of it."""
    with running.scene() as play:
        yield play


@pytest.fixture
def proxy(play: Play) -> L7Process:
    """The l7 of all tests of a module."""
    return play.proxy


@pytest.fixture
def connect() -> Iterator[Callable[..., Client]]:
    """Open connections that are closed when the test ends: ``connect(port)``."""
    with contextlib.ExitStack() as stack:
        yield lambda *args, **options: stack.enter_context(Client(*args, **options))


@pytest.fixture
def l7(origin: Callable[..., Origin], tmp_path: Path) -> Iterator[Callable[..., L7Process]]:
    """Start l7: ``l7(config_text, argv=[...], workers=2)``, see `L7Process`. Stops it and asserts that nothing leaked.

    Descriptors must come back to what they were before the requests once clients have gone; a process started with
    ``leaks=False`` is not asked (its workers were killed, say). One that a test stopped itself is left alone.
    """
    started: list[tuple[L7Process, bool]] = []

    def start(config: str | None = None, *, leaks: bool = True, **options: Any) -> L7Process:
        directory = tmp_path / f"l7-{len(started)}"
        directory.mkdir()
        process = L7Process(config, directory=directory, **options)
        started.append((process, leaks))
        return process

    try:
        yield start
        for process, leaks in started:
            if process.process.poll() is None:
                if leaks and process.baseline:
                    process.assert_no_leaks()
                process.stop()
    finally:
        for process, _ in started:
            process.kill()


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that everybody may enter and read, as pytest's own are not."""
    path = Path("/tmp") / f"l7-public-{os.getpid()}-{random.randrange(10**9)}"
    path.mkdir(mode=0o755)
    yield path
    for file in path.iterdir():
        file.unlink()
    path.rmdir()
