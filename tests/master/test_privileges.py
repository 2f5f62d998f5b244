"""Whom the master becomes, and what it gives to that account."""

from __future__ import annotations

import os

import pytest

from l7.errors import StartError
from l7.master.resources.privileges import identify


def test_whom_to_become(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    nobody = identify(None)
    assert nobody is not None
    assert nobody.name == "nobody"
    assert nobody.gid in nobody.groups
    assert identify("4242:4343").groups == (4343,)
    with pytest.raises(StartError, match="name a group too"):
        identify("4242")
    with pytest.raises(StartError, match="no user is called 'xyzzy'"):
        identify("xyzzy")


def test_who_is_not_root_stays_who_it_is(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 65534)
    monkeypatch.setattr(os, "getegid", lambda: 65534)
    assert identify(None) is None
    assert identify("nobody") is None
    with pytest.raises(StartError, match="only root may become root"):
        identify("root")
