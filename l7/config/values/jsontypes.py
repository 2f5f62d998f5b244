"""What may be written for a value, as JSON Schema: for each parser of `values` and `backendvalues` what it takes.

An editor sees numbers and booleans where l7 sees the text that was written, so a type that takes digits takes numbers.
Patterns are of the kind that ECMAScript and Python read alike. They are never stricter than the parser; what no pattern
can say (a port out of range in an address, a bound of a duration) is left to ``l7 check``.
"""

from __future__ import annotations

from typing import Any

from l7.units import LARGEST, LONGEST

Schema = dict[str, Any]
SCALAR = ["string", "number", "boolean"]
"""What any text may be taken for: ``off`` is a boolean in YAML 1.1, ``0123`` a number."""

_NUMBER = r"(\d+(\.\d+)?|\.\d+)"
_IPV4 = r"[0-9]+(\.[0-9]+){3}"
_IPV6 = r"([0-9A-Fa-f:]*::[0-9A-Fa-f:.]*|([0-9A-Fa-f]{1,4}:){6,7}[0-9A-Fa-f.]+)(%[^\]/]+)?"
_HOST = r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_][A-Za-z0-9_.-]*)"
_NUMERIC = rf"({_IPV4}|\[{_IPV6}\]|localhost)"
_HTTP = r"(([Hh][Tt][Tt][Pp]:)?//)?"
_PORT = r":[0-9]{1,5}"
_UNIX = r"unix:/.*[^/]"
_CLEAN = r"[^\x00-\x1f\x7f]"
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_ACCOUNT = r"[A-Za-z0-9_.][A-Za-z0-9_.@$-]*"
_SEGMENT = r"([A-Za-z0-9._~!$&'()*+,=:@-]|%(?!2[fF]|5[cC]|3[bBfF]|23|00)[0-9A-Fa-f]{2})*"


def _text(pattern: str, kinds: list[str] | None = None) -> Schema:
    return {"type": kinds or SCALAR, "pattern": f"^({pattern})$"}


def _any_case(word: str) -> str:
    return "".join(f"[{received.upper()}{received}]" for received in word)


def whole(least: int, most: int) -> Schema:
    """A whole number within the bounds."""
    return {"type": ["integer", "string"], "minimum": least, "maximum": most, "pattern": "^(0|[1-9][0-9]{0,17})$"}


def duration(least: float) -> Schema:
    """``500ms``, ``2s`` or a number of seconds; where ``least`` is not 0, not 0."""
    some = "(?=.*[1-9])" if least else ""
    pattern = rf"^\s*{some}{_NUMBER} *(ms|s|m|h)?\s*$"
    return {"type": ["string", "number"], "pattern": pattern, "minimum": least, "maximum": LONGEST}


def size(least: int = 0, most: int = LARGEST) -> Schema:
    """``64KiB``, ``10MB`` or a number of bytes."""
    pattern = rf"^\s*{_NUMBER} *([KkMmGgTt][Ii]?[Bb]|[Bb])?\s*$"
    return {"type": ["string", "integer"], "pattern": pattern, "minimum": least, "maximum": most}


def _or_list(item: Schema, least: int = 0) -> Schema:
    return {"anyOf": [item, {"type": "array", "items": item, "minItems": least}]}


TEXT: Schema = {"type": SCALAR, "minLength": 1}
PATH = _text(f"{_CLEAN}+")
SHARE = _text(r" *0*(100(\.0+)?|[0-9]{1,2}(\.[0-9]+)?) *%", ["string"])
_WORDS = "|".join(_any_case(word) for word in ("yes", "no", "on", "off", "true", "false"))
SWITCH = _text(_WORDS, ["boolean", "string"])
ACCOUNT = {**_text(rf"{_ACCOUNT}(:{_ACCOUNT})?"), "minimum": 0}
BIND = _or_list(_text(rf"\*|{_UNIX}|localhost|{_IPV4}|\[?{_IPV6}\]?", ["string"]), least=1)
LISTEN = _text(rf"{_UNIX}|(\*|localhost|{_IPV4}|\[{_IPV6}\]):[0-9]{{1,5}}", ["string"])
REDIRECT_TO_HTTPS: Schema = {"anyOf": [SWITCH, whole(1, 65535)]}
EMAIL = _text(r"[^\s@,:;<>]+@[^\s@,:;<>]+", ["string"])
HTTPS_URL = _text(r"[Hh][Tt][Tt][Pp][Ss]://[^/@]+(/.*)?", ["string"])
ACME_HOSTS = _or_list(_text(r"[A-Za-z0-9][A-Za-z0-9.-]*", ["string", "number", "boolean"]), least=1)
VISIBLE = _text(r"[!-~]+")
OTLP_URL = _text(r"[Hh][Tt][Tt][Pp][Ss]?://[^/@?#\s]+(/[^?#\s]*)?", ["string"])
BASE64URL = _text(r"\*\*\*|[A-Za-z0-9_-]+=*", SCALAR)
TLS_VERSION: Schema = {"enum": [1.2, 1.3]}
SERVER = _text(
    rf"{_UNIX}|srv:_[^:]+\._[^:]+\.[^:]+|(([A-Za-z][A-Za-z0-9+.-]*:)?//)?{_HOST}({_PORT})?/*", ["string", "boolean"]
)
SERVER_NAME = _text(rf"\{{host\}}|\[?{_IPV6}\]?|[A-Za-z0-9_][A-Za-z0-9_.-]*", ["string", "boolean"])
ADMIN = _text(rf"{_UNIX}|{_HTTP}{_NUMERIC}{_PORT}/*", ["string"])
HOST_NAME = _text(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", ["string", "boolean", "number"])
NAME_SERVERS = _or_list(_text(rf"{_HTTP}({_NUMERIC}({_PORT})?|{_IPV6})/*", ["string"]))
NETWORK = _text(rf"({_IPV4}|{_IPV6})(/[0-9.]+)?", ["string"])
LOGIN = _text(rf"(?!.*:){_CLEAN}+", ["string"])
PASSWORD = _text(rf"(?!\$2[abxy]?\$){_CLEAN}+|\$2[aby]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{{53}}")
SECRET: Schema = {"anyOf": [{"const": "***"}, {"type": ["string", "number"], "minLength": 16, "minimum": 10**14}]}
HASH_KEY = _text(rf"client|target|(header|cookie):\s*{_TOKEN}\s*", ["string"])
TOKEN = _text(_TOKEN)
TOKENS = _or_list(TOKEN)
FIELD_TEXT = _text(rf"{_CLEAN}+")
FIELD_TEXTS = _or_list(FIELD_TEXT, least=1)
PAGE_PATH = _text(rf"{_CLEAN}*\.({_any_case('html')}|{_any_case('htm')}|{_any_case('json')}|{_any_case('txt')})")
TARGET = _text(r"/[!-\"$-~]*", ["string"])
HOST_FIELD = _text(r"[!\"$-.0->A-~]+")
SENT_HOST = _text(rf"(\[{_IPV6}\]|[A-Za-z0-9_][A-Za-z0-9_.-]*)({_PORT})?", ["string", "boolean"])
STATUSES = _or_list(
    {
        "type": ["integer", "string"],
        "minimum": 100,
        "maximum": 599,
        "pattern": r"^\s*[1-5][0-9 -]*(,\s*[1-5][0-9 -]*)*$",
    },
    least=1,
)
_ROUTE = rf"(\*|(\*\.)?[A-Za-z0-9_][A-Za-z0-9_.-]*|\[[0-9A-Fa-f:.]+\])(/{_SEGMENT})*"
ROUTE = _text(rf"{_ROUTE}((\s*,\s+|,){_ROUTE})*", ["string"])
NETWORKS = _or_list({"anyOf": [NETWORK, {"enum": ["unix:", "off", "inherit"]}]}, least=1)
ROUTE_USERS: Schema = {
    "anyOf": [
        {"enum": ["off", "inherit"]},
        {
            "type": "object",
            "patternProperties": {LOGIN["pattern"]: PASSWORD},
            "additionalProperties": False,
            "minProperties": 1,
        },
    ]
}
RATE_KEY = _text(rf"client|all|header:\s*{_TOKEN}\s*", ["string"])
CODINGS = _or_list({"anyOf": [SWITCH, {"enum": ["zstd", "br", "gzip", "inherit"]}]}, least=1)
ANY_TEXT: Schema = {"type": SCALAR}
REDIRECT_STATUS: Schema = {"enum": [301, 302, 303, 307, 308]}
ERROR_STATUS = _text("[45]([0-9]{2}|[Xx]{2})", SCALAR)
ROUTE_SIZE: Schema = {"anyOf": [{"const": "inherit"}, {"const": "unlimited"}, size()]}
REDIRECT_URL = _text(
    rf"(/(?!/)|\{{(path|target)\}}|({_any_case('http')}[Ss]?|\{{scheme\}})://[^/?#@])[^\x00-\x20\x7f\\]*", ["string"]
)
MEDIA_TYPE = _text(rf"{_TOKEN}/{_TOKEN} *(;.*)?", ["string"])
