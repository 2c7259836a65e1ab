"""Files of lines, compressed or not: whatever is wrong with one is said with its name and the line."""

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from streams.errors import ConfigurationError, FreshetError

_GZIP_MAGIC = b"\x1f\x8b"
QUOTE = '"'


def first_line(path: Path) -> str:
    """Return the first line that is not empty; raises ConfigurationError for a file that has none."""
    for _, line in numbered_lines(path):
        return line
    raise ConfigurationError(f"{path} is empty; name a file with CSV or JSON lines")


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, the line without its end) of what is not empty.

    Bytes that are no UTF-8 become lone surrogates, which no field takes. Raises ConfigurationError for a file
    that cannot be opened, FreshetError for one that ends in the middle.
    """
    number = 0
    try:
        with _open(path) as file:
            for line in file:
                number += 1
                text = line.rstrip("\r\n")
                if text:
                    yield number, text
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FreshetError(f"{path} is damaged behind line {number}: {error}; get it anew") from None
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror or error}; check the path") from None


def split_csv(line: str) -> list[str]:
    """Return the fields of one line of CSV; raises ValueError for quotes that do not match."""
    if QUOTE not in line:
        return line.split(",")
    try:
        return next(csv.reader([line], strict=True))
    except csv.Error as error:
        raise ValueError(f"quotes do not match: {error}") from None


def _open(path: Path) -> IO[str]:
    with path.open("rb") as file:
        compressed = file.read(2) == _GZIP_MAGIC
    raw = gzip.open(path, "rb") if compressed else path.open("rb")  # noqa: SIM115 - closed with the wrapper
    return io.TextIOWrapper(raw, encoding="utf-8-sig", errors="surrogateescape", newline="\n")
