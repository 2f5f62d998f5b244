"""Tests of the commands that need no running l7."""
