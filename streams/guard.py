"""A process that does not outlive its owner: a tiny guard stands between them.

The owner holds one end of a socket, the guard the other, and the guard alone is the parent of the command.
When the owner is gone, however it went, the kernel closes its end, the guard sees it and ends the command:
SIGTERM, a grace, SIGKILL. Signals to the command go through the guard too, which has not yet reaped it, so
they never hit a stranger that got its process id.

This file is also the guard's program (`python -m streams.guard -- command...`): it imports nothing but the
standard library.
"""

import argparse
import contextlib
import ctypes
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

_ENDING_SECONDS = 15.0  # what ending takes beyond the grace: the kill, a directory to remove, a last command
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Guarded:
    """A command that ends with this process, or when this object is closed or collected."""

    def __init__(
        self, guard: "subprocess.Popen[bytes]", control: socket.socket, pid: int, grace_seconds: float
    ) -> None:
        self.pid = pid
        self._guard = guard
        self._control = control
        self._grace_seconds = grace_seconds
        self._lock = threading.Lock()

    @property
    def returncode(self) -> int | None:
        """The command's exit code, -N if signal N ended it, None while it runs."""
        code = self._guard.poll()
        return None if code is None else _as_popen(code)

    def send_signal(self, number: int) -> None:
        """Send a signal to the command itself and return when it is delivered; nothing if it has ended."""
        with self._lock, contextlib.suppress(OSError):
            self._control.sendall(bytes([number]))
            self._control.recv(1)

    def terminate(self) -> None:
        """Send SIGTERM to the command."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL to the command."""
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the command's end and return its exit code; raises subprocess.TimeoutExpired."""
        code = self._guard.wait(timeout)
        self._control.close()
        return _as_popen(code)

    def close(self) -> None:
        """End the command as if the owner had gone, and wait for it; raises subprocess.TimeoutExpired."""
        self._control.close()
        self._guard.wait(self._grace_seconds + _ENDING_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def spawn_guarded(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    stdout: Path | None = None,
    cwd: Path | None = None,
    grace_seconds: float = 10.0,
    remove: Path | None = None,
    afterwards: Sequence[str] = (),
) -> Guarded:
    """Start a command that ends when this process does, however this process ends.

    stdout: the file that stdout and stderr are appended to; None: the owner's own.
    remove: a directory that goes with the owner. afterwards: a command to run when the owner is gone.
    Raises OSError if the command cannot be started.
    """
    ours, theirs = socket.socketpair()
    with theirs, contextlib.ExitStack() as on_failure:
        on_failure.callback(ours.close)
        options = [f"--control={theirs.fileno()}", f"--grace={grace_seconds}"]
        options += [f"--remove={remove}"] if remove else []
        options += [f"--afterwards={word}" for word in afterwards]
        with open(stdout, "ab") if stdout else contextlib.nullcontext() as log:
            guard = subprocess.Popen(
                # Isolated and without site packages: the guard is up in some 30 ms.
                [sys.executable, "-I", "-S", __file__, *options, "--", *command],
                env=env,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT if log else None,
                pass_fds=[theirs.fileno()],
                # A session of its own: a Ctrl-C in the owner's terminal is the owner's business.
                start_new_session=True,
            )
        theirs.close()
        with ours.makefile("r", encoding="utf-8") as answer:
            word, _, rest = answer.readline().strip().partition(" ")
        if word != "pid":
            guard.wait()
            number, _, text = rest.partition(" ")
            raise OSError(int(number or 0), text or "the guard ended at once", command[0])
        on_failure.pop_all()
    return Guarded(guard, ours, int(rest), grace_seconds)


def _as_popen(code: int) -> int:
    """Turn the shell's 128 + N of the guard back into -N."""
    return 128 - code if code > 128 else code


def main(arguments: Sequence[str] | None = None) -> int:
    """Be the guard: run the command until it ends or the owner goes; return the command's exit code."""
    parser = argparse.ArgumentParser(prog="python -m streams.guard", description=__doc__)
    parser.add_argument("--control", type=int, default=0, help="the descriptor whose end of file means: gone")
    parser.add_argument("--grace", type=float, default=10.0, help="seconds between SIGTERM and SIGKILL")
    parser.add_argument("--remove", type=Path, help="a directory to remove when the owner is gone")
    parser.add_argument("--afterwards", action="append", default=[], help="words of a last command")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args(arguments)
    control = os.dup(options.control)  # which may be stdin, and that is let go of

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    wake, wakes = os.pipe()
    os.set_blocking(wakes, False)
    signal.set_wakeup_fd(wakes)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, lambda *_: None)

    try:
        child = subprocess.Popen(options.command, stdin=subprocess.DEVNULL, preexec_fn=_born)
    except OSError as error:
        _tell(control, f"error {error.errno} {error.strerror}\n")
        return 127
    _tell(control, f"pid {child.pid}\n")
    _silence_own_output()

    gone = _watch(child, control, wake)
    if child.poll() is None:
        _end(child, options.grace)
    if gone and options.afterwards:
        subprocess.run(options.afterwards, stdin=subprocess.DEVNULL, check=False)
    if gone and options.remove:
        shutil.rmtree(options.remove, ignore_errors=True)
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def _born() -> None:
    """In the child before the command: undo the guard's own ways, and die if the guard itself is killed."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _tell(control: int, line: str) -> None:
    """Tell the owner; one that went meanwhile, or that is a terminal's pipe, does not listen."""
    with contextlib.suppress(OSError):
        os.write(control, line.encode())


def _silence_own_output() -> None:
    """Let go of stdout and stderr: who reads them waits for the command's end, not for the guard's."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)


def _watch(child: "subprocess.Popen[bytes]", control: int, wake: int) -> bool:
    """Pass signals on until the child ends or the owner goes; return whether the owner went."""
    while child.poll() is None:
        ready, _, _ = select.select([control, wake], [], [])
        if wake in ready and signal.SIGTERM in os.read(wake, 64):
            return True
        if control in ready:
            try:
                number = os.read(control, 1)
            except OSError:
                return True
            if not number:
                return True
            child.send_signal(number[0])
            _tell(control, "s")
    return False


def _end(child: "subprocess.Popen[bytes]", grace_seconds: float) -> None:
    child.send_signal(signal.SIGTERM)
    child.send_signal(signal.SIGCONT)  # one that is stopped would sleep through its grace
    try:
        child.wait(grace_seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


if __name__ == "__main__":
    sys.exit(main())
