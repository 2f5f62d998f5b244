"""``l7 explain URL``: where a request would go, and why, for people and for programs.

The l7 that runs with these settings is asked, so that its configuration and the state of its servers are what counts.
Where none runs, or ``--offline`` is given, the configuration alone is explained.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence

from l7.commands.control_client import ask
from l7.config.reading import flags
from l7.config.reading.loading import Loaded
from l7.config.values.names import printable
from l7.errors import ConfigError, Problem, StartError
from l7.explain.asked import Question
from l7.explain.explanation import explain
from l7.ipc.requests import Answer, ExplainRequest


def command(argv: Sequence[str], environ: Mapping[str, str], load: Callable[[], Loaded]) -> int:
    """Explain a request; 1 when nothing answers it but a refusal.

    :param load: reads the configuration, where no l7 runs.
    """
    given = flags.parse_flags(argv)
    if len(given.words) < 2 and not given.problems:
        raise ConfigError([Problem("explain", "", "write a URL, as in `l7 explain http://example.com/api`")])
    answer = None if given.offline or given.words[2:] else _ask(given, environ)
    if answer is None:
        answer = explain(load().config, Question(given.words[1], given.headers, given.method, given.client)).plain()
    print(json.dumps(answer, indent=2) if given.json else "\n".join(lines(answer)))
    return 0 if answer["match"] else 1


def _ask(given: flags.Given, environ: Mapping[str, str]) -> Answer | None:
    """What the l7 that runs says; None when none does. Raises `StartError` when the one that is named does not."""
    if given.problems:
        return None
    try:
        answer = ask(ExplainRequest(given.words[1], tuple(given.headers), given.method, given.client), given, environ)
    except StartError:
        if "control" in given.values:
            raise
        return None
    return answer if answer.pop("ok", False) else None


def lines(answer: Answer) -> Iterator[str]:
    """An explanation for people."""
    yield f"url:     {printable(answer['url'], 2000)}"
    yield f"listener: {answer['listener']}"
    yield f"host:    {printable(answer['host']) or '-'}"
    if answer["redirect"]:
        yield f"redirect: 308 to {printable(answer['redirect'], 2000)}"
        return
    if not answer["match"]:
        yield f"route:   none: {answer['why']}"
        return
    yield f"route:   {answer['route']} ({answer['why']})"
    kept = "; Authorization is not sent on, X-Forwarded-User says who" if answer["authorization"] == "strip" else ""
    yield f"login:   {'required' if answer['login'] else 'not required'}{kept}"
    if not answer["servers"]:
        yield "servers: none: answered 503"
    elif "now" in answer:
        yield from _now(answer["now"])
    else:
        yield "servers:"
        yield from (f"  {one}" for one in answer["servers"])
    if answer.get("tls"):  # one that runs since before an upgrade has no word of it
        yield printable(f"tls:     https to servers, {answer['tls']}", 2000)
    yield f"balance: {answer['balance']}"
    yield "headers added:"
    yield from (f"  {name}: {value}" for name, value in answer["headers"].items())


def _now(now: Answer) -> Iterator[str]:
    """The servers as they are."""
    yield f"servers: as generation {now['generation']} of process {now['pid']} has them now"
    if now["note"]:
        yield f"  ({now['note']})"
    width = max((len(one["address"]) for one in now["servers"]), default=0)
    for one in now["servers"]:
        yield printable(f"  {one['address']:{width}}  {one['chance']:6.1%}  {_state(one)}", 2000)


def _state(one: Answer) -> str:
    words = [one["state"] + (f": {one['why']}" if one["why"] else "")]
    if one["since"] is not None:
        words.append(f"for {one['since']:.1f} s")
    if one["until"] is not None:
        words.append(f"for another {one['until']:.1f} s")
    limit = "" if one["limit"] is None else f" of {one['limit']}"
    words.append(f"weight {one['weight']}" + ("" if one["share"] == 1 else f" at {one['share']:.0%}"))
    words.append(f"in flight {one['in-flight']}{limit}")
    return ", ".join(words) + (", backup" if one["backup"] else "")
