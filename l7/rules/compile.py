"""Making the rules of routes from the configuration: each rule is a class and its place in the order here.

The order is that of `docs/rules.rst`: what refuses, what answers, what changes requests, what changes answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from l7.balancing.routing import Match, Routes
from l7.config.generation import Path
from l7.config.model import SecretStr
from l7.config.schema import Config
from l7.networks import NetworkSet
from l7.rules.access import AllowRule, DenyRule
from l7.rules.answers.error_pages import ErrorPagesRule, Pages
from l7.rules.answers.redirect import RedirectRule
from l7.rules.answers.respond import RespondRule
from l7.rules.body_limit import BodyLimitRule
from l7.rules.compression.rule import CompressionRule
from l7.rules.heads.header_rules import RequestHeadersRule, ResponseHeadersRule
from l7.rules.heads.upstream_rules import ClientHostRule, RestorePrefixRule, StripPrefixRule, UpstreamHostRule
from l7.rules.inheritance import RouteSettings
from l7.rules.login import LoginRule, LoginVerifier
from l7.rules.rate_limit import Limiter, RateLimitRule
from l7.rules.rule import Rule
from l7.rules.ruleset import RuleSet


def _no_authenticator(users: Mapping[str, SecretStr]) -> LoginVerifier | None:
    return None


@dataclass(frozen=True)
class RuleResources:
    """What rules need that is no setting: a worker has it, an explanation does without."""

    authenticator: Callable[[Mapping[str, SecretStr]], LoginVerifier | None] = _no_authenticator
    """Makes what checks these logins."""
    pages: Pages = field(default_factory=dict)
    """The error pages by their files."""
    limiter: Limiter | None = None
    """Counts clients."""
    networks: dict[Path, NetworkSet] = field(default_factory=dict)
    """Those of ``allow`` and ``deny`` by where they stand: many routes may have the same around them."""


RULES: tuple[Callable[[RouteSettings, RuleResources], Rule | None], ...] = (
    DenyRule.of,
    AllowRule.of,
    RateLimitRule.of,
    LoginRule.of,
    BodyLimitRule.of,
    RedirectRule.of,
    RespondRule.of,
    StripPrefixRule.of,
    UpstreamHostRule.of,
    RequestHeadersRule.of,
    ClientHostRule.of,
    RestorePrefixRule.of,
    ResponseHeadersRule.general,
    ResponseHeadersRule.of,
    CompressionRule.of,
    ErrorPagesRule.of,
)
"""What makes the rules of a route, in the order in which they act."""
GUARDING = (DenyRule.of, AllowRule.of, LoginRule.of)
"""What makes rules that hold for other spellings of the paths that they guard, too (`Match.also`)."""


class RuleCompiler:
    """Makes the rules of the routes of one configuration."""

    def __init__(self, config: Config, routes: Routes, resources: RuleResources) -> None:
        self._config = config
        self._routes = routes
        self._resources = resources

    def of(self, match: Match | None) -> RuleSet | None:
        """The rules of a route, or of requests that have none; None where there are no rules."""
        own = self._settings(match)
        also = [] if match is None else [self._settings(other) for other in match.also]
        rules: list[Rule] = []
        for make in RULES:
            guards = [make(settings, self._resources) for settings in also] if make in GUARDING else []
            found = {rule.path: rule for rule in (*guards, make(own, self._resources)) if rule is not None}
            rules += found.values()
        return RuleSet(rules) if rules else None

    def _settings(self, match: Match | None) -> RouteSettings:
        return RouteSettings(self._config, match, () if match is None else self._routes.enclosing(match))
