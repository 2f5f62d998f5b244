"""Tests of l7.tls."""
