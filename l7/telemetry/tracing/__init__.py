"""Traces: the fields of W3C Trace Context, spans, and how these are told to a collector (OTLP)."""
