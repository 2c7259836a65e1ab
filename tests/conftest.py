"""What tests of every room may ask for: a real Apache Kafka, and settings that nobody else uses."""

import contextlib
import json
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from streams.broker import Broker, OwnedBroker, find_startable, running_broker
from streams.settings import DEFAULT_BOOTSTRAP_SERVERS, ENVIRONMENT_PREFIX, Settings, Source, Topics

if TYPE_CHECKING:
    from kafka.admin import KafkaAdminClient

# Tests run on the Kafka that the environment names, if it does. No other setting around here is for them.
BOOTSTRAP_SERVERS = os.environ.get("FRESHET_BOOTSTRAP_SERVERS", DEFAULT_BOOTSTRAP_SERVERS)
NEEDS_KAFKA = {"broker", "start_broker"}
# Where several processes share the tests: what takes longest begins first; the crash points, which alone keep
# two cores busy, run beside tests that mostly wait for brokers; what is not named here comes last.
ORDER = ("tests/crash/", "tests/streams/test_worker", "tests/crash_points/", "tests/streams/")


def pytest_configure(config: pytest.Config) -> None:
    """Let kafka-python read its own resources the way it does, and nothing of this shell reach a test.

    A shell that runs something in the background has it ignore Ctrl-C, and whatever that starts, too.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in [name for name in os.environ if name.startswith(ENVIRONMENT_PREFIX)]:
        del os.environ[name]
    os.environ["FRESHET_ENCODER"] = "ngrams"  # a language model takes seconds to load in every worker
    config.addinivalue_line("filterwarnings", "ignore:(read|open)_text is deprecated:DeprecationWarning")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:  # noqa: ANN401 - pytest-xdist's, where it is used
    """Tell each of several processes the Kafka that is named where they are started from."""
    node.workerinput["bootstrap_servers"] = BOOTSTRAP_SERVERS


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what needs a real Kafka, however indirectly (`pytest -m "not broker"` leaves it out); sort."""
    for item in items:
        if NEEDS_KAFKA & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.broker)
    if hasattr(config, "workerinput"):  # one of several processes
        items.sort(key=lambda item: _place(item.nodeid))


def _place(node_id: str) -> int:
    """Return the place of a test in ORDER."""
    return next((place for place, start in enumerate(ORDER) if node_id.startswith(start)), len(ORDER))


@pytest.fixture(scope="session")
def wait_until() -> Callable[[Callable[[], bool], str], None]:
    """Give a function that waits for a condition that must come, and fails by its name if it does not."""

    def wait(condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain for: {what}"
            time.sleep(0.02)

    return wait


@pytest.fixture(scope="session")
def process_state() -> Callable[[int], str]:
    """Give a function that tells a process's state: R runs, S sleeps, T is stopped, "" is no more."""

    def state(pid: int) -> str:
        stat = Path(f"/proc/{pid}/stat")
        if stat.exists():
            with contextlib.suppress(OSError):
                letter = stat.read_text().rpartition(")")[2].split()[0]
                return letter.replace("Z", "").replace("X", "")
        if Path("/proc/self").exists():
            return ""
        asked = subprocess.run(
            ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
        )
        return asked.stdout.strip()[:1].replace("Z", "")

    return state


@pytest.fixture(scope="session")
def broker(pytestconfig: pytest.Config) -> Iterator[Broker]:
    """Give the session's real Kafka, started for the first test that asks for it."""
    told = getattr(pytestconfig, "workerinput", {"bootstrap_servers": BOOTSTRAP_SERVERS})
    with running_broker(Settings(bootstrap_servers=told["bootstrap_servers"])) as running:
        yield running
        if running.kind == "kafka" and running.pid is not None:
            os.kill(running.pid, signal.SIGKILL)  # it would close hundreds of topics in order


@pytest.fixture(scope="session")
def admin(broker: Broker) -> Iterator["KafkaAdminClient"]:
    """Give an admin client of the session's Kafka."""
    from kafka.admin import KafkaAdminClient

    with KafkaAdminClient(bootstrap_servers=broker.bootstrap_servers) as client:
        yield client


@pytest.fixture
def start_broker(tmp_path: Path) -> Iterator[Callable[[], OwnedBroker]]:
    """Give a function that starts a Kafka of the test's own: stop(), kill(), start() again at its address."""
    brokers: list[OwnedBroker] = []

    def start() -> OwnedBroker:
        owned = OwnedBroker(find_startable(), tmp_path / f"broker-{len(brokers)}")
        brokers.append(owned)
        owned.start()
        return owned

    yield start
    for owned in brokers:
        owned.kill()
        owned.close()


@pytest.fixture
def unshared_settings(tmp_path: Path) -> Callable[..., Settings]:
    """Give a function that makes Settings whose group, topics and data directory are the test's own.

    Its arguments are Settings' own; topic names follow the group's: GROUP-clicks, GROUP-items and so on.
    """

    def settings(bootstrap_servers: str = "127.0.0.1:1", **changes: object) -> Settings:
        group = changes.pop("group", f"t{secrets.token_hex(5)}")
        written = Topics(
            recommendations=f"{group}-recommendations",
            items=f"{group}-items",
            dead_letters=f"{group}-dead-letters",
            erasures=f"{group}-erasures",
            erasure_receipts=f"{group}-erasure-receipts",
        )
        fresh = Settings(
            bootstrap_servers=bootstrap_servers,
            data_directory=str(tmp_path / f"data-{group}"),
            group=group,
            metrics_port=0,
            device="cpu",
            topics=written,
            sources={
                f"{group}-clicks": Source(action="click", weight=1.0),
                f"{group}-purchases": Source(action="purchase", weight=4.0),
            },
        )
        return msgspec.structs.replace(fresh, **changes)

    return settings


@pytest.fixture
def settings_for(broker: Broker, unshared_settings: Callable[..., Settings]) -> Callable[..., Settings]:
    """Give the same function for settings that name the session's Kafka."""

    def settings(**changes: object) -> Settings:
        return unshared_settings(broker.bootstrap_servers, **changes)

    return settings


@pytest.fixture
def settings_file(tmp_path: Path) -> Callable[[Settings], Path]:
    """Give a function that writes Settings as TOML for a command in a process of its own: `--config FILE`."""

    def write(settings: Settings) -> Path:
        file = tmp_path / f"freshet-{settings.group}-{secrets.token_hex(3)}.toml"
        tree = msgspec.to_builtins(settings)
        file.write_text(
            "".join(f"{name} = {_toml(value)}\n" for name, value in tree.items()), encoding="utf-8"
        )
        return file

    return write


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(name)} = {_toml(each)}" for name, each in value.items()) + " }"
    return json.dumps(value)
