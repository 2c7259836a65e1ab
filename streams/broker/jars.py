"""Kafka's jars: those of KAFKA_HOME, those in the cache, and the cache filled through Maven."""

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from streams.broker.java import java_home
from streams.broker.origins import KAFKA_VERSION, UnavailableError
from streams.errors import ConfigurationError

SLF4J_VERSION = "1.7.36"  # the line that Kafka's own jars log through
_DOWNLOAD_SECONDS = 900
_MARKER = "complete"
_SIZE = "44 MB"

_POM = f"""<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>freshet</groupId>
  <artifactId>development-broker</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>{KAFKA_VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId>
      <artifactId>slf4j-simple</artifactId>
      <version>{SLF4J_VERSION}</version>
    </dependency>
  </dependencies>
</project>
"""


def jars_of_kafka_home() -> tuple[Path, str] | None:
    """Return (jars, version) of KAFKA_HOME, None if it is not set.

    Raises ConfigurationError if it is set to something that is no Kafka 4.
    """
    home = os.environ.get("KAFKA_HOME")
    if not home:
        return None
    libraries = Path(home).resolve() / "libs"
    version = _version_in(libraries)
    if version is None:
        raise ConfigurationError(
            f"KAFKA_HOME={home} has no libs/kafka_*.jar; point it at an unpacked Apache Kafka 4, or unset it"
        )
    if int(version.split(".")[0]) < 4:
        raise ConfigurationError(
            f"KAFKA_HOME={home} is Apache Kafka {version}; point it at an Apache Kafka 4, or unset it"
        )
    return libraries, version


def jars_in_cache() -> Path | None:
    """Return the cached jars if all of them are there in full."""
    jars = _cache()
    try:
        names = (jars / _MARKER).read_text(encoding="utf-8").splitlines()
        complete = bool(names) and all(
            (jars / name).stat().st_size == int(size) for name, size in map(str.split, names)
        )
    except (OSError, ValueError):
        return None
    return jars if complete else None


def fetch_jars(java: Path, say: Callable[[str], None]) -> Path:
    """Fill the cache through Maven and return it; raises UnavailableError.

    The jars come into a directory of their own, which gets the cache's name when everything is there: what a
    cut download leaves is never taken for complete. A second process waits for the first.
    """
    maven = shutil.which("mvn")
    if maven is None:
        raise UnavailableError("no Maven (mvn) on the path")
    cache = _cache()
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        with _alone(cache.parent / "fetch.lock"):
            found = jars_in_cache()
            if found is None:
                say(f"fetching Apache Kafka {KAFKA_VERSION} through Maven ({_SIZE}, once)")
                _fill(cache, maven, java)
    except OSError as error:
        raise UnavailableError(f"the cache {cache} cannot be written ({error.strerror})") from None
    return cache


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME", "")
    # The convention: a relative path is invalid and ignored.
    base = Path(home) if os.path.isabs(home) else Path.home() / ".cache"
    return base / "freshet" / f"kafka-{KAFKA_VERSION}"


def _version_in(libraries: Path) -> str | None:
    for jar in sorted(libraries.glob("kafka_*.jar")):
        version = re.fullmatch(r"kafka_[\d.]+-(\d+(?:\.\d+)+)\.jar", jar.name)
        if version:
            return version.group(1)
    return None


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Hold a lock that the kernel lets go of when this process ends, however it ends."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fill(cache: Path, maven: str, java: Path) -> None:
    for leftover in cache.parent.glob(f"{cache.name}.partial-*"):
        shutil.rmtree(leftover)
    partial = Path(tempfile.mkdtemp(prefix=f"{cache.name}.partial-", dir=cache.parent))
    try:
        _copy_dependencies(partial, maven, java)
        jars = sorted(partial.glob("*.jar"))
        if _version_in(partial) != KAFKA_VERSION:
            raise UnavailableError("Maven ended well but brought no Kafka")
        (partial / "pom.xml").unlink()
        marker = "".join(f"{jar.name} {jar.stat().st_size}\n" for jar in jars)
        (partial / _MARKER).write_text(marker, encoding="utf-8")
        if cache.exists():
            shutil.rmtree(cache)
        partial.rename(cache)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _copy_dependencies(directory: Path, maven: str, java: Path) -> None:
    pom = directory / "pom.xml"
    pom.write_text(_POM, encoding="utf-8")
    goal = ["dependency:copy-dependencies", f"-DoutputDirectory={directory}", "-DincludeScope=runtime"]
    try:
        ran = subprocess.run(
            [maven, "--batch-mode", "--quiet", "--file", pom, *goal],
            env={**os.environ, "JAVA_HOME": str(java_home(java))},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_DOWNLOAD_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UnavailableError(f"Maven did not end within {_DOWNLOAD_SECONDS} s") from None
    if ran.returncode:
        complaints = [line for line in ran.stdout.splitlines() if "ERROR" in line] or ran.stdout.splitlines()
        complaint = re.sub(r"\x1b\[[\d;]*m", "", complaints[0])[:300] if complaints else "without a word"
        raise UnavailableError(f"Maven failed: {complaint.replace('[ERROR]', '').strip()}")
