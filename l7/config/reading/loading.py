"""Loading: flags, environment, file and defaults become one configuration that knows where each value came from.

Precedence is ConfigArgParse's: flag > environment > file > default, setting by setting. ``users`` is one setting: the
logins of the highest source replace those of the others. Servers go by host: HOST=ADDRESS words replace the servers
of the hosts they name and leave the rest of the file as it is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import SecretStr, ValidationError

from l7.config.conflicts import conflicts, doubtful, logins
from l7.config.file_content import ReadBytes, read_file
from l7.config.generation import Loaded, Path
from l7.config.reading import flags
from l7.config.reading.complaints import complaints, in_order
from l7.config.reading.merging import EXTENSION, SourceMerge
from l7.config.schema import Config
from l7.config.values.names import printable, show_path
from l7.config.values.scalars import NEVER, REDACTED
from l7.errors import ConfigError, Problem

__all__ = ["EXTENSION", "NO_BACKENDS", "Loaded", "load"]

NO_BACKENDS = "no backends; write HOST=ADDRESS, as in `l7 --port 8080 localhost=127.0.0.1:9001`, or a file (-c FILE)"


def load(
    argv: Sequence[str],
    environ: Mapping[str, str],
    *,
    skip: int = 0,
    read_bytes: ReadBytes = read_file,
) -> Loaded:
    """Load the configuration that ``argv`` and ``environ`` ask for, reading the file anew.

    ``skip`` is how many of the words belong to a command; ``read_bytes`` gives the content of a file.
    Raises `ConfigError` with every problem of every source; SystemExit comes from ``--help`` and ``--version`` only.
    """
    line, variables = flags.parse_flags(argv), flags.parse_environment(environ)
    name = line.config if line.config is not None else variables.config
    document = None
    if name is not None:
        from l7.config.reading.yaml_file import read

        document = read(name, read_bytes)
    merge = SourceMerge(document)
    for given in (variables, line):
        merge.add_settings(given)
    merge.add_servers(variables.words, flags.SERVERS)
    merge.add_servers(line.words[skip:], "argument")
    merge.inherit()
    merge.refuse_short_form()
    problems = [*line.problems, *variables.problems, *merge.document.problems, *merge.problems]
    config = _validate(merge, problems)
    warnings = (*flags.unknown_variables(environ), *_redacted(config), *_placed(doubtful(config), merge))
    return Loaded(config, merge.sources, warnings, name, digest(config))


def _validate(merge: SourceMerge, problems: list[Problem]) -> Config:
    """Return the configuration or raise all problems, those of the schema included."""
    try:
        config = Config.model_validate(merge.raw, by_alias=True, by_name=False)
    except ValidationError as error:
        problems += complaints(error, merge.where)
        config = None
    problems += _placed(conflicts(config), merge) if config is not None else []
    if config is not None and not config.backends and not problems:
        # A file that is there and has none is where the user looks first.
        problems.append(Problem(merge.document.name, "", NO_BACKENDS))
    if problems or config is None:
        raise ConfigError(in_order(problems, merge.document.name)) from None
    return config


def _placed(found: Iterable[tuple[Path, str]], merge: SourceMerge) -> Iterator[Problem]:
    """Say in which source each of what was found stands; left out is what is told elsewhere."""
    for path, what in found:
        at = merge.where(path)
        if at is not None:
            yield Problem(at.place, show_path(path) if at.show_path else "", what)


def _redacted(config: Config) -> list[Problem]:
    account = None if config.tls.acme is None else config.tls.acme.eab
    if account is not None and account.hmac.get_secret_value() == REDACTED:
        what = "has the placeholder of a dump: the authority will not take it"
        return [Problem("tls", "acme.eab.hmac", what), *_redacted_logins(config), *_redacted_headers(config)]
    return [*_redacted_logins(config), *_redacted_headers(config)]


def _redacted_headers(config: Config) -> list[Problem]:
    what = "has the placeholder of a dump: servers do not get it"
    return [
        Problem(show_path(("backends", route, "request-headers", kind)), printable(name), what)
        for route, backend in config.backends.items()
        for kind in ("set", "add")
        for name, values in getattr(backend.request_headers, kind).items()
        for value in (values if kind == "add" else (values,))
        if isinstance(value, SecretStr) and value.get_secret_value() == REDACTED
    ]


def _redacted_logins(config: Config) -> list[Problem]:
    what = "has the placeholder of a dump as password: nobody can log in with it"
    admin: Path = ("admin", "users")
    of_admin = [] if config.admin is None else [(admin, config.admin.users)]
    return [
        Problem(show_path(path), printable(login), what)
        for path, users in [*logins(config), *of_admin]
        for login, secret in users.items()
        if secret.get_secret_value() == NEVER
    ]


def digest(config: Config) -> str:
    """Return the digest of a configuration: SHA-256 over its canonical form, cut to twelve digits."""
    canonical = json.dumps(config.model_dump(mode="python"), sort_keys=True, default=_reveal)
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def _reveal(value: Any) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)
