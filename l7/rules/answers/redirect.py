"""Redirects: the answer that says where else something is (RFC 9110, 15.4), for every method and to nobody's choice.

Which host that is was settled when the configuration was read (`l7.config.values.answers`). Here the rest is filled in,
so that a browser reads no other host out of it: it takes ``//evil`` and ``/\\evil`` for one, and drops tabs and line
ends before it looks.
"""

from __future__ import annotations

import re

from l7.config.generation import Path
from l7.config.values.answers import redirect_url
from l7.errors import BAD_REQUEST, ProxyError
from l7.http.messages import LocalResponse
from l7.rules.context import RuleContext
from l7.rules.inheritance import RouteSettings
from l7.rules.rule import AnswerRule
from l7.rules.templates import Template

_NOT_OF_URLS = re.compile(rb"%(?![0-9A-Fa-f]{2})|[^A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]")
"""What no URL has as it is (RFC 3986, 2)."""
_OF_PATHS = frozenset(("path", "target"))


class RedirectRule(AnswerRule):
    """Sends every request somewhere else.

    :param path: where it is configured.
    :param to: the URL with its variables, as `l7.config.values.answers.url_template` lets it pass.
    :param status: 301, 302, 303, 307 or 308.
    """

    __slots__ = ("_relative", "_takes_path", "_template", "_text", "status")

    setting = "redirect"

    def __init__(self, path: Path, to: str, status: int) -> None:
        super().__init__(path)
        self.status = status
        self._text = to
        self._template = Template.parse(to)
        self._relative = not redirect_url(to).scheme
        self._takes_path = not _OF_PATHS.isdisjoint(self._template.variables)

    @classmethod
    def of(cls, settings: RouteSettings, _: object) -> RedirectRule | None:
        """The rule of a route; None where it is served otherwise."""
        found = settings.own("redirect")
        return None if found is None else cls(found[1], found[0].to, found[0].status)

    def describe(self) -> str:
        """The status, and the URL as it is written."""
        return f"{self.status} to {self._text}"

    def location(self, context: RuleContext) -> str:
        """Where a request is sent; raises `ProxyError` (400) where that would be nowhere."""
        if self._takes_path and context.target[:1] != b"/":  # OPTIONS *
            raise ProxyError(BAD_REQUEST, "what is asked for has moved, and * is nowhere there")
        value = self._template.expand(context)
        if value is None:
            raise ProxyError(BAD_REQUEST, "what is asked for has moved, and the request has what no URL can have")
        value = _NOT_OF_URLS.sub(_escape, value)
        if self._relative:
            value = b"/" + value.lstrip(b"/")
        return value.decode("ascii")

    def answer(self, context: RuleContext) -> LocalResponse:
        """The status and the Location; raises `ProxyError` as `location` does."""
        location = self.location(context)
        body = f"moved to {location}\n".encode("ascii")
        return LocalResponse(self.status, "text/plain; charset=utf-8", body, (f"Location: {location}",))


def _escape(match: re.Match[bytes]) -> bytes:
    return b"%%%02X" % match[0][0]
