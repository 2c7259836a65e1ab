"""The doctor: what it finds on a real Kafka and on this machine, and that it leaves everything as it was."""

import json
import re
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from streams.cli import main
from streams.connection import producer
from streams.doctor import CHECKS, Check, directory, examine, machine
from streams.settings import Settings, Source, SourceFields
from streams.topics import create_topics
from tests.streams.running import WorkerProcess

if TYPE_CHECKING:
    from kafka.admin import KafkaAdminClient

MakeSettings = Callable[..., Settings]
Send = Callable[..., None]
PARTITIONS = 4


def found(settings: Settings) -> dict[str, Check]:
    """Return what the doctor says, by the name of the check."""
    return {check.name: check for check in examine(settings)}


def wrong(checks: dict[str, Check]) -> set[str]:
    """Return the names of the checks that are not ok."""
    return {name for name, check in checks.items() if not check.ok}


@pytest.fixture(autouse=True)
def roomy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test depend on how much this machine has left."""
    monkeypatch.setattr(machine, "NEEDED_MEMORY_BYTES", 0)
    monkeypatch.setattr(directory, "NEEDED_DISK_BYTES", 0)
    monkeypatch.setattr("streams.connection._KNOCK_SECONDS", 0.2)


@pytest.fixture
def freshet(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Give a function that runs `freshet doctor`: exit code, stdout, stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["doctor", *(str(argument) for argument in arguments)])
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run


@pytest.fixture
def settings(settings_for: MakeSettings) -> Settings:
    """Give settings whose topics exist."""
    made = settings_for()
    create_topics(made)
    return made


@pytest.fixture
def send(settings: Settings) -> Iterator[Send]:
    """Give a function that sends a click of a user, or a purchase; key, message and place can be others."""
    clicks, purchases = settings.sources
    with producer(settings, linger_ms=0) as kafka:

        def send_(user_id: str, purchase: bool = False, **changes: Any) -> None:  # noqa: ANN401 - as it is sent
            message = {"user_id": user_id, "item_id": "i1"}
            record = {"key": user_id.encode(), "value": json.dumps(message).encode()} | changes
            kafka.send(purchases if purchase else clicks, **record).get(10)

        yield send_


def test_where_all_is_well_nothing_is_wrong_and_nothing_changes(
    settings: Settings, send: Send, admin: "KafkaAdminClient", read_topic: Callable[..., list[Any]]
) -> None:
    """Every check is ok, and topics and records are those that were there before."""
    for number in range(40):
        send(f"u{number}", purchase=number % 4 == 0)
    clicks, purchases = settings.sources
    topics = set(admin.list_topics())
    checks = found(settings)
    assert list(checks) == list(CHECKS)
    assert wrong(checks) == set(), checks
    assert set(admin.list_topics()) == topics
    assert len(read_topic(settings, clicks) + read_topic(settings, purchases)) == 40
    assert f"{clicks}: 30 of the newest 30 records keyed by the user id" in checks["keys"].found
    assert f"{clicks} by murmur2" in checks["partitioners"].found
    assert "by its producer's clock" in checks["clock"].found
    assert not Path(settings.data_directory).exists()


def test_a_sample_is_the_newest_of_every_partition(settings: Settings, send: Send) -> None:
    """Of many records only the last ones count: what was wrong before them is past."""
    for number in range(300):
        send(f"u{number}", key=b"wrong", partition=number % PARTITIONS)
    for number in range(200):
        send(f"u{number}", partition=number % PARTITIONS)
    clicks, _ = settings.sources
    check = found(settings)["keys"]
    assert (check.ok, check.found.partition(";")[0]) == (
        True,
        f"{clicks}: 200 of the newest 200 records keyed by the user id",
    )


def test_keys_that_are_not_the_users_id_are_told_with_an_example(settings: Settings, send: Send) -> None:
    """The topic, the share, what such a key looks like, and which field should be the key."""
    clicks, purchases = settings.sources
    for number in range(9):
        user_id = f"u{number}"
        send(user_id, key=json.dumps(user_id).encode())
        send(
            user_id, purchase=True, value=json.dumps({"customer": {"id": user_id}, "item_id": "i1"}).encode()
        )
    mapped = Source(action="purchase", fields=SourceFields(user_id="customer.id"))
    settings = msgspec.structs.replace(settings, sources={**settings.sources, purchases: mapped})
    checks = found(settings)
    assert wrong(checks) == {"keys"}
    check = checks["keys"]
    assert f"{clicks}: 0 of the newest 9 records" in check.found
    assert f"{purchases}: 9 of the newest 9 records" in check.found
    assert re.search(r"""\(key: expected the text of the user id '(u\d)', found '"\1"'\)""", check.found)
    assert f"{clicks} use the plain text of user_id" in str(check.advice)
    assert purchases not in str(check.advice)
    for number in range(9):
        send(f"u{number}", purchase=True, key=None, value=b'{"customer": {"id": 7}, "item_id": "i1"}')
    check = found(settings)["keys"]
    assert f"{purchases}: 9 of the newest 18 records" in check.found
    assert f"{purchases} use the plain text of customer.id" in str(check.advice)


def test_messages_that_the_settings_do_not_fit_are_told_by_reason(settings: Settings, send: Send) -> None:
    """A few broken records are what dead letters are for; many are a wrong mapping."""
    for number in range(199):
        send(f"u{number}")
    send("u1", value=b"{")
    assert found(settings)["messages"].ok
    for _ in range(10):
        send("u1", value=b'{"user_id": "u1", "product": "i1"}')
    check = found(settings)["messages"]
    assert not check.ok
    assert "10 refused by item_id, 1 refused by json" in check.found
    assert "item_id: expected a string" in check.found
    assert "map the fields" in str(check.advice)


def test_two_partitioners_are_told_apart_without_a_common_key(settings: Settings, send: Send) -> None:
    """What librdkafka would choose by default is not what Kafka's own producer chooses."""
    clicks, purchases = settings.sources
    for number in range(30):
        send(f"u{number}")
        partition = zlib.crc32(f"v{number}".encode()) % PARTITIONS
        send(f"v{number}", purchase=True, partition=partition)
    checks = found(settings)
    assert wrong(checks) == {"partitioners"}
    assert (
        f"{clicks} by murmur2 (Kafka's own), {purchases} by crc32 (librdkafka)"
        in checks["partitioners"].found
    )
    assert "murmur2_random" in str(checks["partitioners"].advice)


def test_a_key_in_two_partition_numbers_is_told(settings: Settings, send: Send) -> None:
    """One user whose purchases lie elsewhere than the clicks is enough, however few records there are."""
    clicks, purchases = settings.sources
    send("u1", partition=1)
    send("u1", partition=3, purchase=True)
    send("u2", partition=0)
    check = found(settings)["partitioners"]
    assert not check.ok
    assert check.found == f"key 'u1' is in partition 1 of {clicks}, partition 3 of {purchases}"


def test_records_from_the_future_mean_a_wrong_clock(settings: Settings, send: Send) -> None:
    """A record of an hour ahead of this machine's clock is told; one of last week is not."""
    now_ms = time.time_ns() // 1_000_000
    send("u1", timestamp_ms=now_ms - 7 * 86_400_000)
    assert found(settings)["clock"].ok
    send("u1", timestamp_ms=now_ms + 3_600_000)
    check = found(settings)["clock"]
    assert not check.ok
    assert "s ahead of this machine's by its producer's clock" in check.found
    assert "NTP" in str(check.advice)


def test_missing_topics_are_named_and_the_sources_there_are_are_looked_at(
    settings_for: MakeSettings, admin: "KafkaAdminClient"
) -> None:
    """Of two sources one is missing: it is named, and the other one is checked all the same."""
    settings = settings_for()
    clicks, purchases = settings.sources
    checks = found(settings)
    assert wrong(checks) == {"topics", "keys", "messages", "partitioners", "clock"}
    assert not checks["keys"].checked
    topic = {"num_partitions": 3, "replication_factor": 1}
    admin.create_topics({clicks: topic}, wait_for_metadata=True)
    checks = found(settings)
    assert wrong(checks) == {"topics"}
    assert purchases in checks["topics"].found
    assert clicks not in checks["topics"].found
    assert "freshet topics create" in str(checks["topics"].advice)
    assert checks["keys"].found == f"{clicks}: no records yet"


def test_sources_that_differ_and_topics_that_would_not_work_are_told(
    settings_for: MakeSettings, admin: "KafkaAdminClient", wait_until: Callable[..., None]
) -> None:
    """Each has its own check and its own advice, and partitioners are not compared."""
    settings = settings_for()
    for count, name in enumerate(settings.sources, 2):
        admin.create_topics(
            {name: {"num_partitions": count, "replication_factor": 1}}, wait_for_metadata=True
        )
    checks = found(settings)
    assert wrong(checks) == {"topics", "partitions", "partitioners"}
    assert "give them all 3" in str(checks["partitions"].advice)
    assert not any(name in checks["topics"].found for name in settings.sources)
    settings = settings_for()
    create_topics(settings)
    admin.delete_topics([settings.users_topic])
    wait_until(lambda: settings.users_topic not in admin.list_topics(), "the topic's end")
    topic = {"num_partitions": 1, "replication_factor": 1}
    admin.create_topics({settings.users_topic: topic}, wait_for_metadata=True)
    check = found(settings)["topics"]
    assert not check.ok
    assert f"{settings.users_topic} would not work" in check.found
    assert "set another group" in str(check.advice)


def test_without_a_broker_the_rest_is_looked_at(
    unshared_settings: MakeSettings,
    settings_file: Callable[[Settings], Path],
    freshet: Callable[..., tuple[int, str, str]],
) -> None:
    """The broker's check says what to do, what needs it is not ok and says why, the machine is checked."""
    config = settings_file(unshared_settings())
    code, out, err = freshet("--json", "--config", config)
    assert (code, err.count("\n")) == (1, 1)
    assert "not ok: broker (8 more could not be made)" in err
    checks = {check["name"]: check for check in json.loads(out)["checks"]}
    assert list(checks) == list(CHECKS)
    assert "freshet broker start" in checks["broker"]["advice"]
    unmade = {name for name, check in checks.items() if not check["checked"]}
    assert unmade == set(CHECKS[CHECKS.index("broker") + 1 :])
    assert not any(checks[name]["ok"] for name in unmade)
    assert all(checks[name]["ok"] for name in ("settings", "libraries", "memory", "disk", "worker"))
    code, out, err = freshet("--config", config)
    assert code == 1
    assert [line.split()[1] for line in out.splitlines()] == list(CHECKS)


def test_the_command_ends_with_0_where_all_is_well(
    settings: Settings,
    settings_file: Callable[[Settings], Path],
    freshet: Callable[..., tuple[int, str, str]],
) -> None:
    """Then nothing is on stderr, and every line begins with ok."""
    code, out, err = freshet("--config", settings_file(settings))
    assert (code, err) == (0, "")
    assert all(line.startswith("ok ") for line in out.splitlines())


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("goup=shop", "did you mean 'group'"),
        ("bootstrap_servers=nowhere:x", "expected HOST:PORT"),
        ("sources.clicks.fields.user_id=a..b", "a..b"),
    ],
)
def test_settings_that_cannot_be_followed_are_a_finding(
    said: str, advice: str, freshet: Callable[..., tuple[int, str, str]]
) -> None:
    """Where the settings are wrong this is said among the checks, with exit 1 as for any other finding."""
    code, out, err = freshet("--json", "--set", said)
    checks = {check["name"]: check for check in json.loads(out)["checks"]}
    assert (code, list(checks), err.count("\n")) == (1, list(CHECKS), 1)
    assert not checks["settings"]["ok"]
    assert advice in f"{checks['settings']['found']} {checks['settings']['advice']}"
    assert checks["libraries"]["ok"]


def test_a_worker_is_told_ready_and_told_killed(
    settings: Settings, start_worker: Callable[..., WorkerProcess]
) -> None:
    """A running worker answers; of one that was killed the address is still there, and nobody answers."""
    worker = start_worker(settings)
    worker.wait_ready()
    check = directory.check_worker(settings)
    assert check.ok
    assert check.found.startswith("ready, at 127.0.0.1:")
    assert "worker" in directory.check_disk(settings).found
    worker.kill()
    check = directory.check_worker(settings)
    assert not check.ok
    assert "was killed" in check.found
    assert "start it again" in str(check.advice)
