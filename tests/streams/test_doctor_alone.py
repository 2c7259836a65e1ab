"""What the doctor says of a machine, a data directory and a cluster, each alone."""

import importlib.metadata
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from streams.doctor import cluster, directory, machine
from streams.identity import ADDRESS_FILE, claim
from streams.settings import Settings


@pytest.fixture(autouse=True)
def roomy_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test depend on how much this machine has left."""
    monkeypatch.setattr(directory, "NEEDED_DISK_BYTES", 0)


def test_a_worker_that_does_not_answer_is_told(tmp_path: Path) -> None:
    """A process that lives but does not answer at its address is stuck."""
    address = {"host": "127.0.0.1", "port": 1, "pid": os.getpid()}
    (tmp_path / ADDRESS_FILE).write_text(json.dumps(address), encoding="utf-8")
    check = directory.check_worker(Settings(data_directory=str(tmp_path)))
    assert not check.ok
    assert f"process {os.getpid()} runs, but does not answer" in check.found


def test_a_data_directory_is_ours_or_could_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One to be made, an empty one and our own are fine; another group's, and a file in the way are not."""
    own, file = Settings(group="ours", data_directory=str(tmp_path / "a" / "b")), tmp_path / "file"
    assert "to be made by the first worker" in directory.check_disk(own).found
    assert not (tmp_path / "a").exists()
    with claim(Path(own.data_directory), "ours") as identity:
        assert f"worker {identity.worker_id} of group 'ours'" in directory.check_disk(own).found
    other = directory.check_disk(msgspec.structs.replace(own, group="theirs"))
    assert not other.ok
    assert "belongs to group 'ours'" in other.found
    assert "choose another data_directory" in str(other.advice)
    file.touch()
    for path in (file, file / "below"):
        check = directory.check_disk(Settings(data_directory=str(path)))
        assert not check.ok, check
        assert "choose another" in str(check.advice)
    monkeypatch.setattr(directory, "NEEDED_DISK_BYTES", 1 << 60)
    full = directory.check_disk(own)
    assert not full.ok
    assert "make room" in str(full.advice)


def test_libraries_that_are_not_the_pinned_ones_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another version and a missing library are told with the command that mends it."""
    real = importlib.metadata.version
    fakes = {"aiokafka": "0.12.0"}
    monkeypatch.setattr(machine, "version", lambda name: fakes.get(name) or real(name))
    check = machine.check_libraries()
    assert not check.ok
    assert check.found.startswith("aiokafka 0.12.0: ")
    assert str(check.advice).startswith("pip install aiokafka==")


def test_memory_is_what_the_machine_has_within_the_containers_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The smaller of both counts; caches are given back; a system that does not tell is no fault."""
    group = tmp_path / "sys/fs/cgroup"
    group.mkdir(parents=True)
    assert machine.available_memory_bytes(tmp_path) is None
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal: 9000 kB\nMemAvailable: 1000 kB\n", encoding="utf-8")
    assert machine.available_memory_bytes(tmp_path) == 1_024_000
    for name, text in {"max": "500000", "current": "450000", "stat": "anon 1\ninactive_file 50000"}.items():
        (group / f"memory.{name}").write_text(text, encoding="utf-8")
    assert machine.available_memory_bytes(tmp_path) == 100_000
    (group / "memory.max").write_text("max\n", encoding="utf-8")
    assert machine.available_memory_bytes(tmp_path) == 1_024_000
    monkeypatch.setattr(machine, "NEEDED_MEMORY_BYTES", 1 << 60)
    monkeypatch.setattr(machine, "available_memory_bytes", lambda: 1 << 29)
    check = machine.check_memory()
    assert (check.ok, check.found) == (False, "0.5 GiB available")


def test_a_gpu_is_needed_only_where_the_settings_demand_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one the CPU learns; where device is cuda that is a fault, and no worker starts."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    check = machine.check_gpu(Settings(device="auto"))
    assert check.ok
    assert check.found.endswith("; the CPU learns")
    check = machine.check_gpu(Settings(device="cuda"))
    assert not check.ok
    assert check.found.endswith('; device = "cuda" is refused')
    assert "set device to auto" in str(check.advice)


class FakeAdmin:
    """A cluster as kafka-python's admin client tells of it."""

    def __init__(self, brokers: int, version: tuple[int, ...] = (4, 0), **config: str) -> None:
        self.brokers = [{"broker_id": n, "host": f"b{n}", "port": 9092} for n in range(brokers)]
        self.version = version
        self.config = {name.replace("_", "."): {"value": value} for name, value in config.items()}
        self.partitions: list[dict[str, Any]] = []

    def describe_cluster(self) -> dict[str, Any]:
        """Tell of the brokers, one of which is fenced."""
        return {"brokers": [*self.brokers, {"broker_id": 99, "host": "b", "port": 1, "is_fenced": True}]}

    def get_broker_version_data(self, broker_id: int) -> SimpleNamespace:
        """Tell a broker's version: that of the last one is older."""
        return SimpleNamespace(broker_version=self.version if broker_id == len(self.brokers) - 1 else (4, 3))

    def describe_topics(self, names: list[str]) -> list[dict[str, Any]]:
        """Tell of the topic of the transactions."""
        return [{"name": name, "partitions": self.partitions} for name in names]

    def describe_configs(self, _: object, config_filter: str) -> dict[str, Any]:
        """Tell the configuration of the first broker."""
        assert config_filter == "all"
        return {"broker": {"0": self.config}}


@pytest.mark.parametrize(
    ("version", "ok"), [((2, 4), False), ((0, 10, 2), False), ((2, 5), True), ((3, 9), True)]
)
def test_the_oldest_broker_decides(version: tuple[int, ...], ok: bool) -> None:
    """One broker that is too old is too many."""
    check = cluster.check_version(FakeAdmin(3, version))
    assert check.ok == ok
    assert ".".join(map(str, version)) in check.found


@pytest.mark.parametrize(
    ("brokers", "replicas", "in_sync", "longest_ms", "ok"),
    [
        (1, "3", "2", "900000", False),
        (3, "3", "2", "900000", True),
        (1, "1", "1", "900000", True),
        (1, "1", "1", "900", False),
    ],
)
def test_transactions_need_as_many_brokers_as_replicas(
    brokers: int, replicas: str, in_sync: str, longest_ms: str, ok: bool
) -> None:
    """Before the first transaction the brokers' configuration decides whether there can be one."""
    admin = FakeAdmin(
        brokers,
        transaction_state_log_replication_factor=replicas,
        transaction_state_log_min_isr=in_sync,
        transaction_max_timeout_ms=longest_ms,
    )
    check = cluster.check_transactions(admin)
    assert check.ok == ok
    assert ok or check.advice


def test_transactions_need_leaders() -> None:
    """Once there were transactions, their topic decides: without a leader no, with too few replicas still."""
    admin = FakeAdmin(1)
    admin.partitions = [{"leader_id": 0, "isr_nodes": [0], "replica_nodes": [0]}] * 3
    assert cluster.check_transactions(admin).advice is None
    admin.partitions[2] = {"leader_id": 0, "isr_nodes": [0], "replica_nodes": [0, 1]}
    check = cluster.check_transactions(admin)
    assert check.ok
    assert "1 of them lack" in check.found
    admin.partitions[2] = {"leader_id": -1, "isr_nodes": [], "replica_nodes": [0, 1]}
    check = cluster.check_transactions(admin)
    assert not check.ok
    assert "1 of them without a leader" in check.found


def test_a_broker_that_sends_its_clients_nowhere_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address that answered is not the one that a broker gives to its clients: that one is knocked at."""
    monkeypatch.setattr(cluster, "listens", lambda host, _: host != "b1")
    check = cluster.check_broker(Settings(), FakeAdmin(3))
    assert not check.ok
    assert "b1:9092" in check.found
    assert "b0" not in check.found
    assert "advertised.listeners" in str(check.advice)
