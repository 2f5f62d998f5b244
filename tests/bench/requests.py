"""What the load asks for: heads like a browser's, eleven fields and more, another URL every time.

There are three kinds of heads, because a proxy that remembers what it has read is cheap on those that come again:
`REGULAR` from 256 visitors, `VISITORS` from 50,000 in random order, each with a cookie of its own and a page of its own
that it comes from; and `FRESH` with three lines that never come again, as a CDN and a browser's cache add them.
"""

from __future__ import annotations

import base64
import hashlib
import random
import re
from dataclasses import dataclass

HOST = "bench.test"
LOGIN = "someone"
PASSWORD = "a password of some length"
REGULAR, FRESH, VISITORS = "regular", "fresh", "visitors"
REGULARS = 256
"""Sessions that take turns."""
STRANGERS = 50_000
"""Sessions in random order."""
ASKED_HOSTS = 64
"""Of many configured hosts so many are asked for, spread over all: as many as there are connections, so that the
connections to the servers stay open and what differs is finding the route."""

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)

FIELDS = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
    "Accept-Language: en-GB,en;q=0.7,de;q=0.3",
    "Accept-Encoding: gzip, deflate, br",
    "Cache-Control: max-age=0",
    "Upgrade-Insecure-Requests: 1",
    "Sec-Fetch-Dest: document",
    "Sec-Fetch-Mode: navigate",
    "Sec-Fetch-Site: same-origin",
    "Priority: u=0, i",
)


@dataclass(frozen=True)
class Request:
    """One kind of request; ``size`` is how long the answer's body has to be, ``body`` the request's own, in bytes."""

    path: str
    size: int
    method: str = "GET"
    body: int = 0
    close: bool = False
    login: bool = False
    hosts: int = 1
    heads: str = REGULAR

    @property
    def start(self) -> str:
        """What stands before the number that makes the URL unique."""
        return f"{self.method} {self.path}"

    def asked_hosts(self) -> list[str]:
        """The hosts that are asked for."""
        step = max(1, self.hosts // ASKED_HOSTS)
        return host_names(self.hosts)[::step][:ASKED_HOSTS]

    def rests(self) -> list[str]:
        """What may stand after the number, up to where `varying` lines or the end of the head follow."""
        hosts = self.asked_hosts()
        count = REGULARS if self.heads == REGULAR else len(hosts)
        return [self.rest(hosts[visitor % len(hosts)], visitor) for visitor in range(count)]

    def rest(self, host: str, visitor: int = 0) -> str:
        """What stands after the number, up to where `varying` lines or the end of the head follow."""
        fields = [f"Host: {host}", *FIELDS]
        if self.heads == REGULAR:
            session = hashlib.md5(str(visitor).encode(), usedforsecurity=False).hexdigest()
            fields += visit(visitor, session)
        if self.login:
            fields.append("Authorization: Basic " + base64.b64encode(f"{LOGIN}:{PASSWORD}".encode()).decode())
        if self.body:
            fields += ["Content-Type: application/octet-stream", f"Content-Length: {self.body}"]
        if self.close:
            fields.append("Connection: close")
        return "?page=2&sort=price HTTP/1.1\r\n" + "\r\n".join(fields) + "\r\n" * (1 + (self.heads == REGULAR))

    def varying(self, number: int) -> str:
        """The lines that another request does not have, with the end of the head; nothing where there are none."""
        chance = random.Random(number)
        if self.heads == FRESH:
            trace, tag = (f"{chance.getrandbits(64):016x}" for _ in range(2))
            return f'X-Trace-Id: {trace}\r\nIf-None-Match: "{tag}"\r\nX-Sequence: {number}\r\n\r\n'
        if self.heads == VISITORS:
            visitor = chance.randrange(STRANGERS)
            return "\r\n".join([*visit(visitor, f"{visitor * 2654435761:032x}"), "", ""])
        return ""

    def bytes(self, number: int) -> bytes:
        """One whole request."""
        hosts = self.asked_hosts()
        head = f"{self.start}{number}{self.rest(hosts[number % len(hosts)], number % REGULARS)}{self.varying(number)}"
        return head.encode("ascii") + b"x" * self.body


def visit(visitor: int, session: str) -> list[str]:
    """The fields of a visitor's own."""
    return [
        f"Referer: http://bench.test/catalogue/{visitor}/index.html?sort=price",
        f"Cookie: session={session}; theme=dark; consent=all",
    ]


def host_names(count: int) -> list[str]:
    """The hosts of a configuration with so many."""
    return [HOST, *(f"shop-{number}.customer-{number % 97}.test" for number in range(1, count))]


def answered(data: bytes) -> bool:
    """Whether a whole answer is here.

    :raises ValueError: it is not a 200 with a length, or more came than one answer.
    """
    end = data.find(b"\r\n\r\n") + 4
    if end < 4:
        return False
    found = _LENGTH.search(data, 0, end)
    if found is None or not data.startswith(b"HTTP/1.1 200"):
        raise ValueError(f"unexpected answer: {data[:200]!r}")
    left = end + int(found.group(1)) - len(data)
    if left < 0:
        raise ValueError("more than one answer")
    return not left
