"""The broker in a container, with a program that does what Docker does but runs Kafka as a plain process."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kafka.admin import KafkaAdminClient

from streams.broker import KafkaImage, KafkaJars, OwnedBroker, find_startable, free_port, kafka_version

WaitUntil = Callable[[Callable[[], bool], str], None]
ProcessState = Callable[[int], str]

# Containers are directories beside the program. A container outlives the command that attached to it.
DOCKER = """#!{python}
import json, os, pathlib, shutil, signal, subprocess, sys, time
home = pathlib.Path(__file__).parent
java = ["{java}", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", "{jars}/*"]
verb, *words = sys.argv[1:]
options = [word for word in words if word.startswith("-")]
container = home / words[-1]

def pid():
    try:
        state = pathlib.Path(f"/proc/{{(container / 'pid').read_text()}}/stat").read_text()
    except OSError:
        return 0
    return 0 if state.rpartition(")")[2].split()[0] == "Z" else int(state.split()[0])

def signalled(number):
    if pid():
        os.kill(pid(), number)
    while pid():
        time.sleep(0.02)

if verb in ("version", "image"):
    pass
elif verb == "create":
    name = next(word for word in words if word.startswith("--name=")).removeprefix("--name=")
    (home / name).mkdir()
    with (home / name / "kafka.properties").open("w") as file:
        for word in words:
            key, _, value = word.removeprefix("--env=KAFKA_").partition("=")
            if word.startswith("--env=KAFKA_") and key != "HEAP_OPTS":
                assert value != "/var/lib/kafka/data" or key == "LOG_DIRS"
                file.write(key.lower().replace("_", ".") + "=" + value.replace("/var/lib/kafka/", "") + "\\n")
elif not container.is_dir():
    sys.exit("Error: No such container: " + container.name)
elif verb == "start":
    log = (container / "log").open("a")
    run = dict(cwd=container, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
    if not (container / "data").exists():
        tool = ["kafka.tools.StorageTool", "format", "--cluster-id=abcdefghijklmnopqrstuv"]
        subprocess.run([*java, *tool, "-c", "kafka.properties"], check=True, **run)
    kafka = subprocess.Popen([*java, "kafka.Kafka", "kafka.properties"], start_new_session=True, **run)
    (container / "pid").write_text(str(kafka.pid))
    if "--attach" in options:
        signal.signal(signal.SIGTERM, lambda *_: kafka.terminate())
        sys.exit(kafka.wait())
elif verb == "inspect":
    print(pid() if "Pid" in options[0] else container.name)
elif verb == "stop":
    signalled(signal.SIGTERM)
elif verb == "kill":
    signalled(signal.SIGKILL)
elif verb == "rm":
    signalled(signal.SIGKILL)
    shutil.rmtree(container)
"""

OWNER = """
import time
from streams.broker import OwnedBroker, find_startable
with OwnedBroker(find_startable("docker")) as owned:
    print(owned.start().pid, flush=True)
    time.sleep(600)
"""

pytestmark = [
    pytest.mark.broker,
    pytest.mark.skipif(not Path("/proc/self").exists(), reason="the pretending Docker reads /proc"),
]


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the directory of a Docker's containers, that Docker being first on the path."""
    kafka = find_startable("kafka")
    assert isinstance(kafka, KafkaJars)
    home = tmp_path / "docker"
    home.mkdir()
    (home / "docker").write_text(DOCKER.format(python=sys.executable, java=kafka.java, jars=kafka.jars))
    (home / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{home}:{os.environ['PATH']}")
    return home


@pytest.fixture
def call(tmp_path: Path, docker: Path) -> Iterator[Callable[..., "subprocess.CompletedProcess[str]"]]:
    """Give a function that runs `freshet broker`; nothing it started is left."""

    def run(*words: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "streams", "broker", *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    yield run
    run("stop")


def containers(docker: Path) -> list[str]:
    """Return the names of the containers that exist."""
    return [entry.name for entry in docker.iterdir() if entry.is_dir()]


def test_the_life_of_a_container(
    call: Callable[..., "subprocess.CompletedProcess[str]"], docker: Path, process_state: ProcessState
) -> None:
    """A broker in a container starts, stops, keeps its data, and refuses a port that it was not made for."""
    port = str(free_port())
    started = call("start", "--kind", "docker", "--port", port, "--json")
    assert started.returncode == 0, started.stderr
    broker = json.loads(started.stdout)
    assert (broker["kind"], broker["why"]) == ("docker", "the image apache/kafka:4.3.0")
    assert process_state(broker["pid"])
    assert json.loads(call("status", "--json").stdout) == broker
    with KafkaAdminClient(bootstrap_servers=broker["bootstrap_servers"]) as admin:
        admin.create_topics({"kept": {"num_partitions": 1, "replication_factor": 1}})

    assert call("stop").returncode == 0
    assert not process_state(broker["pid"])
    other = call("start", "--kind", "docker", "--port", str(free_port()))
    assert other.returncode == 1
    assert f"answers on port {port} only" in other.stderr

    assert call("start", "--kind", "docker", "--port", port).returncode == 0
    with KafkaAdminClient(bootstrap_servers=broker["bootstrap_servers"]) as admin:
        assert "kept" in admin.list_topics()
    assert len(containers(docker)) == 1


def test_an_owned_container_goes_with_its_owner(docker: Path) -> None:
    """Stopped and started again it is the same container; closed, it is no more."""
    image = find_startable("docker")
    assert isinstance(image, KafkaImage)
    with OwnedBroker(image) as owned:
        first = owned.start()
        assert first.kind == "docker"
        owned.stop()
        assert kafka_version(first.bootstrap_servers, 0.2) is None
        assert owned.start().bootstrap_servers == first.bootstrap_servers
        assert len(containers(docker)) == 1
        owned.kill()
        assert kafka_version(first.bootstrap_servers, 0.2) is None
    assert containers(docker) == []
    assert not owned.directory.exists()


def test_a_container_does_not_outlive_an_owner_that_is_killed(
    docker: Path, wait_until: WaitUntil, process_state: ProcessState
) -> None:
    """The guard ends and removes the container of an owner that had no time to."""
    with subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout
        pid = int(owner.stdout.readline())
        assert process_state(pid)
        owner.send_signal(signal.SIGKILL)
    wait_until(lambda: not process_state(pid), "the container's end")
    wait_until(lambda: containers(docker) == [], "its removal")
