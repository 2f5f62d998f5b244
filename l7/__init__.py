"""l7: a minimal HTTP/1.1 reverse proxy and load balancer on gevent."""

__version__ = "0.1.0"
