"""The demo: it ends by itself, says what it saw, and leaves nothing behind."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

DEMO = [sys.executable, "-m", "streams", "demo"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Give an environment in which everything temporary lies in the test's own directory."""
    directory = tmp_path / "temporary"
    directory.mkdir()
    return {**os.environ, "TMPDIR": str(directory)}


def left_behind(environment: dict[str, str]) -> list[str]:
    """Return what lies in the temporary directory of a demo that has ended."""
    return [path.name for path in Path(environment["TMPDIR"]).iterdir() if path.name.startswith("freshet")]


@pytest.mark.broker
def test_the_demo_shows_lists_for_everybody_and_cleans_up(environment: dict[str, str]) -> None:
    """Every user who acted has a list, personal ones beat popularity, and no file survives."""
    command = [*DEMO, "--seconds", "12", "--rate", "150", "--users", "150", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["broker"]["kind"] in ("kafka", "docker", "configured")
    assert result["events"] > 1000
    assert result["users_with_list"] == result["users"] > 0
    assert result["lists"] >= result["users"]
    assert result["dead_letters"] == 0
    assert 0 < result["freshness_seconds"]["p50"] <= result["freshness_seconds"]["p99"]
    assert result["hit_at_10"] > result["popularity_hit_at_10"] > 0
    assert left_behind(environment) == []


@pytest.mark.broker
def test_an_interrupted_demo_leaves_no_process_and_no_file(
    environment: dict[str, str], wait_until: Callable[..., None], process_state: Callable[[int], str]
) -> None:
    """Ctrl-C in the middle ends the broker and the worker, and removes what they wrote."""
    demo = subprocess.Popen(
        [*DEMO, "--seconds", "60"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    log = Path(environment["TMPDIR"])
    wait_until(lambda: any(log.glob("freshet-demo-*/worker/worker.json")), "a worker")
    address = next(log.glob("freshet-demo-*/worker/worker.json"))
    pid = json.loads(address.read_text(encoding="utf-8"))["pid"]
    demo.send_signal(signal.SIGINT)
    _, errors = demo.communicate(timeout=60)
    assert demo.returncode == 1
    assert errors.decode().strip() == "freshet: interrupted"
    wait_until(lambda: process_state(pid) == "", "the end of the worker")
    assert left_behind(environment) == []
