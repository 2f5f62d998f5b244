"""Environments that l7 is started in."""

from __future__ import annotations

SERVICE = {
    "L7_SERVICE_HOST": "10.96.12.7",
    "L7_SERVICE_PORT": "80",
    "L7_SERVICE_PORT_HTTP": "80",
    "L7_PORT": "tcp://10.96.12.7:80",
    "L7_PORT_80_TCP": "tcp://10.96.12.7:80",
    "L7_PORT_80_TCP_PROTO": "tcp",
    "L7_PORT_80_TCP_PORT": "80",
    "L7_PORT_80_TCP_ADDR": "10.96.12.7",
}
"""What Kubernetes puts into every pod of a namespace with a Service called l7; Docker's links add the like."""
