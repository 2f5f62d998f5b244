"""Answers that are written in the configuration: the same to every method, as HEAD without its body."""

from __future__ import annotations

from l7.config.generation import Path
from l7.http.messages import LocalResponse
from l7.rules.context import RuleContext
from l7.rules.inheritance import RouteSettings
from l7.rules.rule import AnswerRule
from l7.rules.templates import Template


class RespondRule(AnswerRule):
    """Answers every request itself.

    :param path: where it is configured.
    :param status: 200 to 599.
    :param media_type: of the body; values of variables are escaped as it needs it.
    :param body: the text with its variables; with an empty one no media type is sent.
    """

    __slots__ = ("_media_type", "_template", "status")

    setting = "respond"

    def __init__(self, path: Path, status: int, media_type: str, body: str) -> None:
        super().__init__(path)
        self.status = status
        self._media_type = media_type if body else ""
        self._template = Template.parse(body)

    @classmethod
    def of(cls, settings: RouteSettings, _: object) -> RespondRule | None:
        """The rule of a route; None where it is served otherwise."""
        found = settings.own("respond")
        return None if found is None else cls(found[1], found[0].status, found[0].type, found[0].body)

    def describe(self) -> str:
        """The status and the type, and nothing of the body."""
        return f"{self.status} {self._media_type}" if self._media_type else f"{self.status} without a body"

    def answer(self, context: RuleContext) -> LocalResponse:
        """The answer, with the values of this request in its body."""
        return LocalResponse(self.status, self._media_type, self._template.body(context, self._media_type))
