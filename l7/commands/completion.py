"""``l7 completion SHELL``: the script that completes commands, options and values, made of the program's parser."""

from __future__ import annotations

import argparse
import re
import typing
from collections.abc import Iterator
from typing import Any

import shtab

from l7.config.reading import flags
from l7.config.reading.command_options import COMMANDS, ONLY_FOR, WORDS
from l7.config.reading.settings import settings

_NAMES_OF_FILES = ("FILE", "PATH")
"""What an option calls a value that is the name of a file."""
_FILES = {
    **shtab.FILE,
    "fish": "(__fish_complete_path (string replace -r -- '^--[^=]+=' '' (commandline -ct)))",  # --config=FILE, too
}
_WHOLE_WORDS = """
# bash takes words apart at ":" and "=": addresses are put together again, an option and its value stay two words.
_l7() {
  local -a words=()
  local word part
  for word in "${COMP_WORDS[@]:0:COMP_CWORD+1}"; do
    if [[ $word == = && ${words[-1]} == --* ]]; then
      words+=("")
    elif [[ ${#words[@]} -gt 1 && ( $word == [:=]* || ${words[-1]} == *[:=] || -z ${words[-1]} ) ]]; then
      words[-1]+=$word
    else
      words+=("$word")
    fi
  done
  local -a COMP_WORDS=("${words[@]}")
  local COMP_CWORD=$(( ${#words[@]} - 1 ))
  word=${words[-1]}
  _shtab_l7
  part=${word##*[:=]}
  COMPREPLY=("${COMPREPLY[@]#"${word%"$part"}"}")
}
complete -o bashdefault -F _l7 l7
"""


def script(shell: str) -> str:
    """Return the script for ``bash``, ``zsh`` or ``fish``."""
    parser = _parser(assigned=shell == "zsh")
    text = str(shtab.complete(parser, shell)).rstrip("\n") + "\n"
    if shell == "bash":
        return text + _WHOLE_WORDS
    # In zsh a first word HOST=ADDRESS is not a command of its own: the options go on.
    return text.replace("case $line[1] in\n", "case $line[1] in\n        *=*) _arguments -s $_shtab_l7_options ;;\n")


def _parser(*, assigned: bool) -> argparse.ArgumentParser:
    """Return a parser as argparse would have it: a subparser a command, each with the options that it takes.

    With ``assigned``, long options that take a value are called ``--name=``, which is zsh's word for both ways.
    """
    parser = argparse.ArgumentParser(prog="l7", add_help=False)
    _add_options(parser, None, assigned)
    commands = parser.add_subparsers(metavar="COMMAND")
    for name, what in COMMANDS.items():
        command = commands.add_parser(name, help=what, description=what, add_help=False)
        _add_options(command, name, assigned)
        for number, word in enumerate(WORDS.get(name, ())):
            if isinstance(word, tuple):
                command.add_argument(f"word{number}", choices=word)
            else:
                placeholder: Any = command.add_argument(f"word{number}", metavar=word)
                placeholder.complete = {"zsh": "_urls" if word == "URL" else "_hosts"}  # the others know of none
    return parser


def _add_options(parser: argparse.ArgumentParser, command: str | None, assigned: bool) -> None:
    for action in _options(command):
        owners = ONLY_FOR.get(action.option_strings[-1])
        if owners is not None and command not in owners:
            continue
        if assigned and action.nargs != 0:
            action.option_strings = [name + "=" if name.startswith("--") else name for name in action.option_strings]
        parser._add_action(action)


def _options(command: str | None) -> Iterator[Any]:
    """Yield the program's options, with what their values may be."""
    known = {setting.key: setting for setting in settings()}
    for action in flags.build(command, everything=True)._actions:
        setting = known.get(action.dest)
        annotation = setting.info.annotation if setting is not None else None
        kinds = [annotation, *typing.get_args(annotation)]
        choices = [
            str(one) for kind in kinds if typing.get_origin(kind) is typing.Literal for one in typing.get_args(kind)
        ]
        if setting is not None and setting.turns_off:
            action.choices = ["off"]
        elif choices:
            action.choices = choices
        elif action.metavar in _NAMES_OF_FILES:
            action.complete = _FILES
        if action.metavar:
            action.metavar = " ".join(re.findall(r"\w+", action.metavar))  # zsh ends a word at a colon
        yield action
