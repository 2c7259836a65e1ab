"""Kafka in a container: the image, and the commands for one container of it.

A broker's directory names its container in a file; the container keeps the data while it is stopped.
"""

import secrets
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from streams.broker.origins import KAFKA_VERSION, KafkaImage, UnavailableError
from streams.broker.properties import kraft_properties
from streams.broker.reach import LOCALHOST
from streams.errors import FreshetError

IMAGE = f"apache/kafka:{KAFKA_VERSION}"
_CONTROLLER_PORT = 29093  # inside the container, where nothing else is


def find_image(say: Callable[[str], None]) -> KafkaImage:
    """Return the image, pulled if it must be; raises UnavailableError if no engine answers or brings it."""
    if shutil.which("docker") is None:
        raise UnavailableError("no Docker")
    if _docker("version", "--format", "{{.Server.Version}}").returncode:
        raise UnavailableError("no Docker engine answers")
    if _docker("image", "inspect", IMAGE).returncode:
        say(f"pulling {IMAGE} (once)")
        pulled = _docker("pull", "--quiet", IMAGE, timeout_seconds=900)
        if pulled.returncode:
            raise UnavailableError(f"Docker cannot pull {IMAGE}: {_complaint(pulled)}")
    return KafkaImage(f"the image {IMAGE}", KAFKA_VERSION, IMAGE)


def create_container(image: KafkaImage, port: int) -> str:
    """Create a container whose broker will answer on this port of 127.0.0.1; return its name."""
    name = f"freshet-{secrets.token_hex(6)}"
    properties = kraft_properties(port, _CONTROLLER_PORT, "/var/lib/kafka/data", listen_on="0.0.0.0")  # noqa: S104
    environment = [
        f"--env=KAFKA_{key.upper().replace('.', '_')}={value}" for key, value in properties.items()
    ]
    environment.append("--env=KAFKA_HEAP_OPTS=-Xmx512m -Xms128m")
    created = _docker(
        "create", f"--name={name}", f"--publish={LOCALHOST}:{port}:{port}", *environment, image.image
    )
    if created.returncode:
        raise FreshetError(f"Docker cannot create a container of {image.image}: {_complaint(created)}")
    return name


def start_container(name: str) -> None:
    """Start it in the background; raises FreshetError."""
    started = _docker("start", name)
    if started.returncode:
        raise FreshetError(f"Docker cannot start the container {name}: {_complaint(started)}")


def stop_container(name: str) -> None:
    """Stop it, in order; its data stay. Raises FreshetError."""
    stopped = _docker("stop", "-t", "30", name)
    if stopped.returncode:
        raise FreshetError(f"Docker cannot stop the container {name}: {_complaint(stopped)}")


def kill_container(name: str) -> None:
    """Kill it at once; one that does not run is none the worse."""
    _docker("kill", name)


def container_pid(name: str) -> int | None:
    """Return the process id, as the engine's machine sees it, of a container; None if it does not run."""
    asked = _docker("inspect", "--format={{.State.Pid}}", name)
    return int(asked.stdout) or None if asked.returncode == 0 and asked.stdout.strip().isdigit() else None


def attached_command(name: str) -> list[str]:
    """Return the command that runs the container until it ends and passes signals on to it."""
    return ["docker", "start", "--attach", name]


def removing_command(name: str) -> list[str]:
    """Return the command that ends the container if it runs, and removes it with its data."""
    return ["docker", "rm", "--force", "--volumes", name]


def container_of(directory: Path, image: KafkaImage, port: int) -> str:
    """Return the container of a broker's directory, created if it is not there.

    Raises FreshetError if it was made for another port: its port cannot change, and its data are in it.
    """
    file = directory / "container"
    if file.exists():
        name, its_port = file.read_text(encoding="utf-8").split()
        if _docker("inspect", "--format={{.Id}}", name).returncode == 0:
            if its_port != str(port):
                raise FreshetError(
                    f"the container of {directory} answers on port {its_port} only; "
                    f"start it with --port {its_port}, or choose another --directory"
                )
            return name
    name = create_container(image, port)
    file.write_text(f"{name} {port}\n", encoding="utf-8")
    return name


def _docker(*arguments: str, timeout_seconds: float = 60) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(
            ["docker", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(arguments, 1, "", str(error))


def _complaint(ran: "subprocess.CompletedProcess[str]") -> str:
    lines = ran.stderr.strip().splitlines()
    return lines[-1][:300] if lines else f"exit code {ran.returncode}"
