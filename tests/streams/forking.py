"""Processes forked from one that has imported everything: importing torch and Faust takes seconds."""

import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1  # linux/prctl.h

FORKS = multiprocessing.get_context("forkserver")
# With pytest: what is forked imports the main module of whoever asks for it.
FORKS.set_forkserver_preload(["pytest", "streams.worker", "streams.commands.worker", "tests.streams.warm"])
_ONE_AT_A_TIME = threading.Lock()  # a process that two threads ask for its exit code tells only one


class Forked:
    """A forked process that runs a function, with what streams.guard.Guarded has for a command."""

    def __init__(self, target: Callable[..., object], *arguments: object, log: Path) -> None:
        self._process = FORKS.Process(target=_run, args=(str(log), target, arguments), daemon=True)
        with _ONE_AT_A_TIME:
            self._process.start()

    @property
    def returncode(self) -> int | None:
        """The exit code, -N if signal N ended it, None while it runs."""
        with _ONE_AT_A_TIME:
            return self._process.exitcode

    @property
    def pid(self) -> int:
        """The process's id."""
        return int(self._process.pid or 0)

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to it, if it has not ended."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, return its exit code; raises subprocess.TimeoutExpired."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.returncode) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("a forked process", timeout or 0.0)
            time.sleep(0.02)
        return code

    def close(self) -> None:
        """End it at once."""
        self.kill()
        self.wait(10)


def _run(log: str, target: Callable[..., object], arguments: tuple[Any, ...]) -> None:
    """In the child: write to the log, end with the process that all are forked from, run the function."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    with open(log, "ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    target(*arguments)
