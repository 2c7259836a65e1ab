"""Logs of interactions in files: read from CSV or JSON lines, and written by the simulated shop."""

from streams.logs.reading import BadLine, read_items, read_log, read_relations
from streams.logs.writing import EVENTS_FILE, INTERESTS_FILE, ITEMS_FILE, LogWriter

__all__ = [
    "EVENTS_FILE",
    "INTERESTS_FILE",
    "ITEMS_FILE",
    "BadLine",
    "LogWriter",
    "read_items",
    "read_log",
    "read_relations",
]
