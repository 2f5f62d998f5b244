"""l7: a minimal HTTP/1.1 reverse proxy and load balancer on gevent."""

from l7 import compiled as compiled  # before any hot module: it decides whether extensions or sources are found

__version__ = "0.2.0"
__date__ = "2026-11-28"
"""When this version was released."""
