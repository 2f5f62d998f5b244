"""What commands say of an l7 of another version, and which options they take."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from l7.commands.control_client import ask, ask_for_recorder, without_words
from l7.config.reading import flags, yaml_file
from l7.config.reading.document import Document
from l7.config.reading.yaml_file import read
from l7.errors import ConfigError, StartError
from l7.ipc.requests import OverviewRequest
from tests.harness import TIMEOUT


@pytest.mark.parametrize(
    "question", [lambda given: ask(OverviewRequest(), given, {}), lambda given: ask_for_recorder(given, {})]
)
def test_an_older_l7_is_told_as_such(question: Callable[[flags.Given], object], tmp_path: Path) -> None:
    given = flags.parse_flags(["top", "--control", str(tmp_path / "c")])
    with socket.socket(socket.AF_UNIX) as older:
        older.bind(str(tmp_path / "c"))
        older.listen()
        older.settimeout(TIMEOUT)

        def answer() -> None:
            with older.accept()[0] as client:
                client.recv(65536)
                client.sendall(b'{"ok": false, "reasons": ["unknown request: do \\"overview\\" is not known"]}\n')

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(StartError, match="of another version; upgrade it in place"):
            question(given)
        thread.join(TIMEOUT)


def test_who_asks_again_and_again_reads_the_file_again_when_it_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, reads = tmp_path / "config.yml", []

    def counted(name: str) -> Document:
        reads.append(name)
        return read(name)

    monkeypatch.setattr(yaml_file, "read", counted)
    given = flags.parse_flags(["top", "-c", str(file)])
    for expected, name in enumerate(("one", "the-other"), 1):
        file.write_text(f"control: {tmp_path}/{name}\nbackends: {{a: {{servers: ['127.0.0.1:1']}}}}\n")
        for _ in range(3):
            with pytest.raises(StartError, match=f"looked for {tmp_path}/{name}"):
                ask(OverviewRequest(), given, {})
        assert len(reads) == expected


def test_none_of_the_requests_before_can_be_asked_for() -> None:
    assert flags.parse_flags(["tail", "-n", "0"]).filters == {"lines": 0}
    assert flags.parse_flags(["tail"]).filters == {}


def test_an_unknown_option_is_told_before_anything_is_asked() -> None:
    with pytest.raises(ConfigError, match="--nonsense: unknown option"):
        without_words("top", ["top", "--nonsense"])
