"""`make bench`: both benchmarks on a simulated shop's log."""

import subprocess
import sys
import tempfile
from pathlib import Path

with tempfile.TemporaryDirectory() as directory:
    log = Path(directory) / "shop"
    for command in (
        ["streams", "simulate", "--out", str(log), "--rate", "1000", "--seconds", "30"],
        ["benchmarks.replication", str(log / "events.csv.gz")],
        ["benchmarks.stream", str(log / "events.csv.gz"), "--items", str(log / "items.jsonl.gz")],
    ):
        subprocess.run([sys.executable, "-m", *command], check=True)
