"""The contexts that seal tickets: one a day, the same in every process that was forked, and none for longer."""

from __future__ import annotations

import copy
import ssl
import weakref

import pytest

from l7.tls.certificates import load_into
from l7.tls.contexts import SESSION_LIFE, SESSIONS_AHEAD, SessionContexts, TlsRules
from l7.tls.parsing import certificate_of
from tests.harness.tls import chain_of, issue, trusting

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


def forked(sessions: SessionContexts) -> SessionContexts:
    """What another process has of them: the same contexts, and a list of its own."""
    other = copy.copy(sessions)
    other._contexts = list(sessions._contexts)
    return other


def resumed(server: ssl.SSLContext, client: ssl.SSLContext, session: ssl.SSLSession | None) -> tuple:
    """Shake hands; returns whether the session was resumed, and a new one."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = server.wrap_bio(there, back, server_side=True)
    theirs = client.wrap_bio(back, there, server_hostname="localhost", session=session)
    for end in (theirs, ours, theirs, ours):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
    ours.write(b"x")
    theirs.read()
    return theirs.session_reused, theirs.session


def showing(sessions: SessionContexts) -> ssl.SSLContext:
    """The present context, with a certificate."""
    leaf = issue("localhost")
    load_into(sessions.present, certificate_of(chain_of(leaf), leaf.private_key_pem.bytes()))
    return sessions.present


@pytest.mark.parametrize("version", VERSIONS)
def test_a_ticket_is_good_for_a_day_in_every_process(version):
    master = SessionContexts(TlsRules(), 1000.0)
    master.make_ahead(1000.0)
    one, two = forked(master), forked(master)
    client = trusting(version)
    _, session = resumed(showing(one), client, None)
    for process in (one, two):
        process.advance(1000.0 + SESSION_LIFE - 1)
        assert resumed(process.present, client, session)[0]
    for process in (one, two):
        process.advance(1000.0 + SESSION_LIFE)
    again, fresh = resumed(showing(one), client, session)
    assert not again
    assert resumed(two.present, client, fresh)[0]


def test_processes_agree_whenever_they_were_forked_and_however_seldom_they_look():
    master = SessionContexts(TlsRules(), 0.0)
    master.make_ahead(0.0)
    early = forked(master)
    master.make_ahead(3.5 * SESSION_LIFE)
    late = forked(master)
    late.advance(20.5 * SESSION_LIFE)
    for day in range(4, 21):
        early.advance(day * SESSION_LIFE)
    assert early.present is late.present and early.until == late.until == 21 * SESSION_LIFE


def test_what_is_over_is_forgotten():
    sessions = SessionContexts(TlsRules(), 0.0)
    first = weakref.ref(sessions.present)
    sessions.make_ahead(SESSION_LIFE - 1)
    assert first() is sessions.present
    sessions.make_ahead(SESSION_LIFE)
    assert first() is None
    assert len(sessions._contexts) == SESSIONS_AHEAD + 1


def test_a_process_that_outlives_those_made_ahead_makes_its_own():
    sessions = SessionContexts(TlsRules(), 0.0)
    seen = [sessions.present]
    for day in range(1, 4):
        sessions.advance(day * SESSION_LIFE + 1)
        assert sessions.until == (day + 1) * SESSION_LIFE
        seen.append(sessions.present)
    assert len(set(map(id, seen))) == 4
