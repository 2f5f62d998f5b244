"""Compressing answers: which may be, in which coding, and what becomes of their fields; no loop, no socket."""
