"""Kafka as a process of Java: its directory, its command, and what it says when it fails.

It runs in its directory and names everything in it by relative paths, for Kafka splits log.dirs at commas.
"""

import os
import secrets
import shutil
import subprocess
from base64 import urlsafe_b64encode
from pathlib import Path

from streams.broker.origins import KafkaJars
from streams.broker.properties import kraft_properties
from streams.broker.reach import free_port
from streams.errors import FreshetError

_CONFIGURATION = "server.properties"
_LOG_NAME = "broker.log"
# Else a Java in the C locale cannot open a path that is not ASCII.
ENVIRONMENT = {"LC_ALL": "C.UTF-8"}
_JVM = (
    "-Xms64m",
    "-Xmx512m",
    # A development broker lives for minutes: quick to start and small beats fast in the long run.
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",
    "-Xshare:auto",
    "-Djava.awt.headless=true",
    # Whichever binding the jars bring: slf4j-simple from Maven, log4j2 from KAFKA_HOME.
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSS",
    "-Dlog4j2.level=WARN",
)


def prepare_directory(kafka: KafkaJars, directory: Path, port: int) -> list[str]:
    """Write what the node reads, format its storage if it is new, and return the command that runs it.

    The command wants the directory as its working directory and ENVIRONMENT above its own.
    Raises FreshetError if the storage cannot be formatted.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if log_file(directory).exists():
        log_file(directory).replace(directory / f"{_LOG_NAME}.1")
    data = directory / "data"
    controller_port = free_port()
    if not data.exists():
        _format(kafka, directory, data, port, controller_port)
    _write(directory / _CONFIGURATION, kraft_properties(port, controller_port, data.name))
    return [*_java(kafka), mark_of(directory), "kafka.Kafka", _CONFIGURATION]


def mark_of(directory: Path) -> str:
    """Return the word by which the command line of a directory's broker is known."""
    return f"-Dfreshet.directory={directory.resolve()}"


def log_file(directory: Path) -> Path:
    """Return the file that the broker of this directory writes its complaints to."""
    return directory / _LOG_NAME


def last_complaint(directory: Path) -> str:
    """Return the line of the log that says best why the broker failed."""
    try:
        lines = log_file(directory).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    telling = [line for line in lines if "ERROR" in line or "Exception" in line or "Error:" in line]
    chosen = (telling or lines)[-1:]
    return chosen[0].strip()[:400] if chosen else "it wrote nothing to its log"


def _format(kafka: KafkaJars, directory: Path, data: Path, port: int, controller_port: int) -> None:
    """Format the storage aside and give it its name when it is whole."""
    partial = directory / "data.partial"
    shutil.rmtree(partial, ignore_errors=True)
    configuration = directory / "format.properties"
    _write(configuration, kraft_properties(port, controller_port, partial.name))
    cluster_id = urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
    tool = ["kafka.tools.StorageTool", "format", f"--cluster-id={cluster_id}", "--config", configuration.name]
    ran = subprocess.run(
        [*_java(kafka), *tool],
        cwd=directory,
        env={**os.environ, **ENVIRONMENT},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if ran.returncode:
        lines = (ran.stderr or ran.stdout).strip().splitlines() or ["without a word"]
        raise FreshetError(f"Kafka cannot format its storage in {partial}: {lines[-1][:400]}; see that disk")
    partial.rename(data)
    configuration.unlink()


def _java(kafka: KafkaJars) -> list[str]:
    return [str(kafka.java), *_JVM, "-cp", f"{kafka.jars}/*"]


def _write(file: Path, properties: dict[str, str]) -> None:
    file.write_text("".join(f"{key}={value}\n" for key, value in properties.items()), encoding="utf-8")
