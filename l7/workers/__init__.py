"""Doing, on gevent: the only package that may import it."""
