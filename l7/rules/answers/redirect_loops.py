"""Redirects that lead back to themselves, as far as a configuration shows it: what is in front of l7 is not known."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from l7.balancing.routing import Match, Routes
from l7.config.generation import Loaded, problem_at
from l7.config.schema import Config
from l7.config.values.names import printable
from l7.errors import Problem, ProxyError
from l7.exchange import Exchange
from l7.http.authority import host_of
from l7.http.forwarding import Hop
from l7.http.messages import RequestHead
from l7.rules.answers.redirect import RedirectRule
from l7.rules.context import RuleContext

MOST_STEPS = 20
"""After so many redirects browsers give up."""
_CLIENT = "192.0.2.1"
_WAY_OUT = "for http to https write redirect-to-https: true below the listener instead"


def redirect_loops(loaded: Loaded) -> Iterator[Problem]:
    """Yield a warning for each redirect whose client would be led to it again."""
    config = loaded.config
    found = {key: backend.redirect for key, backend in config.backends.items() if backend.redirect is not None}
    if not found:
        return
    rules = {key: RedirectRule(("backends", key, "redirect"), one.to, one.status) for key, one in found.items()}
    routes = Routes({key: rules.get(key) for key in config.backends})
    schemes, ports = _schemes(config), {one.address.port for one in config.listened_on}
    told = set()
    for match in routes.rules:
        if match.payload is not None and match.key not in told and _comes_back(match, routes, schemes, ports):
            told.add(match.key)
            what = f"requests for {printable(match.host + match.path)} are led back to it; {_WAY_OUT}"
            yield problem_at(loaded, match.payload.path, what)


def _schemes(config: Config) -> set[str]:
    """What clients may speak: a proxy that is trusted may end TLS."""
    if config.trusted_proxies:
        return {"http", "https"}
    return {"http" if one.tls is None else "https" for one in config.listened_on}


def _comes_back(match: Match, routes: Routes, schemes: set[str], ports: set[int]) -> bool:
    """Whether a request for a route comes to it again; one that may come by http or by https does so by either."""
    return any(_follow(match, routes, scheme, schemes, ports) for scheme in sorted(schemes))


def _follow(start: Match, routes: Routes, scheme: str, schemes: set[str], ports: set[int]) -> bool:
    at: Match | None = start
    sample = _sample(scheme, start.host.replace("*", "x"), (start.path or "/").encode("ascii"), start)
    for _ in range(MOST_STEPS):
        if at is None or at.payload is None:
            return False
        try:
            location = urlsplit(at.payload.location(sample))
            scheme = location.scheme or sample.hop.scheme.decode("ascii")
            if scheme not in schemes or (location.port and location.port not in ports and 0 not in ports):
                return False
            host = sample.head.host if not location.netloc else host_of(location.netloc.encode("ascii"))
            target = (location.path or "/") + (f"?{location.query}" if location.query else "")
            at = routes.match(host, target.encode("ascii"))
        except (ProxyError, ValueError):
            return False
        if at is start:
            return True
        sample = _sample(scheme, host, target.encode("ascii"), at)
    return False


def _sample(scheme: str, host: str, target: bytes, match: Match | None) -> RuleContext:
    """A request for the place where a redirect has led."""
    head = RequestHead(b"", b"GET", target, host.encode("ascii"), 1)
    head.host = host
    hop = Hop(_CLIENT, 443 if scheme == "https" else 80, b"", scheme.encode("ascii"))
    return RuleContext(Exchange(_CLIENT, 0.0), head, hop, None, match, None)
