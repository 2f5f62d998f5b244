"""``l7`` without a command: run the proxy; flags, environment and file are read by a child, at each reload anew."""

from __future__ import annotations

import gc
import hashlib
import importlib.util
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING
from weakref import ref

from l7.config.file_content import ReadBytes
from l7.errors import ConfigError, StartError
from l7.master.children.reader import Reader, fork_reader
from l7.master.resources.privileged_opener import GONE, PrivilegedOpener
from l7.master.resources.privileges import identify

if TYPE_CHECKING:
    from l7.config.generation import Generation, Loaded, Reference

_LOAD = "l7.config.reading.serving", "load_to_serve"
_DUMP = "l7.config.reading.serving", "dump"
_IN_USE_LATER = (
    "l7.workers.monitor.resolver", "l7.tls.parsing", "l7.tls.self_signed", "l7.tls.servers.verification",
)  # fmt: skip
"""What is imported by the first who needs it: a reload may bring the first server that has a name, or certificate."""
_NEEDED = ("l7", "pydantic", "pydantic_core", "yaml", "configargparse", "difflib")
"""What is imported of the installation, the standard library included."""


class Files:
    """Reads files, each once, and remembers what it was.

    :param read: gives the content of a file; raises ``OSError``.
    """

    def __init__(self, read: ReadBytes) -> None:
        self._read = read
        self._contents: dict[str, bytes] = {}
        self.digests: dict[str, bytes] = {}
        self.failed = False
        """Whether one could not be read."""

    def read(self, name: str) -> bytes:
        """The content of a file."""
        if name in self._contents:
            return self._contents[name]
        try:
            content = self._contents[name] = self._read(name)
        except OSError:
            self.failed = True
            raise
        self.digests[name] = hashlib.sha256(content).digest()
        return content

    def forget(self) -> None:
        """Let go of the contents."""
        self._contents.clear()


class Outcome:
    """What came of one load: nothing else would as long as the files are the same."""

    def __init__(
        self, files: Files, reference: Reference | None, loaded: Loaded | None, error: ConfigError | None = None
    ) -> None:
        files.forget()
        self._files = files
        self._served = None if reference is None else ref(reference.config)
        """What it was compared with; a configuration that is served no more is not kept for it."""
        self._circumstances = None if reference is None else reference.circumstances
        self._loaded = loaded
        self._error = error

    def holds(self, files: Files, reference: Reference | None) -> bool:
        """Whether it would be the same again; reads the files."""
        config = None if self._loaded is None else self._loaded.config
        if self._files.failed or reference is None or not (self._is_as_before(reference) or reference.config is config):
            return False
        try:
            for name in self._files.digests:
                files.read(name)
        except OSError:
            files.failed = False  # whoever reads it now is told
            return False
        return files.digests == self._files.digests

    def _is_as_before(self, reference: Reference) -> bool:
        """Whether it would be compared with the same."""
        served = None if self._served is None else self._served()
        return served is reference.config and reference.circumstances == self._circumstances

    def again(self, reference: Reference | None) -> Loaded:
        """The same once more; raises `ConfigError` where it did."""
        if self._error is not None:
            raise self._error
        assert self._loaded is not None
        if reference is not None and reference.config is self._loaded.config:
            return replace(self._loaded, changes=(), needs_restart=())
        return self._loaded


class WrittenByReader:
    """A `l7.config.generation.ConfigDump`.

    :param reader: what writes it; None where the process that wants the text is to fork it.
    :param kept: whether others need that reader again.
    """

    def __init__(
        self, reader: Reader | None, generation: Generation, worker_lines: Sequence[str], *, kept: bool
    ) -> None:
        self._reader = reader
        self._generation = generation
        self._worker_lines = list(worker_lines)
        self.aside = not kept
        """Whether another process can ask the reader: not one that this process asks, too."""

    def text(self) -> str:
        """The YAML; raises `StartError`."""
        if self._reader is None:
            self._reader = fork_reader()
        try:
            self._reader.begin(_DUMP, self._generation, self._worker_lines)
            return f"---\n{self._reader.result()}...\n"
        finally:
            self.release()

    def release(self) -> None:
        """Close the reader, unless others need it."""
        if self._reader is not None and self.aside:
            self._reader.close()


class ConfigReader:
    """A `l7.master.state.config_source.ConfigSource`: each time another child reads.

    :param hidden: whether an account that is not root may be unable to import, as from a Python below /root. Then the
    privileged opener starts the readers; without one the first is kept.
    """

    def __init__(self, argv: Sequence[str], environ: Mapping[str, str], *, hidden: bool = False) -> None:
        self._argv = list(argv)
        self._environ = dict(environ)
        self._hidden = hidden
        self._begun: Reader | None = None
        self._kept: Reader | None = None
        self._last: Outcome | None = None

    def begin(self) -> None:
        """Begin to read, to be done with it when `load` is called; raises `StartError`."""
        self._begun = fork_reader()
        self._begun.begin(_LOAD, self._argv, self._environ, None)

    def load(self, opener: PrivilegedOpener, reference: Reference | None = None) -> Loaded:
        """As `l7.master.state.config_source.ConfigSource` says it; what was read before is not read again."""
        files = Files(opener.read)
        before = self._last
        if before is not None and before.holds(files, reference):
            return before.again(reference)
        reader, first = self._begun, self._begun is not None
        self._begun = None
        if reader is None:
            reader = self._reader(opener)
            reader.begin(_LOAD, self._argv, self._environ, reference)
        try:
            loaded: Loaded = reader.result(files.read)
            if first and self._hidden:
                self._keep(reader, loaded)
        except ConfigError as error:
            self._last = Outcome(files, reference, None, error)
            raise
        finally:
            self._done(reader)
        self._last = Outcome(files, reference, loaded)
        return loaded

    def dump(self, opener: PrivilegedOpener, generation: Generation, worker_lines: Sequence[str]) -> WrittenByReader:
        """As `l7.master.state.config_source.ConfigSource` says it."""
        reader = None if self._forks(opener) else self._reader(opener)
        return WrittenByReader(reader, generation, worker_lines, kept=reader is not None and reader is self._kept)

    def _reader(self, opener: PrivilegedOpener) -> Reader:
        if self._kept is not None:
            return self._kept
        if self._forks(opener):
            return fork_reader()
        if not opener.alive:
            raise StartError(f"the configuration cannot be read: {GONE}")
        return Reader(opener.start_reader())

    def _forks(self, opener: PrivilegedOpener) -> bool:
        """Whether this process, and each forked from it, can start a reader itself."""
        return self._kept is None and (not self._hidden or opener.pid is None)

    def _keep(self, reader: Reader, loaded: Loaded) -> None:
        """Keep the first reader where no other one could be started later."""
        identity = identify(loaded.config.run_as)
        if identity is not None and identity.uid != 0 and loaded.config.privileged_opener == "off":
            reader.begin(("l7.master.children.reader", "become"), identity)
            reader.result()
            self._kept = reader

    def _done(self, reader: Reader) -> None:
        if reader is not self._kept:
            reader.close()


def run(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Serve until told to stop; returns the exit code."""
    hidden = os.geteuid() == 0 and not _may_be_imported_by_all()
    reader = ConfigReader(argv, environ, hidden=hidden)
    reader.begin()
    from l7.master.build import serve

    if hidden:
        for name in _IN_USE_LATER:
            importlib.import_module(name)
    # What was imported is no garbage, now or later: no collection, here or in a child, is to look at it.
    gc.freeze()
    gc.enable()
    return serve(reader)


def _may_be_imported_by_all() -> bool:
    """Whether every account may pass the folders that hold what is imported."""
    folders = set()
    for name in _NEEDED:
        found = importlib.util.find_spec(name)
        if found is None or found.origin is None:
            return False
        folders.add(os.path.dirname(os.path.realpath(found.origin)))
    while missing := {os.path.dirname(folder) for folder in folders} - folders:
        folders |= missing
    return all(os.stat(folder).st_mode & stat.S_IXOTH for folder in folders)
