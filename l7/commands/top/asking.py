"""A thread that asks the l7 that runs, so that keys work while an answer is waited for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from l7.errors import ConfigError, StartError


@dataclass(frozen=True)
class Unanswered:
    """Why there is no answer, in words."""

    why: str


class Asker:
    """Asks one question after the other; answers are taken where `deliver` is called.

    :param wake: called in the thread whenever there is something to deliver.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._questions: SimpleQueue[tuple[Callable[[], Any], Callable[[Any], None]]] = SimpleQueue()
        self._answers: SimpleQueue[tuple[Callable[[Any], None], Any]] = SimpleQueue()

    def start(self) -> None:
        """Begin to ask; the thread ends with the process."""
        threading.Thread(target=self._run, name="asker", daemon=True).start()

    def ask(self, question: Callable[[], Any], take: Callable[[Any], None]) -> None:
        """Ask, and give what comes, or `Unanswered`, to ``take``."""
        self._questions.put((question, take))

    def deliver(self) -> None:
        """Give each answer that has come to whom it is for."""
        while not self._answers.empty():
            take, answer = self._answers.get()
            take(answer)

    def _run(self) -> None:
        while True:
            question, take = self._questions.get()
            self._answers.put((take, answer_to(question)))
            self._wake()


def answer_to(question: Callable[[], Any]) -> Any:
    """What comes of a question, or `Unanswered`."""
    try:
        return question()
    except (StartError, ConfigError) as error:
        return Unanswered(str(error))
    except OSError as error:
        return Unanswered((error.strerror or str(error)).lower())
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return Unanswered(f"what answers is another version of l7 than this command ({type(error).__name__}: {error})")
