"""Whom the master becomes, and what it gives to that account."""

from __future__ import annotations

import os

import pytest

from l7.errors import StartError
from l7.master.privileges import identify
from l7.master.startup import make_log_file


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


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_log_file_is_given_away_and_a_link_is_not_followed(tmp_path, monkeypatch):
    nobody = identify(None)
    assert nobody is not None
    log, secret, link = tmp_path / "log", tmp_path / "secret", tmp_path / "link"
    make_log_file(str(log), nobody)
    assert log.stat().st_uid == nobody.uid
    secret.write_text("")
    link.symlink_to(secret)
    make_log_file(str(link), nobody)
    os.link(secret, tmp_path / "hard")
    make_log_file(str(tmp_path / "hard"), nobody)
    assert secret.stat().st_uid == 0
    with pytest.raises(StartError, match=r"access-log: .*is a directory"):
        make_log_file(str(tmp_path), None)
