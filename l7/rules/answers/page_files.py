"""The files of error pages, read and checked with the configuration that names them: each problem with its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from l7.config.file_content import read_regular_file, why_unreadable
from l7.config.generation import Loaded, Path, problem_at
from l7.config.schema import Config
from l7.config.values.answers import LARGEST_PAGE
from l7.config.values.names import printable
from l7.config.values.templates import OF_FAILURES, pieces_of
from l7.errors import ConfigError, Problem
from l7.rules.answers.error_pages import ErrorPage, Pages

ReadPage = Callable[[str], bytes]
"""Gives the content of a file of at most `l7.config.values.answers.LARGEST_PAGE` bytes; raises ``OSError``."""


def read_error_page(name: str) -> bytes:
    """The content of an error page; raises ``OSError``."""
    return read_regular_file(name, LARGEST_PAGE)


def read_pages(loaded: Loaded, read: ReadPage) -> dict[str, ErrorPage]:
    """Read the error pages that a configuration names, each once; raises `ConfigError` with all that is wrong."""
    found: dict[str, ErrorPage] = {}
    problems: list[Problem] = []
    for name, path in _named(loaded.config).items():
        try:
            found[name] = _page(name, read)
        except ValueError as error:
            problems.append(problem_at(loaded, path, f"{printable(name, 200)}: {error}"))
    if problems:
        raise ConfigError(problems)
    return found


def changed_pages(old: Pages, new: Pages) -> list[str]:
    """A line for each file that is named as before and has another content."""
    return [f"error-pages: {printable(name, 200)}: changed" for name in new if name in old and old[name] != new[name]]


def _named(config: Config) -> dict[str, Path]:
    """The files that are named, each with the first setting that does."""
    found: dict[str, Path] = {}
    for above, settings in _settings(config):
        for status, name in settings.items():
            found.setdefault(name, (*above, "error-pages", status))
    return found


def _settings(config: Config) -> Iterator[tuple[Path, Mapping[str, str]]]:
    yield (), config.error_pages
    for route, backend in config.backends.items():
        yield ("backends", route), backend.error_pages


def _page(name: str, read: ReadPage) -> ErrorPage:
    """Read one page; raises ValueError in words for the user."""
    try:
        content = read(name)
    except OSError as error:
        raise ValueError(why_unreadable(name, error)) from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {line}: is no text in UTF-8") from None
    if "\0" in text:
        raise ValueError("has a zero byte: it is no text")
    if not text.strip():
        raise ValueError("is empty")
    for number, words in enumerate(text.splitlines(), 1):
        try:
            pieces_of(words, OF_FAILURES)
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
    return ErrorPage(name, text)
