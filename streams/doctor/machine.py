"""What is looked at on this machine: libraries, memory, the GPU."""

import platform
import re
import warnings
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from streams.doctor.check import Check
from streams.settings import Settings

# A worker holds torch, Kafka's buffers, RocksDB's caches and the model.
NEEDED_MEMORY_BYTES = 1 << 30
GIB = 1 << 30

_PIN = re.compile(r"([A-Za-z0-9._-]+)==([^;\s]+)")


def check_libraries() -> Check:
    """Compare the libraries whose internals Freshet leans on with the versions that it is tested with."""
    matches = [_PIN.match(line) for line in requires("freshet") or ()]
    pins = {match[1]: match[2] for match in matches if match}
    installed = {name: _version(name) for name in pins}
    wrong = [name for name, pinned in pins.items() if installed[name] != pinned]
    found = [f"{name} {installed[name] or 'missing'}" for name in (wrong or pins)]
    if wrong:
        wanted = " ".join(f"{name}=={pins[name]}" for name in wrong)
        return Check(
            "libraries",
            ok=False,
            found=f"{', '.join(found)}: Freshet leans on internals of other versions",
            advice=f"pip install {wanted}",
        )
    return Check("libraries", ok=True, found=", ".join([f"Python {platform.python_version()}", *found]))


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def check_memory() -> Check:
    """See whether there is room for a worker."""
    available = available_memory_bytes()
    if available is None:
        return Check("memory", ok=True, found="this system does not tell how much is available")
    found = f"{available / GIB:.1f} GiB available"
    if available >= NEEDED_MEMORY_BYTES:
        return Check("memory", ok=True, found=found)
    advice = f"end something, or give it more: a worker needs about {NEEDED_MEMORY_BYTES / GIB:.0f} GiB"
    return Check("memory", ok=False, found=found, advice=advice)


def available_memory_bytes(root: Path = Path("/")) -> int | None:
    """Return what Linux says is available, within the limit of our container; None elsewhere."""
    meminfo, group = root / "proc/meminfo", root / "sys/fs/cgroup"
    try:
        fields = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
        available = int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None
    try:
        limit, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
        lines = (group / "memory.stat").read_text().splitlines()
        cached = int(dict(line.split() for line in lines)["inactive_file"])  # given back when it is needed
    except (OSError, KeyError, ValueError):  # no limit, which is the word "max", or no such group
        return available
    return min(available, limit - used + cached)


def check_gpu(settings: Settings) -> Check:
    """See which device torch would learn on; having none is fine unless the settings demand one."""
    import torch

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        usable = torch.cuda.is_available()
    if not usable:
        why = f" ({str(said[0].message).splitlines()[0]})" if said else ""
        ok = settings.device != "cuda"
        outcome = "the CPU learns" if ok else 'device = "cuda" is refused'
        advice = None if ok else "set device to auto or cpu, or install the driver that this torch needs"
        return Check("gpu", ok, f"none that torch {torch.__version__} can use{why}; {outcome}", advice)
    devices = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
    found = ", ".join(f"{device.name} with {device.total_memory / GIB:.0f} GiB" for device in devices)
    if settings.device == "cpu":
        return Check("gpu", ok=True, found=f"{found}; not used, device is cpu")
    try:
        torch.ones(1, device="cuda").sum().item()  # what is there may still be too old for this torch
    except RuntimeError as error:
        complaint = str(error).splitlines()[0]
        advice = "set device to cpu, or install a torch that is built for this GPU and its driver"
        return Check("gpu", ok=False, found=f"{found}, but it does not compute: {complaint}", advice=advice)
    return Check("gpu", ok=True, found=found)
