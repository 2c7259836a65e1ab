"""The workers: started, ended, watched over, asked; each with a data directory of its own."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from streams.guard import Guarded, spawn_guarded
from streams.identity import read_address
from streams.settings import ENVIRONMENT_PREFIX, Settings

STOP_SECONDS = 20.0
ANSWER_SECONDS = 10.0
RESTART_SECONDS = 1.0  # what a supervisor waits before it starts a worker again


def clean_environment() -> dict[str, str]:
    """Return this shell's environment without settings: they are not for what is started here."""
    return {name: value for name, value in os.environ.items() if not name.startswith(ENVIRONMENT_PREFIX)}


@dataclass(slots=True)
class _Process:
    """A running worker, and whether it is stopped in whatever it does."""

    guarded: Guarded
    is_frozen: bool = False


class Slot:
    """A place for a worker: a data directory, and a process or none."""

    def __init__(self, number: int, directory: Path, settings: Settings) -> None:
        self.name = f"worker-{number}"
        self.data = directory / self.name
        self.log = directory / f"{self.name}.log"
        self.settings = msgspec.structs.replace(settings, data_directory=str(self.data))
        self.is_wanted = False
        self._file = directory / f"{self.name}.toml"
        self._file.write_text(_toml(self.settings), encoding="utf-8")
        self._process: _Process | None = None

    @property
    def is_running(self) -> bool:
        """Whether there is a process, frozen or not."""
        return self._process is not None and self._process.guarded.returncode is None

    @property
    def is_started(self) -> bool:
        """Whether it was started and nobody knows yet of its end."""
        return self._process is not None

    @property
    def is_frozen(self) -> bool:
        """Whether its process is stopped."""
        return self._process is not None and self._process.is_frozen

    def start(self) -> None:
        """Start a worker on what is on the disk."""
        self.is_wanted = True
        command = [sys.executable, "-m", "streams", "worker", "--config", str(self._file)]
        self._process = _Process(spawn_guarded(command, stdout=self.log, env=clean_environment()))

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        if self._process is not None:
            self._process.guarded.kill()
            self._ended()

    def terminate(self) -> int | None:
        """Ask it to end; return its exit code, None if it did not within a time and had to be killed.

        One that has not begun to listen to signals yet is ended by the signal itself: that is 0, too.
        """
        if self._process is None:
            return 0
        address = read_address(self.data)
        has_begun = address is not None and address.pid == self._process.guarded.pid
        self._process.guarded.terminate()
        try:
            code = self._process.guarded.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            return None
        self._ended()
        return 0 if code == -signal.SIGTERM and not has_begun else code

    def freeze(self) -> None:
        """Stop it in whatever it does."""
        if self._process is not None:
            self._process.guarded.send_signal(signal.SIGSTOP)
            self._process.is_frozen = True

    def thaw(self) -> None:
        """Let it go on."""
        if self._process is not None:
            self._process.guarded.send_signal(signal.SIGCONT)
            self._process.is_frozen = False

    def wipe(self) -> None:
        """Take its disk away; only when it does not run."""
        shutil.rmtree(self.data, ignore_errors=True)

    def end_if_dead(self) -> int | None:
        """Return the exit code if its process has ended by itself, once."""
        if self._process is None or self._process.guarded.returncode is None:
            return None
        code = self._process.guarded.returncode
        self._ended()
        return code

    def close(self) -> None:
        """End it, whatever it does."""
        if self._process is not None:
            self._process.guarded.close()
            self._process = None

    def is_ready(self) -> bool:
        """Whether it says that it is ready."""
        return self.is_running and not self.is_frozen and self._get("/ready")[0] == 200

    def describe(self) -> dict[str, Any]:
        """Return what it says of itself; empty if it does not answer."""
        status, body = self._get("/inspect/worker")
        return dict(json.loads(body)) if status == 200 else {}

    def listen(self) -> dict[str, float]:
        """Return its series, each summed over its labels; empty if it does not answer."""
        found: dict[str, float] = {}
        for line in self._get("/metrics")[1].splitlines():
            if not line.startswith("#"):
                series, _, value = line.rpartition(" ")
                name = series.partition("{")[0]
                found[name] = found.get(name, 0.0) + float(value)
        return found

    def _ended(self) -> None:
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.guarded.wait(STOP_SECONDS)
            self._process = None

    def _get(self, path: str) -> tuple[int, str]:
        address = read_address(self.data)
        if address is None or not self.is_running:
            return 0, ""
        try:
            url = f"http://{address.host}:{address.port}{path}"
            with urllib.request.urlopen(url, timeout=ANSWER_SECONDS) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, ""
        except OSError:
            return 0, ""


@dataclass(slots=True)
class Death:
    """A worker that ended by itself."""

    at: float
    worker: str
    code: int


class Crew:
    """All places, and the supervisor: who ended by itself is started again."""

    def __init__(self, directory: Path, settings: Settings, workers: int) -> None:
        self.slots = [Slot(number, directory, settings) for number in range(1, workers + 1)]
        self.deaths: list[Death] = []

    @property
    def running(self) -> list[Slot]:
        """Those with a process that is not frozen."""
        return [slot for slot in self.slots if slot.is_running and not slot.is_frozen]

    def tend(self) -> None:
        """Start again who ended by itself."""
        for slot in self.slots:
            code = slot.end_if_dead()
            if code is not None:
                self.deaths.append(Death(time.time(), slot.name, code))
                time.sleep(RESTART_SECONDS)
            if slot.is_wanted and not slot.is_started:
                slot.start()

    def all_ready(self) -> bool:
        """Whether everybody who is wanted runs and is ready."""
        return all(slot.is_ready() for slot in self.slots if slot.is_wanted)

    def close(self) -> None:
        """End everybody."""
        for slot in self.slots:
            slot.close()


def _toml(settings: Settings) -> str:
    tree = msgspec.to_builtins(settings)
    return "".join(f"{name} = {_value(value)}\n" for name, value in tree.items())


def _value(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(name)} = {_value(each)}" for name, each in value.items()) + " }"
    return json.dumps(value)
