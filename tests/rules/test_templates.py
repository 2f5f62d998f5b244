"""Texts with variables: what is one, what becomes of it, and that nothing of a stranger ends a line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l7.config.values.templates import OF_FAILURES, OF_REQUESTS
from l7.rules.context import RuleContext
from l7.rules.ruleset import RuleSet
from l7.rules.templates import VALUES, Template
from tests.rules.contexts import context_of, unread


def expand(text: str, context: RuleContext | None = None) -> bytes | None:
    return Template.parse(text).expand(context or context_of())


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", b""),
        ("plain", b"plain"),
        ("{client}", b"192.0.2.7"),
        ("{host}", b"example.com"),
        ("{path}", b"/a/b"),
        ("{query}", b"c=d"),
        ("{target}", b"/a/b?c=d"),
        ("{scheme}", b"http"),
        ("{port}", b"8080"),
        ("{request-id}", b"id-1"),
        ("{user}", b"ann"),
        ("{route}", b"example.com/a"),
        ("https://{host}{target}#x", b"https://example.com/a/b?c=d#x"),
        ("{{host}}", b"{host}"),
        ("{{anything}}", b"{anything}"),
        ("{{{host}}}", b"{{host}}"),
        ("{{host}", b"{example.com"),
        ("{host}}", b"example.com}"),
        ('{"ok": true}', b'{"ok": true}'),
        ("p{margin:0}", b"p{margin:0}"),
        ("{}", b"{}"),
        ("{Host}", b"{Host}"),
        ("{ host }", b"{ host }"),
        ("é{query}", b"\xc3\xa9c=d"),
    ],
)
def test_value_of_a_text(text: str, value: bytes) -> None:
    assert expand(text) == value


def test_login_that_nobody_has_checked() -> None:
    context = context_of()
    context.rules = RuleSet([])
    assert expand("{user}", context) == b""
    context.rules = None
    assert expand("{user}", context) == b""


def test_text_without_variables_is_bytes() -> None:
    template = Template.parse("a {{host}} b")
    assert template.constant == b"a {host} b"
    assert template.variables == ()
    assert Template.parse("{host}{path}").variables == ("host", "path")
    assert Template.parse("{host}").constant is None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a {hots} b", "{hots}: unknown variable; did you mean 'host'? (the text itself is written {{hots}})"),
        ("{request_id}", "{request_id}: unknown variable; did you mean 'request-id'?"),
        ("{status}", "{status}: unknown variable"),
        ("{q}", "there are {client}, {host}, {path}"),
    ],
)
def test_unknown_variable(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match="unknown variable") as refused:
        Template.parse(text)
    assert complaint in str(refused.value)


def test_every_variable_has_a_value() -> None:
    assert tuple(VALUES) == OF_REQUESTS
    assert set(OF_FAILURES) - set(OF_REQUESTS) == {"status", "reason"}


@pytest.mark.parametrize(
    ("believed", "scheme", "port"),
    [
        (None, b"http", b"8080"),
        (b"X-Forwarded-For: 1.2.3.4", b"http", b"8080"),
        (b"X-Forwarded-Proto: https\r\nX-Forwarded-Port: 443", b"https", b"443"),
        (b"X-Forwarded-Proto: HTTP, https\r\nX-Forwarded-Port: 80, 8443", b"https", b"8443"),
        (b"X-Forwarded-Proto: javascript\r\nX-Forwarded-Port: 1e3", b"http", b"8080"),
        (b"X-Forwarded-Port: 99999", b"http", b"8080"),
        (b"X-Forwarded-Prefix: x-forwarded-proto: https", b"http", b"8080"),
    ],
)
def test_scheme_and_port_are_those_of_the_client(believed: bytes | None, scheme: bytes, port: bytes) -> None:
    assert expand("{scheme}", context_of(believed=believed)) == scheme
    assert expand("{port}", context_of(believed=believed)) == port


def test_port_without_one_in_host() -> None:
    context = context_of(authority=b"example.com")
    assert expand("{port}", context) == b"80"
    context.hop.told_port = b"81"
    assert expand("{port}", context) == b"81"
    context = context_of(authority=b"example.com", believed=b"X-Forwarded-Proto: https")
    assert expand("{port}", context) == b"443"


def test_target_of_what_is_stripped() -> None:
    context = context_of(b"/api/x?y")
    context.head.path = b"/x?y"
    assert expand("{target} {path} {query}", context) == b"/api/x?y /api/x y"


@pytest.mark.parametrize("user", [b"a\rb", b"a\nb", b"a\0b", b"a\tb", b"\x7f", b"\x1b[0m"])
def test_value_with_a_control_character_is_not_sent(user: bytes) -> None:
    context = context_of()
    context.exchange.user = user
    assert expand("hello {user}", context) is None
    assert Template.parse("hello {user}!").body(context, "text/plain") == b"hello !"


def test_request_that_could_not_be_read() -> None:
    known = Template.parse("{client} {host}{target}{route}{user} {scheme} {port}").expand(unread())
    assert known == b"192.0.2.7  http 80"
    page = Template.parse("{status} {reason} {client}.", OF_FAILURES)
    assert page.body(unread(), "text/html", {"status": b"400", "reason": b"<b>"}) == b"400 &lt;b&gt; 192.0.2.7."
    assert page.body(unread(), "text/html") == b"  192.0.2.7."


@pytest.mark.parametrize(
    ("media_type", "value"),
    [
        ("text/html", b"/&lt;script&gt;&amp;&quot;&#x27;"),
        ("Text/HTML; charset=utf-8", b"/&lt;script&gt;&amp;&quot;&#x27;"),
        ("application/xhtml+xml", b"/&lt;script&gt;&amp;&quot;&#x27;"),
        ("text/plain", b"/<script>&\"'"),
        ("application/json", b"/<script>&\\\"'"),
    ],
)
def test_values_are_escaped_in_markup(media_type: str, value: bytes) -> None:
    assert Template.parse("<p>{path}").body(context_of(b"/<script>&\"'"), media_type) == b"<p>" + value


@pytest.mark.parametrize(
    ("media_type", "value"),
    [
        ("text/javascript; charset=utf-8", rb"\"\u0027\u0060\\\u0024{x}\u003c/script>"),
        ("application/javascript", rb"\"\u0027\u0060\\\u0024{x}\u003c/script>"),
        ("text/html", b"&quot;&#x27;&#x60;&#x5c;${x}&lt;/script&gt;"),
    ],
)
def test_no_value_ends_the_text_of_a_script(media_type: str, value: bytes) -> None:
    assert Template.parse("{query}").body(context_of(b"/?\"'`\\${x}</script>"), media_type) == value


@given(st.binary(), st.text(alphabet="{}ab \r\n\0", max_size=8), st.sampled_from(["{user}", "{user}{user}", "x{user}"]))
def test_no_control_character_ever_leaves(user: bytes, text: str, variables: str) -> None:
    context = context_of()
    context.exchange.user = user
    try:
        template = Template.parse(variables + text)
    except ValueError:
        return
    value = template.expand(context)
    assert value is None or not set(value) & {*range(0x20), 0x7F}


@given(st.text())
def test_text_without_braces_is_itself(text: str) -> None:
    plain = text.replace("{", "(")
    assert Template.parse(plain).constant == plain.encode("utf-8")
