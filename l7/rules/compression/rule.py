"""``compress``: the codings that a route offers; what is made of that is in the modules beside this one."""

from __future__ import annotations

from typing import Any

from l7.config.generation import Path
from l7.http.messages import LocalResponse
from l7.rules.compression.eligibility import MINIMUM
from l7.rules.compression.own import OwnAnswers
from l7.rules.compression.plan import Asked
from l7.rules.context import RuleContext
from l7.rules.inheritance import RouteSettings
from l7.rules.rule import Rule


class CompressionRule(Rule):
    """Notes what a client takes before other rules change its request; goes by it after they changed the answer."""

    __slots__ = ("_own", "codings")

    setting = "compress"

    def __init__(self, path: Path, codings: tuple[str, ...]) -> None:
        super().__init__(path)
        self.codings = tuple([coding.encode("ascii") for coding in codings])
        self._own = OwnAnswers()

    @classmethod
    def of(cls, settings: RouteSettings, resources: Any) -> CompressionRule | None:
        """The rule of a route that compresses."""
        codings, path = settings.inherited("compress")
        return cls(path, codings) if codings else None

    def describe(self) -> str:
        """The codings, the best first."""
        names = b", ".join(self.codings).decode("ascii")
        return f"text-like answers of {MINIMUM} bytes or more, by what the client takes of {names}"

    def verdict(self, context: RuleContext) -> str:
        """The coding that this client gets."""
        if context.asked is None:
            return ""
        coding = context.asked.coding
        return "not for this request" if coding is None else f"this client gets {coding.decode('ascii')}"

    def ask(self, context: RuleContext) -> None:
        """Note what the client takes, and tell the server both forms of the tags that it names."""
        context.asked = Asked(context.head, self.codings)

    def own(self, context: RuleContext, answer: LocalResponse) -> LocalResponse:
        """An answer of l7's own, compressed where it may be."""
        if context.asked is None:
            context.asked = Asked(context.head, self.codings)
        return self._own.coded(context.asked, answer)
