"""``l7 explain URL``: where a request would go, and why, for people and for programs.

The l7 that runs with these settings is asked, so that its configuration and the state of its servers are what counts.
Where none runs, or ``--offline`` is given, the configuration alone is explained.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from l7.commands.control_client import ask
from l7.config.reading import flags
from l7.config.reading.loading import Loaded
from l7.config.values.names import printable
from l7.errors import ConfigError, Problem, StartError
from l7.explain.asked import Question
from l7.explain.explanation import explain
from l7.ipc.requests import Answer, ExplainRequest

_OTHER_SCHEME = re.compile(r"(?!https?:)[a-z][a-z0-9+.-]*://", re.IGNORECASE)


def command(argv: Sequence[str], environ: Mapping[str, str], load: Callable[[], Loaded]) -> int:
    """Explain a request; 1 when nothing answers it but a refusal.

    :param load: reads the configuration, where no l7 runs.
    """
    given = flags.parse_flags(argv)
    if len(given.words) < 2 and not given.problems:
        raise ConfigError([Problem("explain", "", "write a URL, as in `l7 explain http://example.com/api`")])
    if not given.problems and _OTHER_SCHEME.match(given.words[1]):
        raise ConfigError([Problem("explain", "", "the URL is neither http:// nor https://")])
    answer = None if given.offline or given.words[2:] else _ask(given, environ)
    if answer is None:
        answer = _offline(load(), given)
    print(json.dumps(answer, indent=2) if given.json else "\n".join(lines(answer)))
    return 0 if answer["match"] and not answer.get("refused") else 1


def _offline(loaded: Loaded, given: flags.Given) -> Answer:
    """What the configuration says."""
    question = Question(given.words[1], given.headers, given.method, given.client)
    return explain(loaded.config, question, loaded.sources).plain()


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
    if answer.get("client"):
        yield f"client:  {printable(answer['client'])}"
    yield f"listener: {answer['listener']}"
    yield f"host:    {printable(answer['host']) or '-'}"
    if answer["redirect"]:
        yield f"redirect: 308 to {printable(answer['redirect'], 2000)}"
        yield from _fields(answer)
        return
    yield f"route:   {answer['route']} ({answer['why']})" if answer["match"] else f"route:   none: {answer['why']}"
    if answer["match"]:
        kept = "; Authorization is not sent on, X-Forwarded-User says who" if answer["authorization"] == "strip" else ""
        yield f"login:   {'required' + kept if answer['login'] else 'not required'}"
    yield from _rules(answer)
    if answer["match"] and not answer.get("refused") and not answer.get("answer"):
        yield from _servers(answer)
    yield from _fields(answer)


def _fields(answer: Answer) -> Iterator[str]:
    if answer.get("response"):
        yield "fields that come into the answer:"
        yield from (f"  {printable(line, 2000)}" for line in answer["response"])


def _rules(answer: Answer) -> Iterator[str]:
    """The rules in their order, each with its place, and what they have decided."""
    rules = answer.get("rules") or []  # an l7 that runs since before an upgrade has no word of them
    if rules:
        yield "rules:"
    places = [", ".join(filter(None, (one["source"], one["inherited"] and f"of {one['inherited']}"))) for one in rules]
    name = max((len(one["setting"]) for one in rules), default=0)
    width = max(map(len, places), default=0)
    for one, place in zip(rules, places, strict=True):
        words = one["words"] + (f" ({one['verdict']})" if one["verdict"] else "")
        yield printable(f"  {one['setting']:{name}}  {place:{width}}  {words}", 2000)
    decided = answer.get("refused") or answer.get("answer")
    if decided and (decided["setting"] or answer["match"]):
        what = decided.get("reason") or ", ".join([decided["type"] or "no body", *decided["fields"]])
        by = f", by {decided['setting']} ({decided['source']})" if decided["setting"] else ""
        yield printable(f"answer:  {decided['status']} {what}{by}", 2000)
    if decided and decided.get("page"):
        yield printable(f"page:    {decided['page']}", 2000)


def _servers(answer: Answer) -> Iterator[str]:
    """The servers, and what one of them would get."""
    if not answer["servers"]:
        yield "servers: none: answered 503"
    elif "now" in answer:
        yield from _now(answer["now"])
    else:
        yield "servers:"
        yield from (f"  {one}" for one in answer["servers"])
    if answer.get("tls"):
        yield printable(f"tls:     https to servers, {answer['tls']}", 2000)
    yield f"balance: {answer['balance']}"
    yield "request, as a server gets it:"
    told = answer.get("request") or [f"{name}: {value}" for name, value in answer["headers"].items()]
    yield from (f"  {printable(line, 2000)}" for line in told)


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
