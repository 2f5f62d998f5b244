"""What backends have from ``defaults``: key by key, before anything is validated, each with where it came from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from l7.config.generation import Path

DEFAULTS = "defaults"
HEADERS = ("request-headers", "response-headers")


def inherit(raw: dict[str, Any], sources: dict[Path, str]) -> set[Path]:
    """Give every backend what it does not say itself; returns the paths of what was given.

    ``raw`` and ``sources`` are changed. What is no mapping is left to the schema, and so are servers among defaults.
    """
    defaults, backends = raw.get(DEFAULTS), raw.get("backends")
    if not isinstance(defaults, dict) or not isinstance(backends, dict):
        return set()
    told = [(path[1:], source) for path, source in sources.items() if path[0] == DEFAULTS]
    given: set[Path] = set()
    for route, backend in backends.items():
        if isinstance(backend, dict):
            at: Path = ("backends", route)
            general = {
                key: _left(value, backend.get(key)) if key in HEADERS else value for key, value in defaults.items()
            }
            new = set(_missing(backend, general, ()))
            backends[route] = _joined(backend, general, new, ())
            given |= {(*at, *path) for path in new}
            sources.update(
                ((*at, *path), source) for path, source in told if any(path[: len(one)] == one for one in new)
            )
    return given


def _left(general: Any, own: Any) -> Any:
    """A section of header fields without those that the backend's own names, in whatever case: of these it decides."""
    if not isinstance(general, dict) or not isinstance(own, dict):
        return general
    named = [[names] if isinstance(names, str) else names for names in own.values()]
    said = {str(name).lower() for names in named if isinstance(names, (dict, list)) for name in names}
    return {
        key: {name: value for name, value in fields.items() if str(name).lower() not in said}
        if isinstance(fields, dict)
        else fields
        for key, fields in general.items()
    }


def _missing(own: dict[str, Any], defaults: dict[str, Any], above: Path) -> Iterator[Path]:
    """Yield the paths of what ``own`` has not: settings, and sections as a whole."""
    for key, value in defaults.items():
        if key not in own:
            if above or _has_use(key, {**defaults, **own}):
                yield (*above, key)
        elif isinstance(value, dict) and isinstance(own[key], dict):
            yield from _missing(own[key], value, (*above, key))


def _has_use(key: str, backend: dict[str, Any]) -> bool:
    """Whether a default means anything to a backend: what serves it does not, and a hash key only where it hashes."""
    return key not in ("servers", "redirect", "respond") and (key != "hash-key" or backend.get("balance") == "hash")


def _joined(own: dict[str, Any], defaults: dict[str, Any], new: set[Path], above: Path) -> dict[str, Any]:
    joined = dict(own)
    for key, value in defaults.items():
        if (*above, key) in new:
            joined[key] = value
        elif isinstance(value, dict) and isinstance(own.get(key), dict):
            joined[key] = _joined(own[key], value, new, (*above, key))
    return joined
