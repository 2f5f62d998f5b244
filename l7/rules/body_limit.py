"""How large the body of a request may be on one route: ``limits.body``, instead of the general one.

Hot: called by its pointer.
"""

from __future__ import annotations

from l7.config.generation import Path
from l7.config.sections.rules import INHERITED
from l7.config.values.scalars import show_size_or_unlimited
from l7.rules.context import ANY_SIZE, RuleContext
from l7.rules.inheritance import RouteSettings
from l7.rules.rule import AdmissionRule


class BodyLimitRule(AdmissionRule):
    """Says how large bodies may be; whoever reads one holds to it, as far as it is known only while it comes."""

    __slots__ = ("_limit", "_most")

    setting = "limits.body"

    def __init__(self, path: Path, limit: int | None) -> None:
        super().__init__(path)
        self._limit = limit
        self._most = ANY_SIZE if limit is None else limit

    @classmethod
    def of(cls, settings: RouteSettings, resources: object) -> BodyLimitRule | None:
        """The rule of a route; None where the general limit holds."""
        found = settings.own("limits")
        if found is None or found[0].body == INHERITED:
            return None
        return cls((*found[1], "body"), found[0].body)

    def describe(self) -> str:
        """How much is taken."""
        if self._limit is None:
            return "a body may be of any size"
        size = show_size_or_unlimited(self._limit)
        return f"a body of more than {size}{' bytes' if size.isdigit() else ''} is refused"

    def admit(self, context: RuleContext) -> None:
        """Note how many bytes are taken."""
        context.body_limit = self._most

    def admits_at_once(self, context: RuleContext) -> bool:
        """The same: whoever begins a request looks at it."""
        context.body_limit = self._most
        return True
