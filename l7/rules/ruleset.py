"""The rules of one route, in the order in which they act: made once a generation, never changed.

Hot: a request of a route with rules passes through here three times.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from l7.errors import ProxyError
from l7.http.messages import LocalResponse, ResponseHead
from l7.rules.answers.error_pages import ErrorPagesRule
from l7.rules.compression.rule import CompressionRule
from l7.rules.context import RuleContext
from l7.rules.login import LoginRule
from l7.rules.rule import AdmissionRule, AnswerRule, RequestRule, Rule


class RuleSet:
    """All rules of a route; each kind in the order of ``rules``."""

    __slots__ = ("_admission", "_request", "_response", "answer", "compression", "logs_in", "pages", "rules")

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = tuple(rules)
        self._admission = tuple([rule for rule in self.rules if isinstance(rule, AdmissionRule)])
        self._request = tuple([rule for rule in self.rules if isinstance(rule, RequestRule)])
        self._response = tuple([rule for rule in self.rules if rule.changes_answers])
        self.answer: AnswerRule | None = next((rule for rule in self.rules if isinstance(rule, AnswerRule)), None)
        """What answers instead of servers."""
        self.compression = next((rule for rule in self.rules if isinstance(rule, CompressionRule)), None)
        """What compresses answers, of servers when they are relayed (`l7.workers.rules.compression`)."""
        pages = [rule for rule in self.rules if isinstance(rule, ErrorPagesRule)]
        self.pages: ErrorPagesRule | None = pages[0] if pages else None
        """What is shown instead of l7's own words."""
        self.logs_in = any(isinstance(rule, LoginRule) for rule in self.rules)
        """Whether logins are checked."""

    def __iter__(self) -> Iterator[Rule]:
        return iter(self.rules)

    def begins(self, context: RuleContext) -> bool:
        """Whether a request may go on to a server, found out without waiting; where not, `admit` goes on from there."""
        if self.answer is not None:
            return False
        for rule in self._admission:
            if not rule.admits_at_once(context):
                return False
            context.admitted += 1
        return True

    def admit(self, context: RuleContext) -> None:
        """Let a request in, or raise the `ProxyError` that it is refused with; goes on where `begins` has ended."""
        for rule in self._admission[context.admitted :]:
            try:
                rule.admit(context)
            except ProxyError as failure:
                failure.rule = rule.setting
                raise
            context.admitted += 1

    def on_request(self, context: RuleContext) -> None:
        """Change the head of a request before it is written for its server."""
        if self.compression is not None:
            self.compression.ask(context)
        for rule in self._request:
            rule.on_request(context)

    def on_response(self, context: RuleContext, response: ResponseHead) -> None:
        """Change the final answer of a server, or its 101."""
        for rule in self._response:
            rule.on_response(context, response)

    def own(self, context: RuleContext, answer: LocalResponse) -> LocalResponse:
        """What becomes of an answer of l7's own, also to what could not be read as a request."""
        for rule in self._response:
            answer = rule.on_own(context, answer)
        return answer if self.compression is None else self.compression.own(context, answer)
