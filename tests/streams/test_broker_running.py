"""A real Kafka: started, stopped and found again, by the command line and by an owner that may be killed."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from kafka.admin import KafkaAdminClient

from streams.broker import Broker, OwnedBroker, free_port, kafka_version, running_broker
from streams.errors import FreshetError
from streams.settings import Settings

WaitUntil = Callable[[Callable[[], bool], str], None]
ProcessState = Callable[[int], str]
Call = Callable[..., "subprocess.CompletedProcess[str]"]

OWNER = """
import time
from streams.broker import OwnedBroker, find_startable
with OwnedBroker(find_startable()) as owned:
    print(owned.start().pid, owned.directory, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Give a directory whose name tries Kafka, which splits at commas, and Java, whose C locale is ASCII."""
    place = tmp_path / "ä, b c"
    place.mkdir()
    return place


@pytest.fixture
def call(place: Path) -> Iterator[Call]:
    """Give a function that runs `freshet broker` in the test's own place; nothing it started is left."""

    def run(
        *words: str, pass_fds: Sequence[int] = (), **environment: str
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "streams", "broker", *words],
            cwd=place,
            env={**os.environ, "LC_ALL": "C", **environment},
            pass_fds=pass_fds,
            capture_output=True,
            text=True,
            check=False,
        )

    yield run
    run("stop")


def create_topic(bootstrap_servers: str, name: str) -> None:
    """Create a topic."""
    with KafkaAdminClient(bootstrap_servers=bootstrap_servers) as admin:
        admin.create_topics({name: {"num_partitions": 2, "replication_factor": 1}})


def topics(bootstrap_servers: str) -> list[str]:
    """Return the names of all topics."""
    with KafkaAdminClient(bootstrap_servers=bootstrap_servers) as admin:
        return list(admin.list_topics())


@pytest.mark.broker
def test_the_life_of_a_development_broker(call: Call, process_state: ProcessState) -> None:
    """It starts, is there for everybody, starts only once, stops, and has its data when it starts again."""
    port = str(free_port())
    started = call("start", "--port", port, "--json")
    assert started.returncode == 0, started.stderr
    broker = json.loads(started.stdout)
    assert broker["bootstrap_servers"] == f"127.0.0.1:{port}"
    assert broker["kind"] == "kafka"
    assert broker["why"]
    assert broker["version"].startswith("4.")
    assert json.loads(call("status", "--json").stdout) == broker
    create_topic(broker["bootstrap_servers"], "kept")

    again = call("start", "--port", port, "--json")
    assert (again.returncode, json.loads(again.stdout)) == (0, broker)
    assert call("start").stdout.startswith("already runs: ")

    stopped = call("stop", "--json")
    assert json.loads(stopped.stdout) == {"stopped": True, **broker}
    assert process_state(broker["pid"]) == ""
    absent = call("status")
    assert (absent.returncode, absent.stderr.count("\n")) == (1, 1)
    assert json.loads(call("stop", "--json").stdout) == {"stopped": False}

    back = json.loads(call("start", "--port", port, "--json").stdout)
    assert back["pid"] != broker["pid"]
    assert "kept" in topics(back["bootstrap_servers"])


@pytest.mark.broker
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are told by /proc")
def test_a_detached_broker_inherits_nothing(call: Call, place: Path) -> None:
    """It has a session of its own and none of its starter's files, so that nobody waits for it."""
    with (place / "opened").open("w") as opened:
        started = call("start", "--port", str(free_port()), "--json", pass_fds=[opened.fileno()])
    pid = json.loads(started.stdout)["pid"]
    descriptors = {
        file.name: os.readlink(file) for file in Path(f"/proc/{pid}/fd").iterdir() if file.is_symlink()
    }
    assert str(place / "opened") not in descriptors.values()
    assert descriptors["0"] == os.devnull
    assert descriptors["1"] == descriptors["2"] == str(place / "freshet-broker" / "broker.log")
    assert os.getsid(pid) == pid


def test_an_occupied_port_is_one_line_and_leaves_nothing(call: Call, place: Path) -> None:
    """Where somebody listens already, nothing is started and nothing written."""
    with socket.create_server(("127.0.0.1", 0)) as occupant:
        port = occupant.getsockname()[1]
        refused = call("start", "--port", str(port))
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"freshet: port {port} on 127.0.0.1 is already in use; ")
    assert refused.stderr.count("\n") == 1
    assert list(place.iterdir()) == []


@pytest.mark.broker
def test_a_broker_that_cannot_be_made_is_one_line_and_leaves_nothing(call: Call, place: Path) -> None:
    """The line holds what Java itself complained of; the directory is gone."""
    jar = place / "kafka" / "libs" / "kafka_2.13-4.3.0.jar"
    jar.parent.mkdir(parents=True)
    jar.touch()
    failed = call("start", "--port", str(free_port()), KAFKA_HOME=str(place / "kafka"))
    assert failed.returncode == 1
    assert "kafka.tools.StorageTool" in failed.stderr
    assert failed.stderr.count("\n") == 1
    assert [file.name for file in place.iterdir()] == ["kafka"]


@pytest.mark.broker
def test_a_broker_that_ends_by_itself_is_one_line(call: Call, place: Path) -> None:
    """A Kafka that refuses its storage is noticed at once, and its last word is passed on."""
    data = place / "freshet-broker" / "data"
    data.mkdir(parents=True)
    (data / "meta.properties").write_text("version=1\ncluster.id=x\nnode.id=77\n")
    failed = call("start", "--port", str(free_port()))
    assert failed.returncode == 1
    assert "77" in failed.stderr
    assert failed.stderr.count("\n") == 1
    assert call("status").returncode == 1


def test_a_recycled_process_id_is_never_killed(call: Call, place: Path) -> None:
    """A process that only has the remembered id is not taken for the broker, and `stop` leaves it alone."""
    directory = place / "freshet-broker"
    directory.mkdir()
    with subprocess.Popen(["sleep", "600"]) as stranger:
        broker = Broker("kafka", "the jars", "127.0.0.1:9", "4.3.0", stranger.pid)
        record = {"broker": vars(broker), "mark": f"-Dfreshet.directory={directory}"}
        (directory / "broker.json").write_text(json.dumps(record))
        assert call("status").returncode == 1
        stopped = call("stop")
        assert (stopped.returncode, stopped.stdout) == (0, "no broker runs in freshet-broker\n")
        assert stranger.poll() is None
        assert not (directory / "broker.json").exists()
        stranger.kill()


@pytest.mark.broker
def test_no_broker_outlives_its_owner(wait_until: WaitUntil, process_state: ProcessState) -> None:
    """Whether the owner is killed or interrupted, its broker ends and its temporary directory goes."""
    command = [sys.executable, "-c", OWNER]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as killed,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as interrupted,
    ):
        left: list[tuple[int, Path]] = []
        for owner, how in ((killed, signal.SIGKILL), (interrupted, signal.SIGINT)):
            assert owner.stdout
            pid, directory = owner.stdout.readline().split()
            left.append((int(pid), Path(directory)))
            assert process_state(int(pid))
            assert (Path(directory) / "server.properties").exists()
            owner.send_signal(how)
        wait_until(lambda: not any(process_state(pid) for pid, _ in left), "the brokers' end")
        wait_until(lambda: not any(directory.exists() for _, directory in left), "the directories' end")


def test_an_owned_broker_comes_back_with_its_data(start_broker: Callable[[], OwnedBroker]) -> None:
    """Stopped or killed, it answers again at its address and knows its topics."""
    owned = start_broker()
    create_topic(owned.bootstrap_servers, "kept")
    owned.stop()
    assert kafka_version(owned.bootstrap_servers, 0.2) is None
    owned.start()
    owned.kill()
    assert kafka_version(owned.bootstrap_servers, 0.2) is None
    owned.start()
    assert "kept" in topics(owned.bootstrap_servers)


def test_a_configured_broker_is_used_as_it_is(broker: Broker) -> None:
    """Nothing is started where a broker is configured: it is asked for its version."""
    with running_broker(Settings(bootstrap_servers=broker.bootstrap_servers)) as configured:
        assert configured.kind == "configured"
        assert configured.pid is None
        assert broker.version.startswith(configured.version)


def test_a_configured_broker_that_is_silent_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A configured address where no Kafka answers is an error that names the address."""
    monkeypatch.setattr("streams.broker.owned._CONFIGURED_SECONDS", 0.3)
    address = f"127.0.0.1:{free_port()}"
    silent = running_broker(Settings(bootstrap_servers=address))
    with pytest.raises(FreshetError, match=f"no Kafka answers at bootstrap_servers = '{address}'"), silent:
        pass


def test_a_misspelt_topic_is_not_created(broker: Broker) -> None:
    """The development broker creates no topic because somebody asks for it."""
    if broker.kind == "configured":
        pytest.skip("a configured broker decides for itself")
    with KafkaAdminClient(bootstrap_servers=broker.bootstrap_servers) as admin:
        assert admin.describe_topics(["clikcs"])[0]["error_code"] == 3
        assert "clikcs" not in admin.list_topics()
