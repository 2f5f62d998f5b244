"""The rules of one request, each with its place in the configuration: asked in their order, by the code that serves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from l7.balancing.routing import Match, Routes
from l7.config.generation import Path, Sources
from l7.config.schema import Config
from l7.config.sections.headers import is_secret
from l7.config.values.names import printable, show_path
from l7.errors import LOOP, ProxyError
from l7.explain.asked import AskedRequest
from l7.http.forwarding import MOST_HOPS, loops, without
from l7.http.framing import LengthReader, bound_request
from l7.http.messages import LocalResponse, ResponseHead, StatusLine
from l7.rules.answers.last_hop import last_hop
from l7.rules.compile import RuleCompiler, RuleResources
from l7.rules.context import ANY_SIZE, RuleContext
from l7.rules.login import LoginRule, needs_login
from l7.rules.rule import AdmissionRule, AnswerRule, Rule
from l7.rules.ruleset import RuleSet

OF_CLIENTS = ("allow", "deny")
"""Rules that say nothing of a client that is not known."""
BODY = "limits.body"
USER = b"<login>"
"""The login of a request that needs one: which it is, is not asked."""
GENERAL, DEFAULTS = "all", "defaults"
"""Whose a rule is that stands at the top, or below ``defaults``."""
_OK = StatusLine(b"HTTP/1.1 200 OK\r\n", 200, b"OK", 1)


@dataclass(frozen=True)
class ExplainedRule:
    """One rule; ``verdict`` is what it says of this request, empty where that is no more than what it says of all."""

    rule: Rule
    source: str
    """Where it was written, as ``config.yml:12``; empty where that is not known."""
    inherited: str | None
    """The route that it stands at, where that is not the request's own; `GENERAL` or `DEFAULTS`."""
    verdict: str = ""

    def plain(self, context: RuleContext) -> dict[str, Any]:
        """It as a JSON object."""
        return {
            "setting": self.rule.setting,
            "path": show_path(self.rule.path),
            "source": self.source or None,
            "inherited": self.inherited,
            "words": printable(self.rule.describe(), 2000),
            "verdict": self.verdict or self.rule.verdict(context) or None,
        }


class Decision(NamedTuple):
    """What has refused or answered a request: a setting, and where it was written."""

    setting: str
    source: str


@dataclass(frozen=True)
class RuleFindings:
    """What the rules make of a request: one of them refuses it, or answers it, or none does."""

    rules: tuple[ExplainedRule, ...]
    compiled: RuleSet
    context: RuleContext
    decided: Decision | None = None
    refused: ProxyError | None = None
    answer: LocalResponse | None = None

    def request_lines(self, request: AskedRequest, strips: bool) -> tuple[str, ...]:
        """The head that a server gets, line by line; what proves who asks is not shown.

        :param strips: whether servers get no Authorization, but the login that was checked.
        """
        context, user = self.context, b""
        if strips:
            user = request.exchange.user
            context.head.runs = [kept for run in context.head.runs if (kept := without(run, b"authorization"))]
            context.believed = None if context.believed is None else without(context.believed, b"x-forwarded-user")
        self.compiled.on_request(context)
        identity = request.exchange.request_id.encode("ascii")
        told = request.hop.request_head(context.head, identity, context.believed, b"", user)
        lines = [_without_login(line.decode("utf-8", "replace")) for line in told.split(b"\r\n") if line]
        if context.sent_host or context.names_server:
            lines[1] = f"Host: {context.sent_host.decode('ascii') or '<address of the server>'}"
        return tuple(lines)

    def response_lines(self) -> tuple[str, ...]:
        """The field lines that come into an answer: one of a server, or of l7 where it answers itself."""
        if self.refused is not None or self.answer is not None:
            answer = self.answer or LocalResponse(self.refused.kind.status if self.refused else 200, "", b"")
            return self.compiled.own(self.context, answer).fields
        head = ResponseHead(_OK)
        self.compiled.on_response(self.context, head)
        return tuple(line.decode("utf-8", "replace") for line in head.lines)


def find_rules(
    config: Config, routes: Routes, match: Match | None, request: AskedRequest, sources: Sources, *, known: bool
) -> RuleFindings:
    """Ask the rules that hold for a request; after the one that refuses it none is asked.

    :param known: whether the client is known; else the rules that go by its address say nothing.
    """
    compiled = RuleCompiler(config, routes, RuleResources()).of(match) or RuleSet(())
    context = RuleContext(request.exchange, request.head, request.hop, request.believed, match, compiled)
    verdicts, decided, refused = _admit(compiled, context, known=known)
    answer = None
    if refused is None and loops(request.head):
        refused = ProxyError(LOOP, f"it came through {MOST_HOPS} times")
    elif refused is None:
        refused = _too_large(config, context)
        own = next((rule.path for rule in compiled if rule.setting == BODY), tuple(BODY.split(".")))
        decided = None if refused is None else Decision(BODY, source_of(own, sources))
    if refused is None and request.head.max_forwards == 0:
        answer = last_hop(request.head)
    elif refused is None and compiled.answer is not None:
        answer, refused = _answer(compiled.answer, context)
        decided = compiled.answer
    found = [
        ExplainedRule(
            rule, source_of(rule.path, sources), _inherited(rule.path, match, sources), verdicts.get(rule, "")
        )
        for rule in compiled
    ]
    if isinstance(decided, Rule):
        decided = Decision(decided.setting, source_of(decided.path, sources))
    return RuleFindings(tuple(found), compiled, context, decided, refused, answer)


def unrouted(
    config: Config, routes: Routes, request: AskedRequest, answer: LocalResponse
) -> tuple[tuple[str, ...], str]:
    """What general rules make of an answer before any route is asked: its fields, and the page of a refusal."""
    compiled = RuleCompiler(config, routes, RuleResources()).of(None) or RuleSet(())
    context = RuleContext(request.exchange, request.head, request.hop, request.believed, None, compiled)
    page = None if compiled.pages is None else compiled.pages.file_of(answer.status)
    return compiled.own(context, answer).fields, page or ""


def _admit(
    compiled: RuleSet, context: RuleContext, *, known: bool
) -> tuple[dict[Rule, str], Rule | Decision | None, ProxyError | None]:
    """What the rules say that may refuse a request; the one that does, and with what."""
    verdicts: dict[Rule, str] = {}
    for rule in compiled:
        if isinstance(rule, AdmissionRule):
            verdicts[rule], refused = _ask(rule, context, known=known)
            if refused is not None:
                return verdicts, rule, refused
    return verdicts, None, None


def _ask(rule: AdmissionRule, context: RuleContext, *, known: bool) -> tuple[str, ProxyError | None]:
    """What a rule says of the request, in words, and what that is refused with."""
    if isinstance(rule, LoginRule):
        if not needs_login(context.head):
            return "not asked of this request", None
        context.exchange.user = USER
        return "else 401", None
    if rule.setting in OF_CLIENTS and not known:
        return "say who asks: --client ADDRESS", None
    try:
        rule.admit(context)
    except ProxyError as error:
        return f"refuses this request: {error.kind.status}", error
    return "", None


def _too_large(config: Config, context: RuleContext) -> ProxyError | None:
    """What a body is refused with that is announced to be larger than is taken."""
    limit = config.limits.body if context.body_limit < 0 else context.body_limit
    try:
        bound_request(LengthReader(0), context.head.length, ANY_SIZE if limit is None else limit)
    except ProxyError as error:
        return error
    return None


def _answer(rule: AnswerRule, context: RuleContext) -> tuple[LocalResponse | None, ProxyError | None]:
    try:
        return rule.answer(context), None
    except ProxyError as error:
        return None, error


def source_of(path: Path, sources: Sources) -> str:
    """Where a setting was written, or what it stands in; empty where that is not known."""
    around = (sources[path[:depth]] for depth in range(len(path) - 1, 0, -1) if path[:depth] in sources)
    return _written(path, sources) or next(around, "")


def _written(path: Path, sources: Sources) -> str:
    """Where a setting itself was written, or the first part of it, as flags and variables give sections; or empty."""
    if path in sources:
        return sources[path]
    return next((place for below, place in sources.items() if below[: len(path)] == path), "")


def _inherited(path: Path, match: Match | None, sources: Sources) -> str | None:
    if path[0] != "backends":
        return GENERAL
    if match is None or path[1] != match.key:
        return str(path[1])
    general = (DEFAULTS, *path[2:])
    if (general in sources) != (path in sources):
        return None
    place = _written(general, sources)
    return DEFAULTS if place and place == _written(path, sources) else None


def _without_login(line: str) -> str:
    name, colon, _ = line.partition(":")
    return f"{name}: …" if colon and is_secret(name) else line
