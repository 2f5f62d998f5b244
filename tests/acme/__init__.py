"""Tests of l7.acme."""
