"""Header rules of a route: `request-headers` for what a server gets, `response-headers` for what a client gets.

An answer of l7's own gets the fields of a rule, too, but keeps what it says itself: a 401 its challenge, a 503 its
Retry-After. What describes a server's content, or how long that may be kept, is not said of l7's refusals. What another
rule has said, as ``rate-limit`` does, can be changed as in an answer of a server.

Hot: each is called by its pointer, and hands the head on to `l7.rules.heads.headers`.
"""

from __future__ import annotations

from typing import Any

from l7.config.generation import Path
from l7.config.model import SecretStr
from l7.config.sections.headers import RequestHeaders, ResponseHeaders, plain
from l7.config.values.scalars import REDACTED
from l7.http.messages import LocalResponse, ResponseHead
from l7.rules.context import RuleContext
from l7.rules.heads.headers import FieldChanges, Line
from l7.rules.inheritance import Placed, RouteSettings
from l7.rules.rule import RequestRule, ResponseRule

_OF_CONTENT = frozenset(
    b"content-type content-encoding content-language content-location content-disposition content-range "
    b"accept-ranges".split()
)
"""What an answer of l7's own says itself, or not at all."""
_OF_FRESHNESS = frozenset(b"cache-control expires etag last-modified".split())
"""What is meant for a server's content: a refusal that caches keep outlives its reason."""
_OF_RULES = frozenset(b"ratelimit ratelimit-policy".split())
"""What an answer of l7's own has of another rule."""
_OF_CONNECTIONS = frozenset(("client", "request-id", "scheme", "port"))
"""The variables that are known of a request which could not be read."""


class RequestHeadersRule(RequestRule):
    """Changes the fields that a server gets."""

    __slots__ = ("_words", "changes")

    setting = "request-headers"

    def __init__(self, path: Path, section: RequestHeaders) -> None:
        super().__init__(path)
        replace = {name: _sent(plain(value)) for name, value in section.set.items()}
        add = {name: [_sent(plain(value)) for value in values] for name, values in section.add.items()}
        self.changes = FieldChanges(section.remove, replace, add, twins=True)
        self._words = "; ".join(_words(section))

    @classmethod
    def of(cls, settings: RouteSettings, resources: Any) -> RequestHeadersRule | None:
        """The rule of a route; None where it changes nothing."""
        placed = settings.own("request_headers")
        return None if placed is None or not _words(placed[0]) else cls(placed[1], placed[0])

    def describe(self) -> str:
        """What is changed, without the values that prove who asks."""
        return self._words

    def on_request(self, context: RuleContext) -> None:
        """Change the head that goes to a server."""
        head = context.head
        head.runs = self.changes.apply(head.runs, context)


class ResponseHeadersRule(ResponseRule):
    """Changes the fields that a client gets."""

    __slots__ = ("_taken", "_words", "changes")

    setting = "response-headers"

    def __init__(self, path: Path, section: ResponseHeaders) -> None:
        super().__init__(path)
        self.changes = FieldChanges(section.remove, section.set, section.add)
        self._taken = _OF_RULES & {_key(name) for name in (*section.remove, *section.set)}
        """The fields of other rules that go from an answer of l7's own, too."""
        self._words = "; ".join(_words(section))

    @classmethod
    def general(cls, settings: RouteSettings, resources: Any) -> ResponseHeadersRule | None:
        """What stands at the top, without the fields that the backend names; None where that is nothing."""
        (section, path), *nearer = settings.levels("response_headers")
        return cls._placed((_beside(section, [own for own, _ in nearer]), path))

    @classmethod
    def of(cls, settings: RouteSettings, resources: Any) -> ResponseHeadersRule | None:
        """What stands in the backend; None where that is nothing."""
        placed = settings.own("response_headers")
        return None if placed is None else cls._placed(placed)

    @classmethod
    def _placed(cls, placed: Placed) -> ResponseHeadersRule | None:
        section, path = placed
        return cls(path, section) if _words(section) else None

    def describe(self) -> str:
        """What is changed."""
        return self._words

    def on_response(self, context: RuleContext, response: ResponseHead) -> None:
        """Change the head of a server's answer."""
        response.runs = self.changes.apply(response.runs, context)

    def on_own(self, context: RuleContext, answer: LocalResponse) -> LocalResponse:
        """The same answer of l7's own with the fields that are set and added, but for those that it has already.

        Where the request could not be read, fields with variables of it are left out.
        """
        fields: tuple[str, ...] = answer.fields
        if self._taken:
            fields = tuple([field for field in fields if _key(field.partition(":")[0]) not in self._taken])
        own = _OF_CONTENT | {_key(field.partition(":")[0]) for field in fields} - _OF_RULES
        if answer.status >= 400:
            own |= _OF_FRESHNESS
        unread = not context.head.line
        lines = [line for line in self.changes.lines if line.key not in own and not (unread and _is_of_request(line))]
        written = [line.write(context) for line in lines]
        return answer._replace(fields=(*fields, *[line.decode("latin-1") for line in written if line]))


def _key(name: str) -> bytes:
    """A name of a field as it is compared."""
    return name.lower().encode("ascii")


def _is_of_request(line: Line) -> bool:
    """Whether there is a variable in a line that only a request that could be read has a value for."""
    return not _OF_CONNECTIONS.issuperset(line.value.variables)


def _beside(general: ResponseHeaders, nearer: list[ResponseHeaders]) -> ResponseHeaders:
    """What is left of the general section: of a field only the nearest that names it says anything."""
    said = {name.lower() for own in nearer for name in (*own.remove, *own.set, *own.add)}
    return ResponseHeaders.model_construct(
        remove=tuple([name for name in general.remove if name.lower() not in said]),
        set={name: value for name, value in general.set.items() if name.lower() not in said},
        add={name: values for name, values in general.add.items() if name.lower() not in said},
    )


def _sent(value: str) -> str:
    """A value as it is sent: the placeholder of a dump is none, and nothing is sent in its place."""
    return "" if value == REDACTED else value


def _words(section: RequestHeaders | ResponseHeaders) -> list[str]:
    """What a section says, in the order in which it is done."""
    words = [f"remove {name}" for name in section.remove]
    words += [f"set {name}: {_shown(value)}" for name, value in section.set.items()]
    words += [f"add {name}: {_shown(value)}" for name, values in section.add.items() for value in values]
    return words


def _shown(value: str | SecretStr) -> str:
    return REDACTED if isinstance(value, SecretStr) else value
