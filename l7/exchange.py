"""What is known of one request so far: every phase fills it in, the access log reads it at the end.

Hot: one is made a request. Compiled, its numbers are C's own: 700 instructions to make and free it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from l7.errors import ProxyError
    from l7.tls.details import TlsDetails

NOT_REACHED = -1.0
"""A phase that the request never came to."""


class Exchange:
    """One request and its answer. Times are seconds; bytes are counted as bodies, without heads and chunk framing.

    ``port`` is that of the listener, 0 for a unix socket; ``connection`` the number of the client's connection in its
    worker, from the 24th bit on, and of the request on that; ``record`` the slot that the recorder has given it, 0 for
    none.
    """

    __slots__ = (
        "attempts",
        "clean",
        "client",
        "code",
        "connect_time",
        "connection",
        "failure",
        "host",
        "port",
        "queue_time",
        "received",
        "record",
        "referer",
        "request_id",
        "request_line",
        "response_time",
        "route",
        "row",
        "ruled",
        "sent",
        "sent_at",
        "server",
        "started",
        "status",
        "tls",
        "total_time",
        "trace",
        "user",
        "user_agent",
    )

    def __init__(self, client: str, started: float) -> None:
        self.client = client
        """The address of the client, as a trusted proxy reported it or as the connection shows it."""
        self.started = started
        """When the first byte of the request was seen (`l7.clock.monotonic`)."""
        self.request_line = b""
        """As received, without CRLF; may hold anything when the request was refused."""
        self.clean = False
        """Whether it is known to be visible ASCII without quotes and backslashes."""
        self.host = ""
        """The normalised host the request was routed by; empty when there was none."""
        self.request_id = ""
        """Visible ASCII without quotes and backslashes (`l7.http.grammar.REQUEST_ID`): it may stand in a log line."""
        self.user = b""
        """The login named in ``Authorization: Basic``, believed or not; empty when there is none."""
        self.referer = self.user_agent = b""
        self.server = ""
        """The address of the last server tried; empty when none was."""
        self.attempts = 0
        self.status = 0
        """The status the client was given; 499 when it left before it could be given one."""
        self.received = self.sent = 0
        """Bytes of request body read from the client, and of response body sent to it."""
        self.queue_time = self.connect_time = self.response_time = NOT_REACHED
        """From the request sent to the first byte of the answer."""
        self.total_time = self.sent_at = 0.0
        """``sent_at``: when all of it had gone to the present server (`l7.clock.monotonic`); 0 before."""
        self.code = "--"
        """The termination code of `l7.errors`; ``--`` for a request that went well."""
        self.failure: ProxyError | None = None
        self.tls: TlsDetails | None = None
        """What the client's TLS is; None where it speaks none."""
        self.ruled: Any = None
        """The request as its rules see it (`l7.rules.context.RuleContext`); None where there are none."""
        self.trace: Any = None
        """Its spans so far (`l7.telemetry.tracing.spans.RequestTrace`); None where it is not traced."""
        self.route = ""
        """The route as the configuration writes it; empty when it came to none."""
        self.port = self.connection = self.record = self.row = 0
        """The shared memory's row of the backend; 0 when it came to none."""
