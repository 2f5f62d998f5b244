"""All files that a configuration names, read together: what is wrong with them is told at once."""

from __future__ import annotations

from l7.config.generation import Loaded
from l7.errors import ConfigError, Problem
from l7.rules.answers.error_pages import ErrorPage, Pages
from l7.rules.answers.page_files import ReadPage, read_pages
from l7.rules.answers.redirect_loops import redirect_loops
from l7.rules.shut_out import shut_out
from l7.tls.certificate_files import Read
from l7.tls.servers.files import AllTlsFiles, read_all


def read_named_files(
    loaded: Loaded, read_certificate: Read, read_page: ReadPage, *, patient: bool = True
) -> tuple[AllTlsFiles, Pages, tuple[Problem, ...]]:
    """The files of TLS, the error pages, and warnings about anything else; raises `ConfigError` with all that is wrong.

    :param patient: as for `l7.tls.certificate_files.read_tls`.
    """
    files, pages = AllTlsFiles(), dict[str, ErrorPage]()
    problems: list[Problem] = []
    try:
        files = read_all(loaded, read_certificate, patient=patient)
    except ConfigError as error:
        problems += error.problems
    try:
        pages = read_pages(loaded, read_page)
    except ConfigError as error:
        problems += error.problems
    if problems:
        raise ConfigError(problems)
    return files, pages, (*redirect_loops(loaded), *shut_out(loaded))
