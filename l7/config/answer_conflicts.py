"""What is wrong about backends without servers, those that redirect or respond: each with its place."""

from __future__ import annotations

from collections.abc import Iterator

from l7.config.generation import Path
from l7.config.schema import Config
from l7.config.sections.backends import Backend
from l7.config.sections.load_balancing import LoadBalancing
from l7.config.values.answers import redirect_url
from l7.config.values.routekeys import routes_of

_OF_REQUESTS = ("strip_prefix", "host", "request_headers")
"""The rules that change what goes to a server."""


def answer_conflicts(config: Config) -> Iterator[tuple[Path, str]]:
    """Yield what is wrong: the place of a setting, and the words."""
    for route, backend in config.backends.items():
        way = "redirect" if backend.redirect is not None else "respond" if backend.respond is not None else None
        if way is None:
            continue
        path: Path = ("backends", route)
        for name in _without_effect(backend, config):
            what = f"has no effect beside {way}: nothing goes to a server; leave it out"
            yield (*path, name.replace("_", "-")), what
        if backend.redirect is not None and redirect_url(backend.redirect.to).by_host:
            wildcard = next((one for one in routes_of(route) if one.startswith("*")), None)
            if wildcard is not None:
                what = f"a client of {wildcard} could say where {{host}} leads; write the host itself"
                yield (*path, "redirect"), what


def _without_effect(backend: Backend, config: Config) -> Iterator[str]:
    """The settings of a backend that are for servers; those that it has of the defaults need not have a use."""
    for name in (*LoadBalancing.model_fields, *_OF_REQUESTS):
        if name == "servers":
            continue
        value = getattr(backend, name)
        if value not in (Backend.model_fields[name].default, getattr(config.defaults, name)):
            yield name
