"""The guard: what it runs ends with its owner, and signals reach the command itself."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streams import guard
from streams.guard import Guarded, spawn_guarded

WaitUntil = Callable[[Callable[[], bool], str], None]
ProcessState = Callable[[int], str]

SLEEPER = [sys.executable, "-S", "-c", "import time; print('up', flush=True); time.sleep(600)"]
STUBBORN = [
    *SLEEPER[:-1],
    "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(600)",
]
# Its arguments: log, directory to remove, command.
OWNER = """
import sys, time
from pathlib import Path
from streams.guard import spawn_guarded
log, directory, *command = sys.argv[1:]
guarded = spawn_guarded(command, grace_seconds=0.5, stdout=Path(log), remove=Path(directory))
while not Path(log).read_text():
    time.sleep(0.01)
print(guarded.pid, flush=True)
time.sleep(600)
"""


@contextlib.contextmanager
def owner_of(command: list[str], tmp_path: Path) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """Run a process that owns a guarded command; yield it and the command's process id."""
    directory = tmp_path / "removed"
    directory.mkdir()
    (directory / "file").write_text("left")
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path / "log"), str(directory), *command],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as owner:
        assert owner.stdout
        try:
            yield owner, int(owner.stdout.readline())
        finally:
            owner.kill()


@pytest.fixture
def sleeper(tmp_path: Path, wait_until: WaitUntil) -> Iterator[Guarded]:
    """Give a guarded command that is up and sleeps."""
    log = tmp_path / "log"
    with spawn_guarded(SLEEPER, stdout=log, grace_seconds=5) as guarded:
        wait_until(lambda: log.read_text() == "up\n", "the command")
        yield guarded


@pytest.mark.parametrize("command", [SLEEPER, STUBBORN], ids=["obedient", "stubborn"])
def test_sigkill_of_the_owner_ends_the_command(
    command: list[str], tmp_path: Path, wait_until: WaitUntil, process_state: ProcessState
) -> None:
    """A command ends when its owner is killed without a word, even one that ignores SIGTERM."""
    with owner_of(command, tmp_path) as (owner, pid):
        assert process_state(pid)
        owner.kill()
        wait_until(lambda: not process_state(pid), "the command's end")
        wait_until(lambda: not (tmp_path / "removed").exists(), "the directory's removal")


def test_interrupt_of_the_owners_whole_group_ends_the_command(
    tmp_path: Path, wait_until: WaitUntil, process_state: ProcessState
) -> None:
    """Ctrl-C, which a terminal sends to the whole group, reaches the command through its owner's end."""
    with owner_of(SLEEPER, tmp_path) as (owner, pid):
        os.killpg(owner.pid, signal.SIGINT)
        assert owner.wait(20) != 0
        wait_until(lambda: not process_state(pid), "the command's end")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
def test_sigkill_of_the_guard_ends_the_command(
    sleeper: Guarded, wait_until: WaitUntil, process_state: ProcessState
) -> None:
    """A command ends even when its guard is killed."""
    os.kill(sleeper._guard.pid, signal.SIGKILL)
    wait_until(lambda: not process_state(sleeper.pid), "the command's end")


def test_a_stopped_command_ends_with_its_owner(sleeper: Guarded, process_state: ProcessState) -> None:
    """A command that SIGSTOP froze obeys SIGTERM when its owner lets go."""
    sleeper.send_signal(signal.SIGSTOP)
    sleeper.close()
    assert sleeper.returncode == -signal.SIGTERM
    assert not process_state(sleeper.pid)


def test_signals_reach_the_command_itself(
    sleeper: Guarded, wait_until: WaitUntil, process_state: ProcessState
) -> None:
    """SIGSTOP, SIGCONT and SIGKILL act on the command, and its end is told like subprocess does."""
    sleeper.send_signal(signal.SIGSTOP)
    wait_until(lambda: process_state(sleeper.pid) == "T", "the stop")
    sleeper.send_signal(signal.SIGCONT)
    assert sleeper.returncode is None
    sleeper.kill()
    assert sleeper.wait(20) == sleeper.returncode == -signal.SIGKILL


def test_signals_from_many_threads_are_all_delivered(sleeper: Guarded) -> None:
    """Threads may signal one command at the same time."""
    threads = [threading.Thread(target=sleeper.send_signal, args=[signal.SIGCONT]) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sleeper.returncode is None


def test_a_command_that_ended_takes_no_signals() -> None:
    """Signals after the command's end go nowhere, its exit code stays."""
    with spawn_guarded([sys.executable, "-S", "-c", "raise SystemExit(7)"]) as guarded:
        assert guarded.wait(20) == 7
        guarded.kill()
        assert guarded.returncode == 7


def test_waiting_has_an_end(sleeper: Guarded) -> None:
    """Waiting for a command that goes on raises TimeoutExpired and leaves it alone."""
    with pytest.raises(subprocess.TimeoutExpired):
        sleeper.wait(0.05)
    assert sleeper.returncode is None


def test_a_command_that_cannot_start_is_an_oserror() -> None:
    """Who starts a program that is not there learns its name."""
    with pytest.raises(FileNotFoundError, match="no-such-program"):
        spawn_guarded(["no-such-program"])


def test_the_command_gets_its_environment_directory_and_log(tmp_path: Path) -> None:
    """Environment and working directory are the command's, stdout and stderr are appended to its log."""
    log = tmp_path / "log"
    log.write_text("before\n")
    script = "echo $COLOUR; pwd; echo complaint >&2; test -t 0 || cat"
    environment = {"COLOUR": "blue", "PATH": os.environ["PATH"]}
    with spawn_guarded(["sh", "-c", script], env=environment, cwd=tmp_path, stdout=log) as guarded:
        assert guarded.wait(20) == 0
    assert log.read_text().split() == ["before", "blue", str(tmp_path.resolve()), "complaint"]


def test_the_last_command_runs_when_the_owner_is_gone(tmp_path: Path) -> None:
    """What must be tidied up is tidied up after the command's end."""
    tidied = tmp_path / "tidied"
    with spawn_guarded(SLEEPER, stdout=tmp_path / "log", afterwards=["touch", str(tidied)]):
        assert not tidied.exists()
    assert tidied.exists()


def test_the_guard_is_a_program(tmp_path: Path) -> None:
    """`python -m streams.guard -- command` runs the command until its standard input ends."""
    with subprocess.Popen(
        [sys.executable, "-m", "streams.guard", "--grace=5", "--", *SLEEPER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdout
        assert program.stdin
        assert program.stdout.readline() == "up\n"
        program.stdin.close()
        assert program.wait(20) == 128 + signal.SIGTERM


def test_the_guard_is_light() -> None:
    """The guard's file needs no package of ours, and nothing that is installed."""
    isolated = [sys.executable, "-I", "-S", guard.__file__, "--", "true"]
    with subprocess.Popen(isolated, stdin=subprocess.PIPE) as program:
        assert program.wait(20) == 0
