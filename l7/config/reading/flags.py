"""Flags and environment variables: built from the schema, parsed by ConfigArgParse, one source at a time.

The command line and the environment are parsed apart from each other, so that it is known for every value which of
them gave it: ConfigArgParse itself mistakes ``-p8080`` for nothing when ``L7_PORT`` is set as well.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import configargparse

from l7.config.reading.command_options import COMMANDS, FILTERS, ONLY_FOR, Collect, add_options_of_commands
from l7.config.reading.settings import PREFIX, Setting, settings
from l7.config.reading.version import version
from l7.config.schema import Config
from l7.config.section import section_of
from l7.config.values.names import did_you_mean, printable
from l7.errors import ConfigError, Problem
from l7.units import quoted

SERVERS = "L7_SERVERS"
KEYS = "L7_TLS_KEY"
"""The files of keys beside those of certificates (`l7.config.sections.tls`)."""
SWITCH = {"true", "yes", "on", "1", "false", "no", "off", "0"}
"""How ConfigArgParse wants a variable of a flag without a value."""
NOT_SETTINGS = {"L7_PURE_PYTHON", "L7_UPGRADE_FDS"}
"""Variables of ours that are no settings."""
_LINK = re.compile(r"(tcp|udp|sctp)://", re.IGNORECASE)
_LINKED = re.compile(r"L7_(\w+_)?(SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)")
"""What Kubernetes and Docker call the variables of a Service or a linked container of the name ``l7`` or ``l7-...``."""
EXAMPLES = """\
commands:
{commands}

examples:
  l7 --port 8080 localhost=127.0.0.1:9001 localhost=127.0.0.1:9002
  sudo l7 --user admin:admin --port 80 example.com=127.0.0.1:8081 '*=127.0.0.1:8082'
  l7 --config config.yml
  l7 check -c config.yml
  l7 explain -c config.yml http://example.com/api -H 'X-Request-ID: 1'

A flag wins over its environment variable [in brackets], that over the file, that over the default.
Limits, timeouts, name servers and what all backends have in common are flags, too: l7 --help-all
HOST=ADDRESS words may also stand in {servers}, separated by spaces or commas.
Signals: HUP reload, USR1 dump, USR2 upgrade, TERM graceful stop, INT and QUIT quick stop."""


@dataclass(frozen=True)
class Given:
    """What one source gave: raw values by the setting's key with the name they were given by."""

    values: dict[str, tuple[str, Any]] = field(default_factory=dict)
    words: tuple[str, ...] = ()
    config: str | None = None
    headers: tuple[str, ...] = ()
    method: str = "GET"
    client: str = ""
    json: bool = False
    dry_run: bool = False
    force: bool = False
    offline: bool = False
    requests: int | None = None
    reloads: int | None = None
    filters: Mapping[str, Any] = field(default_factory=dict)
    """The options of ``l7 tail`` that were given."""
    problems: tuple[Problem, ...] = ()
    keys: tuple[str, ...] = ()
    """Files of private keys, beside the certificates that they belong to."""
    keys_by: str = "--tls-key"


def variables() -> set[str]:
    """Return the name of every environment variable that l7 reads."""
    return {setting.variable for setting in settings()} | {"L7_CONFIG", "L7_DEBUG", SERVERS, KEYS} | NOT_SETTINGS


# ---------------------------------------------------------------------------------------------------- the parser


class _HelpAll(argparse.Action):
    """Print the help with every flag there is."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        build(everything=True).print_help()
        parser.exit()


class _Version(argparse.Action):
    """Print the version. Not argparse's own, which wants it made before it is asked for."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        print(version())
        parser.exit()


@cache
def build(command: str | None = None, *, everything: bool = False) -> Any:
    """Return the parser of everything that begins with a dash, with the help text for a command, or for all of l7.

    The help has the settings at the top of the schema, with ``everything`` those in its sections, too.
    """
    usages = {name: f"{name} URL" if name == "explain" else name for name in COMMANDS}
    commands = "\n".join(f"  l7 {usages[name]:<12} {what}" for name, what in COMMANDS.items())
    parser = configargparse.ArgumentParser(
        prog="l7",
        usage="l7 [options] [HOST=ADDRESS ...]\n       l7 COMMAND [options]",
        description="A minimal HTTP/1.1 reverse proxy and load balancer.",
        epilog=EXAMPLES.format(commands=commands, servers=SERVERS),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_config_file_help=False,
        add_env_var_help=False,
        add_help=False,
        allow_abbrev=False,
    )
    parser.error = _refuse
    # Whoever asks for the help of a command sees first what that takes.
    own = parser.add_argument_group(f"options of l7 {command}") if command else None
    groups = _groups(parser, everything=everything)
    groups["listening"].add_argument(
        "-c",
        "--config",
        metavar="FILE",
        env_var="L7_CONFIG",
        help="The YAML file to read; flags add to it. [L7_CONFIG]",
    )
    for setting in settings():
        _add(groups[_group(setting)], setting, hidden=_is_hidden(setting) and not everything)
    _add_keys(groups["listening"])
    groups["logging"].add_argument(
        "-d", "--debug", action="store_true", env_var="L7_DEBUG", help="The same as --log-level debug. [L7_DEBUG]"
    )
    other = groups["other"]
    other.add_argument("-V", "--version", action=_Version, nargs=0, help="Print the version and exit.")
    other.add_argument("-h", "--help", action="help", help="Print this help and exit.")
    other.add_argument(
        "--help-all", action=_HelpAll, nargs=0, help="Print the help with the flags of all sections, too."
    )
    add_options_of_commands(own or other, other, command)
    return parser


def _add_keys(group: Any) -> None:
    group.add_argument(
        "--tls-key",
        action=Collect,
        metavar="FILE",
        env_var=KEYS,
        help=f"The private key of the --tls-cert at the same place; without any, keys are in the same files. [{KEYS}]",
    )


def _is_hidden(setting: Setting) -> bool:
    """Whether its flag is shown only by ``--help-all``: it stands in a section, and has no name of its own."""
    return len(setting.path) > 1 and setting.flag.names[-1] == "--" + "-".join(setting.path)


def _groups(parser: Any, *, everything: bool) -> dict[str, Any]:
    """The groups of the help by name; each section of the schema is one."""
    sections = {
        str(info.alias): info.description for info in Config.model_fields.values() if section_of(info) is not None
    }
    # A group that shows none of its flags would show its description all the same.
    words = {name: _plain(text or "") if everything else None for name, text in sections.items()}
    words = {"listening": None, "requests": None, "processes": None, "logging": None, **words, "other": None}
    return {name: parser.add_argument_group(name, text) for name, text in words.items()}


def _plain(text: str) -> str:
    """A text of the schema as the help has it."""
    return text.replace("`", "").replace("%", "%%")


def _group(setting: Setting) -> str:
    top = setting.path[0]
    if len(setting.path) > 1 and _is_hidden(setting):
        return top
    if top in ("port", "bind", "tls"):
        return "listening"
    if top in ("users", "authorization", "trusted-proxies", "via", "allow", "deny", "compress"):
        return "requests"
    return "logging" if "log" in top or top in ("tracing", "recorder") else "processes"


def _add(group: Any, setting: Setting, *, hidden: bool) -> None:
    words = setting.info.description or ""
    if setting.turns_off and "off" not in words:
        words += " off: none."
    repeat = " May be repeated." if setting.flag.repeat else ""
    default = setting.default()
    shown = "" if default is None else f" (default: {default})"
    group.add_argument(
        *setting.flag.names,
        dest=setting.key,
        action=Collect if setting.flag.repeat else "store",
        metavar=setting.flag.metavar,
        env_var=setting.variable,
        help=argparse.SUPPRESS if hidden else _plain(f"{words}{repeat}{shown} [{setting.variable}]"),
    )


def _refuse(message: str) -> None:
    """Stand in for the parser's exit: raise what it says in our form."""
    # Argparse repeats the value: it may be a password that was meant for another option.
    message = re.sub(r"ignored explicit argument .*", "takes no value", message, flags=re.DOTALL)
    match = re.fullmatch(r"argument (?:.*/)?(-\S+): (.*)", message, re.DOTALL)
    raise ConfigError([Problem(match[1], "", match[2]) if match else Problem("", "", message)])


# ------------------------------------------------------------------------------------------------------- parsing


def parse_flags(argv: Sequence[str]) -> Given:
    """Parse the command line. SystemExit comes from ``--help`` and ``--version`` only."""
    before, after = list(argv), []
    if "--" in before:
        at = before.index("--")
        before, after = before[:at], before[at + 1 :]
    try:
        space, rest = build(_helped(before)).parse_known_args(before, env_vars={})
    except ConfigError as error:
        return Given(problems=tuple(error.problems))
    words, problems = _sort_out(rest)
    values = {
        setting.key: (setting.flag.names[-1], getattr(space, setting.key))
        for setting in settings()
        if getattr(space, setting.key) is not None
    }
    if space.debug:
        values["log-level"] = ("--debug", "debug")
    return Given(
        values, (*words, *after), space.config, tuple(space.header or ()), space.method or "GET",
        space.client or "", bool(space.json), bool(space.dry_run),
        bool(space.force), bool(space.offline), space.requests, space.reloads,
        {name: found for name in FILTERS if _is_given(found := getattr(space, name))}, tuple(problems),
        tuple(space.tls_key or ()),
    )  # fmt: skip


def _helped(words: Sequence[str]) -> str | None:
    """The command whose help is asked for; None where none is: to parse, one parser does for all of them."""
    if not any(word == "--help" or re.match("-[^-]*h", word) for word in words):
        return None
    return next((word for word in words if word in COMMANDS), None)


def command_of(given: Given) -> str | None:
    """The command that is meant, None for to serve; raises `ConfigError` for any other word, and options of others."""
    command = given.words[0] if given.words and "=" not in given.words[0] else None
    if not given.problems:
        _refuse_options_of_others(given, command)
    if command is not None and command not in COMMANDS:
        known = ", ".join(COMMANDS)
        what = f"unknown command{did_you_mean(command, COMMANDS)} (commands: {known}; servers: HOST=ADDRESS)"
        raise ConfigError([*given.problems, Problem(printable(command.partition(":")[0], 40), "", what)])
    return command


def _refuse_options_of_others(given: Given, command: str | None) -> None:
    used = {
        "--header": bool(given.headers),
        "--method": given.method != "GET",
        "--client": bool(given.client),
        "--offline": given.offline,
        "--json": given.json,
        "--dry-run": given.dry_run,
        "--force": given.force,
        "--requests": given.requests is not None,
        "--reloads": given.reloads is not None,
        **{f"--{name}": name in given.filters for name in FILTERS},
    }
    names = [name for name, value in used.items() if value and command not in ONLY_FOR[name]]
    if names:
        words = [(name, ", ".join(f"`l7 {owner}`" for owner in ONLY_FOR[name])) for name in names]
        raise ConfigError([Problem(name, "", f"only for {owners}") for name, owners in words])


def _is_given(value: object) -> bool:
    return value is not None and value is not False  # 0 is given


def _sort_out(rest: list[str]) -> tuple[list[str], list[Problem]]:
    """Tell words from unknown options. Nothing that may be an unknown option's value, a password say, is repeated."""
    known = [name for action in build()._actions for name in action.option_strings]
    words: list[str] = []
    problems: list[Problem] = []
    after_unknown = False
    for text in rest:
        if text.startswith("-") and len(text) > 1:
            name = text.split("=", 1)[0] if text.startswith("--") else text[:2]
            problems.append(Problem(printable(name, 40), "", f"unknown option{did_you_mean(name, known)}"))
            after_unknown = "=" not in text
        elif after_unknown:
            after_unknown = False
        else:
            words.append(text)
    return words, problems


def parse_environment(environ: Mapping[str, str]) -> Given:
    """Parse the ``L7_*`` variables; an empty one is the same as none, and so is one that is not meant for l7."""
    ours = {
        name: value
        for name, value in environ.items()
        if name.startswith(PREFIX) and value and not _is_link(name, value)
    }
    problems: tuple[Problem, ...] = ()
    if ours.get("L7_DEBUG", "0").lower() not in SWITCH:
        what = f"{quoted(ours.pop('L7_DEBUG'))} is neither true nor false"
        problems = (Problem("L7_DEBUG", "", what),)
    space, _ = build().parse_known_args([], env_vars=ours)
    values: dict[str, tuple[str, Any]] = {}
    for setting in settings():
        value = getattr(space, setting.key)
        if value is not None:
            split = [word for text in value for word in _split(text)] if setting.flag.repeat else value
            values[setting.key] = (setting.variable, split)
    keys = tuple(_split(ours.get(KEYS, "")))
    if space.debug:
        values["log-level"] = ("L7_DEBUG", "debug")
    return Given(values, tuple(_split(ours.get(SERVERS, ""))), space.config, problems=problems, keys=keys, keys_by=KEYS)


def unknown_variables(environ: Mapping[str, str]) -> list[Problem]:
    """Return a warning for every ``L7_*`` variable that means nothing: a typing error would be silent otherwise.

    Those of a Service or a linked container called l7 are no typing errors, and share one warning.
    """
    known = variables()
    links = [name for name in sorted(environ) if name.startswith(PREFIX) and _is_link(name, environ[name])]
    return [
        Problem(printable(name), "", f"unknown environment variable, ignored{did_you_mean(name, known)}")
        for name in sorted(environ)
        if name.startswith(PREFIX) and name not in known and name not in links
    ] + ([_about_links(links)] if links else [])


def _is_link(name: str, value: str) -> bool:
    """Whether a variable describes another program that has our name: no setting is a URL of a transport protocol."""
    return bool(_LINK.match(value) or _LINKED.fullmatch(name))


def _about_links(names: Sequence[str]) -> Problem:
    shown = printable(", ".join(names[:2])) + (f" and {len(names) - 2} more" if names[2:] else "")
    what = (
        "set by Kubernetes or Docker for a Service or container called l7, ignored"
        " (enableServiceLinks: false in the pod's spec leaves them out)"
    )
    return Problem(shown, "", what)


def _split(text: str) -> list[str]:
    return [word for word in re.split(r"[\s,]+", text) if word]
