"""How requests to an authority go out: verified, with bounds, and with the last answer kept for what it says beside.

They are sent by the standard library, and not by ``requests``, of which `acme` takes the answers: this module is
imported by the master, before root is given up and before the monitor process makes that library wait in greenlets.
"""

from __future__ import annotations

import http.client
import logging
import ssl
from typing import Any
from urllib.parse import urlsplit

import josepy
import requests
from acme import client
from requests.structures import CaseInsensitiveDict

from l7.config.values.names import printable
from l7.tls.servers.trust import ServerTrust, server_context

LARGEST = 1024 * 1024
"""Bytes of the largest answer that is read."""

for _name in ("acme", "urllib3"):  # they would write requests and answers to standard error, in their own form
    logging.getLogger(_name).addHandler(logging.NullHandler())
    logging.getLogger(_name).propagate = False


class UnreachableError(OSError):
    """There is no answer that could be read; it says why in words."""


class AuthorityNetwork(client.ClientNetwork):  # type: ignore[misc]
    """What `acme` sends its requests by; its key is set when there is one.

    :param issuers: those that are trusted, as PEM; empty for those of the system.
    :raises NoAuthoritiesError: the system has none.
    """

    def __init__(self, user_agent: str, issuers: str, timeout: int) -> None:
        super().__init__(alg=josepy.ES256, user_agent=user_agent, timeout=timeout)
        self._context = server_context(ServerTrust(ca=issuers))
        self.last: requests.Response | None = None
        """The last answer."""

    def _send_request(self, method: str, url: str, *args: Any, **kwargs: Any) -> requests.Response:
        self.last = None
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname:
            raise UnreachableError(f"it leads to {printable(url, 100)}, which is not https")
        target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        connection = http.client.HTTPSConnection(
            parts.hostname, parts.port, timeout=self._default_timeout, context=self._context
        )
        headers = {"User-Agent": self.user_agent, "Connection": "close", **kwargs.get("headers", {})}
        try:
            connection.request(method, target, kwargs.get("data"), headers)
            answer = connection.getresponse()
            content = answer.read(LARGEST + 1)
        finally:
            connection.close()
        if len(content) > LARGEST:
            raise UnreachableError(f"its answer is of more than {LARGEST} bytes")
        self.last = _response(url, answer, content)
        return self.last


def _response(url: str, answer: http.client.HTTPResponse, content: bytes) -> requests.Response:
    """An answer as `acme` looks at it."""
    response = requests.Response()
    response.url = url
    response.status_code, response.reason = answer.status, answer.reason
    response.headers = CaseInsensitiveDict(answer.getheaders())
    response.encoding = "utf-8"
    response._content = content
    return response


def why_unreachable(error: Exception) -> str:
    """Why there was no answer, in words."""
    if isinstance(error, UnreachableError):
        return str(error)
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        words = printable(error.verify_message, 200)
        return f"its own certificate is not to be trusted: {words}; name its issuers by tls.acme.ca"
    if isinstance(error, http.client.HTTPException):
        return f"what it answers is no HTTP: {printable(' '.join(str(error).split()) or type(error).__name__, 100)}"
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return f"it cannot be reached: {printable(str(words).lower(), 200)}"
