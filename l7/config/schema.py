"""The one schema: every setting, its type, its default and its words stand here and nowhere else.

Flags, environment variables, the YAML loader, ``l7 check``, the dump and the settings page of the documentation are
derived from these models. All of them are frozen: a configuration never changes, a new generation has a new one.
Durations are floats in seconds, sizes integers in bytes; ``None`` stands for "no limit" or "not set".
"""
