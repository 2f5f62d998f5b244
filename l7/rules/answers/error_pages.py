"""Error pages: what a client is shown instead of l7's own words when l7 refuses or fails a request.

What a server answers is never replaced. The files are read with the configuration (`l7.rules.answers.page_files`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from l7.config.generation import Path
from l7.config.values.answers import page_type
from l7.config.values.names import printable
from l7.config.values.templates import OF_FAILURES
from l7.rules.context import RuleContext
from l7.rules.inheritance import RouteSettings
from l7.rules.rule import Rule
from l7.rules.templates import Template

JSON = "application/json"
T = TypeVar("T")


class ErrorPage:
    """The content of one file, with its variables; kept once, however many routes show it.

    :param name: the path of the file, whose end says what it is.
    :param text: its content.
    :raises ValueError: there is an unknown variable in it.
    """

    __slots__ = ("_template", "_text", "media_type")

    def __init__(self, name: str, text: str) -> None:
        self.media_type = page_type(name)
        self._text = text
        self._template = Template.parse(text, OF_FAILURES)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ErrorPage) and (other.media_type, other._text) == (self.media_type, self._text)

    def __hash__(self) -> int:
        return hash(self._text)

    @property
    def is_json(self) -> bool:
        """Whether it is for programs."""
        return self.media_type == JSON

    def body(self, context: RuleContext, known: Mapping[str, bytes]) -> bytes:
        """What is sent, with values escaped as its type needs it.

        :param context: the request, also one that could not be read.
        :param known: the status, the reason, and what else is known without a request, by the name of its variable.
        """
        return self._template.body(context, self.media_type, known)


Pages = Mapping[str, ErrorPage]
"""Pages by the name of their file."""


class ErrorPagesRule(Rule):
    """Which page is shown for a status: of the nearest settings that have one, for itself before its range.

    :param settings: the files by status (``502``) or range (``5xx``), the nearest settings first.
    :param pages: the pages by file; what is not among them is not shown.
    """

    __slots__ = ("_by_status", "_settings")

    setting = "error-pages"

    def __init__(self, path: Path, settings: Sequence[Mapping[str, str]], pages: Pages) -> None:
        super().__init__(path)
        self._settings = settings
        self._by_status = [{status: pages[name] for status, name in one.items() if name in pages} for one in settings]

    @classmethod
    def of(cls, settings: RouteSettings, resources: Any) -> ErrorPagesRule | None:
        """The rule of a route, or of what has none; None where l7's own words are all that is sent."""
        found = [(value, path) for value, path in settings.levels("error_pages") if value]
        if not found:
            return None
        found.reverse()
        return cls(found[0][1], [value for value, _ in found], resources.pages)

    def describe(self) -> str:
        """The files by status, in the order in which they are looked for."""
        found: dict[str, str] = {}
        for one in self._settings:
            for status in sorted(one, key=_exact_first):
                found.setdefault(status, one[status])
        return ", ".join(f"{status}: {printable(name)}" for status, name in found.items())

    def find(self, status: int) -> ErrorPage | None:
        """The page for a status; None where l7's own words are sent."""
        return _first(self._by_status, status)

    def file_of(self, status: int) -> str | None:
        """The name of the file with the page for a status, for `l7 explain`."""
        return _first(self._settings, status)


def _first(levels: Sequence[Mapping[str, T]], status: int) -> T | None:
    """What stands nearest for a status, for itself before its range."""
    for level in levels:
        found = level.get(f"{status}") or level.get(f"{status // 100}xx")
        if found is not None:
            return found
    return None


def _exact_first(status: str) -> tuple[bool, str]:
    return status.endswith("xx"), status
