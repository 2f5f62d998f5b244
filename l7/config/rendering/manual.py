"""``python -m l7.config.rendering.manual`` prints the manual page ``docs/l7.1``, from the parser and the schema, in
man(7).
"""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections.abc import Iterator, Sequence

from l7 import __date__, __version__
from l7.config.reading.command_options import COMMANDS, WORDS
from l7.config.reading.flags import SERVERS, build
from l7.config.rendering.reference import EXAMPLE, Entry, parts

_SYNOPSIS = ("[\\fIoptions\\fR] [\\fIHOST\\fR=\\fIADDRESS\\fR ...]", "\\fICOMMAND\\fR [\\fIoptions\\fR]")
_DESCRIPTION = (
    "l7 is an HTTP/1.1 reverse proxy and load balancer. Without a command it proxies requests, in the foreground: each "
    "`HOST=ADDRESS` adds a server to a host, and a YAML file can say all that flags can and more.",
    "A flag wins over its environment variable, that over the file, that over the default. "
    f"`HOST=ADDRESS` words may also stand in `{SERVERS}`, separated by spaces or commas.",
)
_SIGNALS = (
    ("HUP", "Reload the configuration, and open the log files anew; if it is broken, say so and change nothing."),
    ("USR1", "Print the configuration in use on standard output."),
    ("USR2", "Upgrade in place: new code, the same sockets."),
    ("TERM", "Stop: requests in flight are finished within `graceful-timeout`."),
    ("INT, QUIT", "Stop now."),
    ("TTIN, TTOU", "One worker more, one less."),
)
_EXIT_STATUS = (
    ("0", "Stopped as asked, or done."),
    ("1", "Could not start or run; `explain` found nothing, a reload failed."),
    ("2", "Wrong usage or an invalid configuration."),
    ("3", "None of the first workers could boot."),
)
_EXAMPLES = (
    "l7 --port 8080 localhost=127.0.0.1:9001 localhost=127.0.0.1:9002",
    "sudo l7 --user admin:admin --port 80 example.com=127.0.0.1:8081 '*=127.0.0.1:8082'",
    "l7 --config config.yml",
    "l7 check -c config.yml",
    "l7 explain -c config.yml http://example.com/api -H 'X-Request-ID: 1'",
)


def page() -> str:
    """Return the page as man(7) source."""
    lines = [
        '.\\" Generated: python -m l7.config.rendering.manual > docs/l7.1',
        f'.TH L7 1 {__date__} "l7 {__version__}" "User Commands"',
        *(".SH NAME", "l7 \\- HTTP/1.1 reverse proxy and load balancer"),
        *(".SH SYNOPSIS", *_between([f".B l7\n{words}" for words in _SYNOPSIS], ".br")),
        *(".SH DESCRIPTION", *_between([_paragraph(words) for words in _DESCRIPTION], ".PP")),
        *(".SH COMMANDS", *_commands(), ".SH OPTIONS", *_options(), ".SH CONFIGURATION FILE", *_settings()),
        *(".SH SIGNALS", *_list(_SIGNALS), ".SH EXIT STATUS", *_list(_EXIT_STATUS)),
        *(".SH EXAMPLES", *_block(_EXAMPLES), ".PP", "A configuration file:", *_block(EXAMPLE.splitlines())),
    ]
    return "\n".join(lines) + "\n"


def _commands() -> Iterator[str]:
    for name, what in COMMANDS.items():
        words = ("|".join(word) if isinstance(word, tuple) else word for word in WORDS.get(name, ()))
        yield from (".TP", f"\\fB{_text(name)}\\fR {_text(' '.join(words))}".rstrip(), _paragraph(_sentence(what)))


def _options() -> Iterator[str]:
    for action in build()._actions:
        if action.help == argparse.SUPPRESS:
            continue  # with its section, or its command
        names = ", ".join(f"\\fB{_text(name)}\\fR" for name in action.option_strings)
        value = f" \\fI{_text(action.metavar)}\\fR" if action.nargs != 0 and action.metavar else ""
        yield from (".TP", names + value, _paragraph((action.help or "").replace("%%", "%")))


def _settings() -> Iterator[str]:
    for part in parts():
        yield f".SS {part.title}"
        if words := part.words():
            yield _paragraph(words)
        for entry in part.settings():
            yield from (".TP", f"\\fB{_text(entry.path)}\\fR", _paragraph(" ".join(_about(entry))))


def _about(entry: Entry) -> Iterator[str]:
    yield entry.info.description or ""
    words = [entry.type, f"default: {entry.default_in_words()}"]
    if entry.flag is not None and len(entry.flag.path) > 1:
        words.append(f"`{entry.flag.flag.names[-1]}` and `{entry.flag.variable}`{entry.whom()}")
    yield f"({'; '.join(words)})"


def _list(entries: Sequence[tuple[str, str]]) -> Iterator[str]:
    for name, what in entries:
        yield from (".TP", f"\\fB{_text(name)}\\fR", _paragraph(what))


def _block(lines: Sequence[str]) -> Iterator[str]:
    yield from (".RS 4", ".nf", *(_literal(_text(line)) for line in lines), ".fi", ".RE")


def _between(blocks: Sequence[str], macro: str) -> Iterator[str]:
    for number, block in enumerate(blocks):
        yield from (macro, block) if number else (block,)


def _sentence(text: str) -> str:
    return (text[0] if text[0].isupper() else text[0].upper()) + text[1:] + "."


def _text(text: str) -> str:
    """Write a text so that nothing in it is taken for an escape; what is between backticks is bold."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"`([^`]*)`", r"\\fB\1\\fR", escaped)


def _literal(line: str) -> str:
    """Write one line so that it is not taken for a request."""
    return "\\&" + line if line.startswith((".", "'")) else line


def _paragraph(text: str) -> str:
    """Write a text in lines of ordinary length."""
    lines = textwrap.wrap(_text(text), 78, break_long_words=False, break_on_hyphens=False)
    return "\n".join(map(_literal, lines))


if __name__ == "__main__":
    sys.stdout.write(page())
