"""Where redirects lead: where the configuration says, whatever the client asks for."""

from __future__ import annotations

import re
from contextlib import suppress
from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from l7.errors import ProxyError
from l7.rules.answers.redirect import RedirectRule
from l7.rules.context import RuleContext
from tests.rules.contexts import context_of

BASE = "https://example.com/a/b"
EVIL = [
    b"//evil.test", b"///evil.test", b"/\\evil.test", b"\\\\evil.test", b"/\\/evil.test/..", b"/%2f%2fevil.test",
    b"/%2fevil.test", b"/%5cevil.test", b"//evil%2etest@x", b"/.//evil.test", b"/..//evil.test", b"//\\evil.test",
    b"/%09/evil.test", b"///", b"/%0d%0aLocation:%20https://evil.test", b"/@evil.test", b"/:80@evil.test", b"/?//evil",
    b"/#@evil.test/", b"/%", b"/%zz", b"/%5c%5cevil.test", b"//evil.test\\@example.com/",
]  # fmt: skip


def rule(to: str, status: int = 308) -> RedirectRule:
    return RedirectRule(("backends", "example.com", "redirect"), to, status)


def read_by_browser(location: str) -> tuple[str, str]:
    """Scheme and host as the URL standard of browsers has them (WHATWG): they forgive what RFC 3986 does not."""
    location = re.sub(r"[\t\r\n]", "", location.strip("".join(map(chr, range(0x21)))))
    head, mark, rest = re.match(r"([^?#]*)([?#]?)(.*)", location, re.DOTALL).groups()  # type: ignore[union-attr]
    location = head.replace("\\", "/") + mark + rest
    location = re.sub(r"^(https?:)?/{2,}", r"\1//", location, flags=re.IGNORECASE)
    parts = urlsplit(urljoin(BASE, location))
    return parts.scheme, parts.hostname or ""


@pytest.mark.parametrize(
    ("to", "target", "location"),
    [
        ("https://www.example.com{target}", b"/a/b?c=d", "https://www.example.com/a/b?c=d"),
        ("https://www.{host}{path}", b"/a/b?c=d", "https://www.example.com/a/b"),
        ("https://example.org/?from={host}&{query}", b"/?c=d", "https://example.org/?from=example.com&c=d"),
        ("{scheme}://example.org:{port}{path}", b"/x", "http://example.org:8080/x"),
        ("/new{path}", b"/x", "/new/x"),
        ("{path}", b"/x?y", "/x"),
        ("/{query}", b"/?x", "/x"),
        ("https://example.org/ä/{{x}}", b"/", "https://example.org/%C3%A4/%7Bx%7D"),
        ("https://example.org{target}", b'/"<>{}|^`\\', "https://example.org/%22%3C%3E%7B%7D%7C%5E%60%5C"),
        ("https://example.org{target}", b"/%20%zz%", "https://example.org/%20%25zz%25"),
        ("https://example.org{target}", b"//x/../%2e", "https://example.org//x/../%2e"),
        ("/u/{user}", b"/", "/u/ann"),
    ],
)
def test_variables_are_filled_in_and_what_no_url_has_is_escaped(to, target, location):
    answer = rule(to, 301).answer(context_of(target))
    assert (answer.status, answer.fields) == (301, (f"Location: {location}",))
    assert answer.body == f"moved to {location}\n".encode()


@pytest.mark.parametrize("target", EVIL)
@pytest.mark.parametrize(
    "to", ["{path}", "{target}", "/{query}", "/{path}", "/x{target}", "https://example.com{target}"]
)
def test_no_client_says_where_a_redirect_leads(to, target):
    context = context_of(target if target.startswith(b"/") else b"/?" + target)
    if to == "/{query}":
        context.target = b"/?" + target
    assert read_by_browser(rule(to).location(context)) == ("https", "example.com")


@given(st.sampled_from(["{path}", "{target}", "/{query}", "/{user}", "https://example.com{target}"]), st.binary())
@example("/{user}", b"/evil.test")
@example("/{user}", b"\\\tevil.test")
@example("{path}", b"\\evil.test")
def test_whatever_it_sends(to, value):
    context = context_of(b"/" + value if "query" not in to else b"/?" + value)
    context.exchange.user = value
    location = location_or_none(rule(to), context)
    if location is None:
        assert re.search(rb"[\x00-\x1f\x7f]", value)
        return
    assert location.isascii()
    assert location.isprintable()
    assert read_by_browser(location) == ("https", "example.com")


def location_or_none(rule: RedirectRule, context: RuleContext) -> str | None:
    """None for 400."""
    with suppress(ProxyError):
        return rule.location(context)
    return None


def test_the_browser_of_these_tests_is_one():
    """It would fall for what is refused or escaped."""
    for location in ("//evil.test", "/\\evil.test", "\\\\evil.test", "/\t/evil.test", " //evil.test", "///evil.test"):
        assert read_by_browser(location)[1] == "evil.test"


def test_an_asterisk_is_nowhere_else():
    context = context_of(b"*")
    with pytest.raises(ProxyError) as refused:
        rule("https://example.org{target}").answer(context)
    assert refused.value.kind.status == 400
    assert rule("https://example.org/").location(context) == "https://example.org/"
    assert rule("https://example.org/").describe() == "308 to https://example.org/"
