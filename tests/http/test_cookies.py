"""One cookie or field out of a request."""

from __future__ import annotations

from l7.http.cookies import cookies_of, values_of

LINES = [b"Host: a", b'cookie: a=1; b = 2 ;l7="x"', b"X-Key:  v ", b"Cookie: a=3; broken; =4", b"Cookies: a=5"]


def test_fields_by_name() -> None:
    assert list(values_of(LINES, b"x-key")) == [b"v"]
    assert list(values_of(LINES, b"x-ke")) == []
    assert len(list(values_of(LINES, b"cookie"))) == 2


def test_cookies_by_name() -> None:
    assert list(cookies_of(LINES, b"a")) == [b"1", b"3"]
    assert list(cookies_of(LINES, b"l7")) == [b"x"]
    assert list(cookies_of(LINES, b"A")) == [], "names of cookies are told apart by case"
    assert list(cookies_of(LINES, b"c")) == []
