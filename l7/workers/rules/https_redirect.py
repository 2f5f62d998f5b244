"""The answer of a listener that leads to https: 308 to the same host and target on the port where TLS is spoken.

Not led away are those for whom that would be wrong: a certificate authority that asks for its challenge (RFC 8555,
8.3), and a request of which a trusted proxy says that it came by https already. Nobody is asked for a login here,
because it would be sent in the clear.
"""

from __future__ import annotations

from l7.balancing.routing import Routes
from l7.errors import NO_ROUTE, ProxyError
from l7.http.grammar import CRLF
from l7.http.messages import LocalResponse, RequestHead
from l7.http.targets import https_location, is_challenge
from l7.sharedmem.challenges import ChallengeTable

_BY_HTTPS = b"x-forwarded-proto: https"


def early_answer(
    head: RequestHead, port: int, believed: bytes | None, routes: Routes, challenges: ChallengeTable | None
) -> LocalResponse | None:
    """What is answered before anybody is asked for a login: a challenge of ours, or where https is (`https_redirect`).

    :param port: where https is; 0 where the listener does not lead there.
    """
    if challenges is not None and is_challenge(head):
        found = challenges.find(head.path.rpartition(b"/")[2].decode("ascii"))
        if found is not None:
            return LocalResponse(200, "application/octet-stream", found.encode("ascii"))
    return https_redirect(head, port, believed, routes) if port else None


def https_redirect(head: RequestHead, port: int, believed: bytes | None, routes: Routes) -> LocalResponse | None:
    """The redirect to ``port`` for a request; None for one that is to be served where it came.

    Only hosts that are served are named, so that no cache learns of others. Method and body stay (RFC 9110, 15.4.9).

    :param believed: the forwarding fields of a trusted proxy.
    :raises ProxyError: the host is not served (404), or what is asked for has no place on https (400).
    """
    if is_challenge(head) or (believed is not None and _BY_HTTPS in believed.lower().split(CRLF)):
        return None
    url = https_location(head, port)
    if routes.match(head.host, head.path) is None:
        raise ProxyError(NO_ROUTE, f"host {head.host}")
    return LocalResponse(308, "text/plain; charset=utf-8", f"moved to {url}\n".encode("ascii"), (f"Location: {url}",))
