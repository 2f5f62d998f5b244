"""Rules of a route, the same ones for nginx and for l7: a job has the first so many of them.

None of them refuses what the load asks for, and no answer is made longer than by the fields that they name.
"""

from __future__ import annotations

import json
from typing import Any

REQUEST, RESPONSE = "request-headers", "response-headers"
SECURITY = "X-Content-Type-Options: nosniff"
"""The field that shows that rules are in force, also over plain http; it is among the first three."""

ZONE = "limit_req_zone $binary_remote_addr zone=addresses:10m rate=1000000r/s;"
"""What nginx needs for the limit, outside of the place where it holds."""
_NAME, _, _VALUE = SECURITY.partition(": ")

RULES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("proxy_set_header X-Env prod;", {REQUEST: {"set": {"X-Env": "prod"}}}),
    (f"add_header {_NAME} {_VALUE} always;", {RESPONSE: {"set": {_NAME: _VALUE}}}),
    ("proxy_hide_header X-Powered-By;", {RESPONSE: {"remove": ["X-Powered-By"]}}),
    ('proxy_set_header X-Debug "";', {REQUEST: {"remove": ["X-Debug"]}}),
    ("add_header X-Frame-Options DENY always;", {RESPONSE: {"set": {"X-Frame-Options": "DENY"}}}),
    ("add_header Referrer-Policy same-origin always;", {RESPONSE: {"set": {"Referrer-Policy": "same-origin"}}}),
    ("deny 127.6.6.6;", {"deny": ["127.6.6.6"]}),
    ("allow 127.0.0.0/8; deny all;", {"allow": ["127.0.0.0/8"]}),
    ("limit_req zone=addresses burst=1000000 nodelay;", {"rate-limit": {"requests": 1_000_000, "per": "1s"}}),
    ("client_max_body_size 10m;", {"limits": {"body": "10MB"}}),
)
"""Each as nginx has it within a location, and as l7 has it below a backend."""


def of_nginx(count: int) -> str:
    """The first ``count`` of them, as nginx has them within a location."""
    return "\n            ".join(line for line, _ in RULES[:count])


def of_l7(count: int) -> str:
    """The same below a backend of l7, in YAML: what stands behind its servers, with a comma before each."""
    merged: dict[str, Any] = {}
    for _, rule in RULES[:count]:
        for setting, value in rule.items():
            if setting in (REQUEST, RESPONSE):
                for change, what in value.items():
                    section = merged.setdefault(setting, {})
                    section[change] = {**section[change], **what} if change == "set" and change in section else what
            else:
                merged[setting] = value
    return "".join(f", {setting}: {json.dumps(value)}" for setting, value in merged.items())
