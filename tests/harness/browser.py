"""A Chromium of which each step has an end: it comes up, does what it is to do, and closes, or is killed.

Playwright waits without a bound for its driver to begin and to end, for scripts of pages, and for browsers that close.
What has taken too long has its processes killed here: whatever waits for them fails there, with its line.
"""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Iterator

import psutil
from playwright.sync_api import Browser, Error, Playwright, sync_playwright

COMES_UP = 20.0
"""Seconds in which the driver has to begin, and Chromium too; what did not is started once more."""
CLOSES = 20.0


class BrowserHungError(Exception):
    """A step took too long; it says which, and what ran meanwhile."""


def chromium_path() -> str | None:
    """Where the system's Chromium is; None where it has none."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


class Chromium:
    """A headless Chromium and the driver that commands it, for one thread.

    :param path: the program.
    :param within: seconds in which it has to come up, otherwise it is started once more.
    :raises BrowserHungError: it did not, both times.
    """

    def __init__(self, path: str, within: float = COMES_UP) -> None:
        self._path = path
        self._within = within
        self._others: list[psutil.Process] = []
        """The children of this process that are not the driver's: what appears while that is started is the driver."""
        self._driver: list[psutil.Process] | None = []
        """None while it is started."""
        self._playwright: Playwright | None = None
        self._browser: Browser | None = None

    def browser(self) -> Browser:
        """The browser, started unless it is there."""
        if self._browser is None:
            try:
                self._browser = self._start()
            except (Error, BrowserHungError) as first:
                self._kill()
                try:
                    self._browser = self._start()
                except (Error, BrowserHungError) as second:
                    self._kill()
                    raise BrowserHungError(f"Chromium did not come up twice\nfirst: {first}\nthen: {second}") from None
        return self._browser

    def _start(self) -> Browser:
        self._others, self._driver = psutil.Process().children(), None
        with self.within(self._within, "the driver's beginning"):
            self._playwright = sync_playwright().start()
        self._driver = self._started()
        milliseconds = self._within * 1000
        return self._playwright.chromium.launch(executable_path=self._path, args=["--no-sandbox"], timeout=milliseconds)

    @contextlib.contextmanager
    def within(self, seconds: float, step: str) -> Iterator[None]:
        """Do a step; when it takes longer, the browser is killed, so that the step fails, and the next one has another.

        :raises BrowserHungError: it did.
        """
        ran: list[str] = []

        def end() -> None:
            found = self._processes()
            ran.extend([_told(one) for one in found] or ["nothing"])
            _kill(found)

        timer = threading.Timer(seconds, end)
        timer.start()
        try:
            yield
        except Exception as failure:
            if ran:
                raise BrowserHungError(_hung(step, seconds, ran)) from failure
            raise
        finally:
            timer.cancel()
            timer.join()
            if ran:
                self._kill()
        if ran:
            raise BrowserHungError(_hung(step, seconds, ran))

    def close(self) -> None:
        """End it, and the driver; raises `BrowserHungError` where that takes too long. Nothing is left in any case."""
        try:
            with self.within(CLOSES, "the browser's end"):
                if self._browser is not None:
                    self._browser.close()
            with self.within(CLOSES, "the driver's end"):
                if self._playwright is not None:
                    self._playwright.stop()
        finally:
            self._kill()

    def _kill(self) -> None:
        """End what is left, so that another one can be started."""
        _kill(self._processes())
        if self._playwright is not None:
            with contextlib.suppress(Error):
                self._playwright.stop()
        self._playwright = self._browser = None
        self._driver = []

    def _processes(self) -> list[psutil.Process]:
        """The driver, and what it has started."""
        drivers = self._started() if self._driver is None else self._driver
        return [each for one in drivers for each in (one, *_children(one))]

    def _started(self) -> list[psutil.Process]:
        return [one for one in psutil.Process().children() if one not in self._others]


def _children(one: psutil.Process) -> list[psutil.Process]:
    try:
        return list(one.children(recursive=True))
    except psutil.Error:
        return []


def _kill(processes: list[psutil.Process]) -> None:
    for one in processes:
        with contextlib.suppress(psutil.Error):
            one.kill()


def _told(one: psutil.Process) -> str:
    """A process for the message: what it is, and in which state."""
    try:
        return f"{one.pid} {one.status()} {' '.join(one.cmdline())[:120]}"
    except psutil.Error:
        return f"{one.pid} has ended"


def _hung(step: str, seconds: float, ran: list[str]) -> str:
    return f"{step} took more than {seconds:g} s; what ran, and was killed:\n" + "\n".join(ran)
