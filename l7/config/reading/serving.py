"""What a child does for a master that serves (`l7.master.children.reader`): read a configuration, or write it down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from l7.config.codings import installed
from l7.config.file_content import ReadBytes
from l7.config.generation import Generation, Loaded, PackedSources, Reference
from l7.config.reading import flags
from l7.config.reading.loading import load
from l7.config.schema import Config
from l7.errors import ConfigError

SERVER_TLS_FILES = ("ca", "cert", "key")
"""The settings of a backend's `tls` that name files."""
_SAMPLES = {
    "valid": b"\xef\xbb\xbfbackends: {'*.example.com': {servers: ['127.0.0.1', '[::1]:1', 'name:80']}}",
    "unknown": b"porto: 1",
    "no YAML": b"{",
    "no text": b"\xff",
}


def load_to_serve(
    read_bytes: ReadBytes, argv: Sequence[str], environ: Mapping[str, str], reference: Reference | None
) -> Loaded:
    """As `load`, and what is different to the configuration that is served."""
    flags.command_of(flags.parse_flags(argv))  # a word that is no command is not passed over
    loaded = load(argv, environ, read_bytes=read_bytes)
    loaded = replace(loaded, sources=PackedSources(loaded.sources))
    return loaded if reference is None else _compared(loaded, reference)


def _compared(loaded: Loaded, reference: Reference) -> Loaded:
    from l7.config.changes import changes, needs_restart

    old, new = reference.config, loaded.config
    lines = needs_restart(
        old, new, handed=reference.handed, privileged=reference.privileged,
        unprivileged_from=reference.unprivileged_from,
    )  # fmt: skip
    return replace(loaded, changes=tuple(changes(old, new)), needs_restart=tuple(lines))


def dump(_: ReadBytes, generation: Generation, worker_lines: Sequence[str]) -> str:
    """`render_dump` of a generation that is served."""
    from l7.config.rendering.dump import render_dump

    if isinstance(generation.sources, PackedSources):
        generation = replace(generation, sources=generation.sources.unpacked())
    return render_dump(generation, worker_lines)


def warm_up() -> None:
    """Import what is imported when it is first used: in good times and in bad ones."""
    from l7.config.rendering.dump import render_dump

    def read_bytes(name: str) -> bytes:
        return _SAMPLES[name]

    installed()

    for name in _SAMPLES:
        with suppress(ConfigError):
            loaded = load(["-c", name], {}, read_bytes=read_bytes)
            render_dump(_compared(loaded, Reference(loaded.config, False, False, 0)))


def settings_of(_: ReadBytes, text: str, name: str, keys: Sequence[str]) -> Config:
    """The settings ``keys`` of a file; the rest are defaults. Raises ValueError where they are not valid."""
    data = _data_of(text, name)
    found = {key: data[key] for key in keys if key in data}
    return Config.model_validate(found, by_alias=True, by_name=False)


def server_tls_files(_: ReadBytes, text: str, name: str) -> list[str]:
    """The files that `tls` of backends, and of their defaults, names in a file. Raises ValueError for what is none."""
    found = [section["tls"] for section in _sections_in(_data_of(text, name)) if isinstance(section.get("tls"), dict)]
    return [str(tls[key]) for tls in found for key in SERVER_TLS_FILES if tls.get(key) is not None]


def error_page_files(_: ReadBytes, text: str, name: str) -> list[str]:
    """The files that `error-pages` names in a file, at the top and below backends; raises as `server_tls_files`."""
    data = _data_of(text, name)
    found = [section.get("error-pages") for section in (data, *_sections_in(data))]
    return [str(file) for pages in found if isinstance(pages, dict) for file in pages.values()]


def _data_of(text: str, name: str) -> dict[str, Any]:
    """What is written in a file; raises ValueError."""
    from l7.config.reading.yaml_file import parse

    written = parse(text, name)
    if written.problems:
        raise ValueError(str(written.problems[0]))
    return written.data


def _sections_in(data: dict[str, Any]) -> list[dict[str, Any]]:
    """The backends of a file, and their defaults."""
    backends = data.get("backends")
    sections = [data.get("defaults"), *(backends.values() if isinstance(backends, dict) else ())]
    return [section for section in sections if isinstance(section, dict)]
