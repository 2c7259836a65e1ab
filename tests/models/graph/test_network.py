"""The graph network, as a process that starts it sees it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("kind", ["sage", "gcn", "gat"])
def test_a_start_leaves_no_file(tmp_path: Path, kind: str) -> None:
    """Layers pass vectors on, and nothing stays in the temporary directory of who makes them."""
    program = f"""
import os, tempfile, torch
from models.graph.network import GraphNetwork, HeteroData
from models.graph.layout import EDGES
network = GraphNetwork({kind!r}, 8, seed=0)
print([name for name in os.listdir(tempfile.gettempdir()) if name.endswith(".py")])
data = HeteroData()
for edge in EDGES:
    data[edge].edge_index = torch.zeros(2, 1, dtype=torch.long)
print(tuple(network(data, torch.ones(2, 8), torch.zeros(1, dtype=torch.long), 2).shape))
"""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    told = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert told.stdout.splitlines() == ["[]", "(2, 8)"]
