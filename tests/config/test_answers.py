"""What the words of redirects, own answers and error pages may be: where a redirect leads is no client's choice."""

from __future__ import annotations

import pytest

from l7.config.values.answers import RedirectUrl, media_type, page_path, page_type, redirect_url, url_template


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("https://example.com{target}", ("https", "example.com", "", "{target}")),
        ("HTTP://EXAMPLE.com.:8080/x?{query}", ("http", "example.com", "8080", "/x?{query}")),
        ("https://{host}{path}", ("https", "{host}", "", "{path}")),
        ("https://www.{host}:{port}{path}?{query}", ("https", "www.{host}", "{port}", "{path}?{query}")),
        ("{scheme}://example.com#{query}", ("{scheme}", "example.com", "", "#{query}")),
        ("https://[::1]:80{path}", ("https", "[::1]", "80", "{path}")),
        ("https://example.com", ("https", "example.com", "", "")),
        ("/new{path}", ("", "", "", "/new{path}")),
        ("/{query}", ("", "", "", "/{query}")),
        ("{target}", ("", "", "", "{target}")),
        ("/{{path}}", ("", "", "", "/{{path}}")),
        ("https://example.com/ä", ("https", "example.com", "", "/ä")),
    ],
)
def test_the_parts_of_a_url(text, parts):
    assert redirect_url(text) == RedirectUrl(*parts)
    assert url_template(text) == text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{host}/x", r"begins with {host}, so that a client could say where it leads"),
        ("{query}", "a client could say where it leads"),
        ("https://{query}/x", r"{query} is part of the host"),
        ("https://example.com{query}", r"{query} is part of the host"),
        ("https://example.com:{query}", r"{query} is part of the host"),
        ("https://example.com:80{port}/", r"{port} is part of the host"),
        ("https://{port}/", r"{port} is part of the host"),
        ("https://{user}@example.com/", "login in a URL"),
        ("https://a.{client}.b/", r"{client} is part of the host"),
        ("https://{host}.example.com/", r"nothing of the host may follow {host}"),
        ("https://{{host}}/", r"nothing of the host may follow {host}"),
        ("https://{host}{host}/", r"nothing of the host may follow {host}"),
        ("https://example.com{{path}}", "is not a host name"),
        ("https://{path}", "is no host"),
        ("https:///x", "is no host"),
        ("https://", "is no host"),
        ("{scheme}:{query}", "leads to http:// or https://"),
        ("{query}://example.com/", "leads to http:// or https://"),
        ("javascript:alert(1)", "leads to http:// or https://"),
        ("ftp://example.com/", "leads to http:// or https://"),
        ("http:example.com", "leads to http:// or https://"),
        ("//example.com{target}", r"has no scheme; write https://example.com"),
        ("example.com:8080", r"has no scheme; write https://example.com:8080"),
        ("example.com/x", "is no URL"),
        ("", "is empty"),
        ("https://u:secret@example.com/", "login in a URL"),
        ("https://example.com:99999/", "out of range"),
        ("https://example.com:x/", "is no host"),
        ("https://ä.example/", "xn--"),
        ("https://example.com\\@evil/", "backslash"),
        ("/\\evil", "backslash"),
        ("/x y", "space"),
        ("/x\ty", "control"),
        ("https://example.com/{hots}", "did you mean 'host'"),
        (["https://example.com/"], "write a URL"),
        (None, "write a URL"),
    ],
)
def test_what_is_no_url_of_a_redirect(text, why):
    with pytest.raises(ValueError) as found:
        url_template(text)
    assert why in str(found.value)
    assert "secret" not in str(found.value)


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("text/html", "text/html; charset=utf-8"),
        ("text/css ;", "text/css; charset=utf-8"),
        ("text/plain; charset=UTF-8", "text/plain; charset=UTF-8"),
        ("application/json", "application/json"),
    ],
)
def test_text_is_said_to_be_utf8(written, sent):
    assert media_type(written) == media_type(sent) == sent


@pytest.mark.parametrize("written", ["text", "text/html; charset=latin-1", "text/html\r\nX: y", "", None, "a/b; \x00"])
def test_what_is_no_media_type(written):
    with pytest.raises(ValueError):
        media_type(written)


def test_an_error_page_is_known_by_its_name():
    assert page_type("/etc/l7/502.HTML") == "text/html; charset=utf-8"
    assert page_type("502.json") == "application/json"
    assert page_path("a b.txt") == "a b.txt"
    for name in ("502", "502.php", "/etc/html", ""):
        with pytest.raises(ValueError):
            page_path(name)
