"""What a rule is: a setting of a route that decides about its requests or answers, beside who serves them.

There are four kinds, by when they act; one of another kind may change answers, too (`Rule.changes_answers`). All that
can be called is declared of `Rule`, so that compiled it is found in the same place whichever kind a rule is of.
`l7.rules.compile` makes them, once a generation; from then on they never change.

Hot only as types: what is called here goes to the implementation by its pointer.
"""

from __future__ import annotations

from typing import ClassVar

from l7.config.generation import Path
from l7.errors import ProxyError
from l7.http.messages import LocalResponse, ResponseHead
from l7.rules.context import RuleContext


class Rule:
    """One rule of a route; ``path`` is where it stands in the configuration."""

    __slots__ = ("path",)

    setting: ClassVar[str] = ""
    """What it is called in the file, as in ``rate-limit``."""
    changes_answers: ClassVar[bool] = False
    """Whether `on_response` and `on_own` do anything."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def describe(self) -> str:
        """What it does, in one line for `l7 explain`, without a secret."""
        raise NotImplementedError

    def verdict(self, context: RuleContext) -> str:
        """What it makes of one request, in words for `l7 explain`; empty where `describe` says as much."""
        return ""

    def admit(self, context: RuleContext) -> None:
        """Of an `AdmissionRule`: let a request pass; raises the `ProxyError` that it is refused with. May wait."""
        raise NotImplementedError

    def admits_at_once(self, context: RuleContext) -> bool:
        """Whether a request may pass, found out without waiting, for callbacks of the loop.

        Where it is False nothing has happened yet, and `admit` decides.
        """
        try:
            self.admit(context)
        except ProxyError:
            return False
        return True

    def answer(self, context: RuleContext) -> LocalResponse:
        """Of an `AnswerRule`: the answer to a request."""
        raise NotImplementedError

    def on_request(self, context: RuleContext) -> None:
        """Of a `RequestRule`: change the head of a request before it is written for its server."""
        raise NotImplementedError

    def on_response(self, context: RuleContext, response: ResponseHead) -> None:
        """Where it `changes_answers`: change the final answer of a server, or its 101."""
        raise NotImplementedError

    def on_own(self, context: RuleContext, answer: LocalResponse) -> LocalResponse:
        """What becomes of an answer of l7's own, also to what could not be read as a request (`UNREAD`)."""
        return answer


class AdmissionRule(Rule):
    """Lets requests in, or refuses them."""

    __slots__ = ()


class AnswerRule(Rule):
    """Answers requests itself; no server is asked."""

    __slots__ = ()


class RequestRule(Rule):
    """Changes what goes on to the servers."""

    __slots__ = ()


class ResponseRule(Rule):
    """Changes answers before they go to clients."""

    __slots__ = ()

    changes_answers = True
