"""The kept corpora go through their targets, without atheris."""

from __future__ import annotations

import pytest

from tests.fuzz import chunked, heads, messages, proxy_headers, responses, tls_handshakes
from tests.fuzz.running import kept

TARGETS = {
    "heads": heads,
    "chunked": chunked,
    "responses": responses,
    "messages": messages,
    "proxy_headers": proxy_headers,
    "tls_handshakes": tls_handshakes,
}


@pytest.mark.parametrize("name", TARGETS)
def test_kept_inputs_hold_the_invariant(name):
    inputs = kept(name)
    assert inputs, "an empty corpus proves nothing"
    for data in inputs:
        try:
            TARGETS[name].one(data)
        except BaseException as error:
            error.add_note(f"input: {data!r}") if hasattr(error, "add_note") else None
            raise


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_hold_the_invariant(name):
    for data in TARGETS[name].seeds():
        TARGETS[name].one(data)
