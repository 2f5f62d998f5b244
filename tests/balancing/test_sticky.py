"""Cookies that bring a client back: nobody can make one, and they tell nothing."""

from __future__ import annotations

from l7.balancing.members import alone
from l7.balancing.sticky import Stickiness, token
from l7.config.sections.backends import Sticky

KEY = b"k" * 32


def test_a_cookie_is_for_one_route_server_and_key() -> None:
    assert len({token(KEY, "a", "b:1"), token(KEY, "b", "b:1"), token(KEY, "a", "b:2"), token(b"x", "a", "b:1")}) == 4
    assert len(token(KEY, "a", "b:1")) == 24


def test_a_field_is_sent_only_when_it_changes() -> None:
    members = [alone("b:1"), alone("b:2")]
    sticky = Stickiness(Sticky(), "a", KEY)
    sticky.arrange(members)
    field = sticky.field(members[0], b"")
    cookie = field.partition(b"l7=")[2].partition(b";")[0]
    assert sticky.member(cookie) is members[0]
    assert sticky.field(members[0], cookie) == b""
    assert sticky.field(members[1], cookie).startswith(b"Set-Cookie: l7=")
    sticky.arrange(members[1:])
    assert sticky.member(cookie) is None
    assert sticky.field(members[0], b"") == b""


def test_the_path_is_the_routes() -> None:
    member = alone("b:1")
    for route, path in (("a", b"/"), ("a/api/v1", b"/api/v1"), ("a/x/y;z", b"/x")):
        sticky = Stickiness(Sticky(), route, KEY)
        sticky.arrange([member])
        assert b"; Path=" + path + b"; HttpOnly; SameSite=Lax" in sticky.field(member, b"")
