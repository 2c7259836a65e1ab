"""What is looked at in the data directory: the disk, whose it is, and the worker that runs there."""

import os
import shutil
import urllib.error
import urllib.request
from pathlib import Path

from streams.doctor.check import Check, failed
from streams.errors import FreshetError
from streams.identity import Identity, read_address, read_identity
from streams.settings import Settings

# State, checkpoints, and room for compaction to write before it deletes.
NEEDED_DISK_BYTES = 1 << 30
GIB = 1 << 30
ANSWER_SECONDS = 10.0


def check_disk(settings: Settings) -> Check:
    """See whether the data directory is ours or could be, can be written, and has room."""
    directory = Path(settings.data_directory)
    try:
        identity = read_identity(directory, settings.group) if directory.exists() else None
        existing = next(path for path in (directory, *directory.absolute().parents) if path.exists())
        free = shutil.disk_usage(existing).free
    except FreshetError as error:
        return failed("disk", error)
    except OSError as error:
        return _cannot_write(directory, error.strerror or str(error))
    if not existing.is_dir() or not os.access(existing, os.R_OK | os.W_OK | os.X_OK):
        return _cannot_write(directory, f"{existing} cannot be written by this user")
    found = f"{directory}, {_whose(identity, directory)}; {free / GIB:.1f} GiB free"
    if free < NEEDED_DISK_BYTES:
        advice = f"make room: {NEEDED_DISK_BYTES / GIB:.0f} GiB at least, or choose another data_directory"
        return Check("disk", ok=False, found=found, advice=advice)
    return Check("disk", ok=True, found=found)


def _cannot_write(directory: Path, why: str) -> Check:
    advice = "let this user write there, or choose another: --set data_directory=..."
    return Check("disk", ok=False, found=f"no use of the data directory {directory}: {why}", advice=advice)


def _whose(identity: Identity | None, directory: Path) -> str:
    if identity is not None:
        return f"worker {identity.worker_id} of group {identity.group!r}"
    return "empty" if directory.exists() else "to be made by the first worker"


def check_worker(settings: Settings) -> Check:
    """See whether a worker runs in the data directory, and is ready; having none is fine."""
    directory = Path(settings.data_directory)
    address = read_address(directory)
    if address is None:
        return Check(
            "worker", ok=True, found=f"none runs in {directory}", advice="`freshet worker` starts one"
        )
    where = f"{address.host}:{address.port}"
    try:
        with urllib.request.urlopen(f"http://{where}/ready", timeout=ANSWER_SECONDS):
            return Check("worker", ok=True, found=f"ready, at {where}")
    except urllib.error.HTTPError as error:
        trouble = error.read().decode(errors="replace").strip()
        advice = "wait if it has just started, else look at its log and docs/runbook.md"
        return Check("worker", ok=False, found=f"at {where}, not ready: {trouble}", advice=advice)
    except OSError:
        return _silent(directory, where, address.pid)


def _silent(directory: Path, where: str, pid: int) -> Check:
    if _runs(pid):
        found = f"process {pid} runs, but does not answer at {where}"
        return Check("worker", ok=False, found=found, advice="look at its log; end it if it is stuck")
    found = f"the one in {directory} was killed: process {pid} is no more"
    return Check("worker", ok=False, found=found, advice="start it again: it goes on where it was")


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
