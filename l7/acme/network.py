"""How requests to an authority go out: verified, with bounds, and with the last answer kept for what it says beside."""

from __future__ import annotations

import logging
from typing import Any

import josepy
import requests
from acme import client

from l7.config.values.names import printable

LARGEST = 1024 * 1024
"""Bytes of the largest answer that is read."""

for _name in ("acme", "urllib3"):  # they would write requests and answers to standard error, in their own form
    logging.getLogger(_name).addHandler(logging.NullHandler())
    logging.getLogger(_name).propagate = False


class AnswerTooLarge(requests.RequestException):  # type: ignore[misc]
    """An answer of more than `LARGEST` bytes."""


class AuthorityNetwork(client.ClientNetwork):  # type: ignore[misc]
    """What `acme` sends its requests by; its key is set when there is one.

    :param ca: the file with the issuers that are trusted; None for those that browsers know.
    """

    def __init__(self, user_agent: str, ca: str | None, timeout: int) -> None:
        super().__init__(alg=josepy.ES256, user_agent=user_agent, timeout=timeout)
        self.verify_ssl: Any = True if ca is None else ca
        self.last: requests.Response | None = None
        """The last answer."""

    def _send_request(self, method: str, url: str, *args: Any, **kwargs: Any) -> requests.Response:
        self.last = None
        headers = {"User-Agent": self.user_agent, **kwargs.pop("headers", {})}
        response = self.session.request(
            method, url, *args, headers=headers, verify=self.verify_ssl, timeout=self._default_timeout, stream=True,
            **kwargs,
        )  # fmt: skip
        content = b""
        with response:
            for piece in response.iter_content(64 * 1024):
                content += piece
                if len(content) > LARGEST:
                    raise AnswerTooLarge(f"its answer is of more than {LARGEST} bytes")
        response._content = content  # what `requests` itself would have read, without a bound
        response.encoding = "utf-8"
        self.last = response
        return response


def why_unreachable(error: requests.RequestException) -> str:
    """Why there was no answer, in words."""
    if isinstance(error, AnswerTooLarge):
        return str(error)
    if isinstance(error, requests.Timeout):
        return "it does not answer in time"
    inner: Any = error
    while (below := _below(inner)) is not None:
        inner = below
    words = getattr(inner, "verify_message", "") or getattr(inner, "strerror", None) or str(inner)
    if isinstance(error, requests.exceptions.SSLError):
        return f"its own certificate is not to be trusted: {printable(words, 200)}; name its issuers by tls.acme.ca"
    return f"it cannot be reached: {printable(str(words).lower() or type(inner).__name__, 200)}"


def _below(error: Any) -> BaseException | None:
    """The error that another one was made of."""
    reason = getattr(error, "reason", None)
    found = [reason, *getattr(error, "args", ()), getattr(error, "__cause__", None)]
    return next((one for one in found if isinstance(one, BaseException) and one is not error), None)
