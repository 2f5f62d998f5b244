"""What end-to-end tests are made of: the real program, a scripted origin and a client of raw bytes.

========================  ===================================================================================
`harness.l7process`       `L7Process`: starts ``python -m l7``, waits for its ``ready`` event, sends signals, stops it
                          and asserts that nothing is left behind
`harness.stage`           `Stage`, `Play`: one l7 and one origin for all tests of a module, and a test's share of them
`harness.origin`          `Origin`: a server whose answers are scripted and that records every byte it was sent
`harness.client`          `Client`, `exchange`: sends any bytes in any slices, reads answers with a strict parser
`harness.strict_reader`   what both read by: lines, fields and chunks as the grammar has them
`harness.load`            `Load`, `Gate`, `in_flight`: clients that ask all the time, and one whose answer waits
`harness.lifecycle`       `reload`, `upgrade`, `canary`, `wait_for_control`: what is done to a running l7, and awaited
`harness.over_tls`        the same over TLS: `http_connection`, `websocket`, `scheme`
`harness.ports`           ports that stay a test's own
`harness.environment`     environments that l7 is started in
`harness.accounts`        what only root may do: `root_only`, `free_privileged_port`
`harness.browser`         `Chromium`: each step of it has an end
`harness.websocketserver` `WebSocketServer`
`harness.independent`     the same bytes read by h11 and by llhttp (httptools), to compare with
========================  ===================================================================================

Fixtures (``tests/conftest.py``): ``origin`` and ``l7`` are factories; both clean up and assert that nothing leaked::

    def test_host_is_passed_on(l7, origin):
        app = origin()                                      # echoes; origin(handler) scripts
        proxy = l7(f"backends: {{'*': {{servers: ['{app.address}']}}}}")
        answer = get(proxy.port, "/x", host="example.com")
        assert app.requests[0].header(b"host") == b"example.com"

Nothing here sleeps for a result: everything awaited has a bound, and a failure shows what the program wrote.
"""

from __future__ import annotations

import contextlib
import os

TIMEOUT = 30.0
"""Seconds within which anything must happen; generous: only what fails waits for so long, and machines are slow."""


def descriptors() -> set[tuple[str, str]]:
    """The descriptors of this process, each with what it is: what is opened later is not taken for what was there.

    Compare by ``-``: what earlier tests have left may be closed at any time, when its garbage is collected.
    """
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            found.add((name, os.readlink(f"/proc/self/fd/{name}")))
    return found
