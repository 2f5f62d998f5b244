"""Answers that are written in the configuration."""

from __future__ import annotations

import pytest

from l7.http.messages import LocalResponse
from l7.rules.answers.respond import RespondRule
from tests.rules.contexts import context_of

PATH = ("backends", "example.com", "respond")
SCRIPT = b"/<script>?a=1&b=\"'"


@pytest.mark.parametrize(
    ("media_type", "body", "sent"),
    [
        ("text/plain; charset=utf-8", "{target} ä\n", b"/<script>?a=1&b=\"' \xc3\xa4\n"),
        ("text/html; charset=utf-8", "<b>{target}</b>", b"<b>/&lt;script&gt;?a=1&amp;b=&quot;&#x27;</b>"),
        ("application/json", '{"ok": true, "target": "{target}"}', b'{"ok": true, "target": "/<script>?a=1&b=\\"\'"}'),
        ("text/plain", "{{target}}", b"{target}"),
    ],
)
def test_values_are_escaped_as_the_type_needs_it(media_type, body, sent):
    assert RespondRule(PATH, 200, media_type, body).answer(context_of(SCRIPT)) == LocalResponse(200, media_type, sent)


def test_without_a_body_there_is_no_type():
    rule = RespondRule(PATH, 204, "text/plain", "")
    assert rule.answer(context_of()) == LocalResponse(204, "", b"")
    assert rule.describe() == "204 without a body"
    assert RespondRule(PATH, 200, "text/plain", "secret").describe() == "200 text/plain"
