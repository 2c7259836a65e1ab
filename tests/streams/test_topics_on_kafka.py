"""Creating and verifying topics on a real Kafka, and the command that does it."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from streams.cli import main
from streams.errors import ConfigurationError, FreshetError
from streams.settings import Settings, Topics
from streams.topics import check_topics, create_topics, verify_topics

if TYPE_CHECKING:
    from kafka.admin import KafkaAdminClient

MakeSettings = Callable[..., Settings]


def make(admin: "KafkaAdminClient", name: str, partitions: int, **config: str) -> None:
    """Create a topic as somebody else would."""
    configs = {key.replace("_", "."): value for key, value in config.items()}
    topic = {"num_partitions": partitions, "replication_factor": 1, "configs": configs}
    admin.create_topics({name: topic}, wait_for_metadata=True)


def freshet(*arguments: str) -> int:
    """Call the command line and return its exit code."""
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return int(ended.value.code or 0)


def test_what_is_missing_is_created_as_planned(settings_for: MakeSettings) -> None:
    """After creating, everything exists without a fault; creating again changes nothing."""
    settings = settings_for()
    assert not any(report.exists for report in check_topics(settings))
    assert all(report.created and report.ok for report in create_topics(settings))
    again = create_topics(settings)
    assert not any(report.created for report in again)
    assert again == check_topics(settings)
    assert {report.role: report.partitions for report in again} == {
        "source": 4,
        "items": 4,
        "recommendations": 4,
        "dead letters": 4,
        "erasures": 4,
        "erasure receipts": 4,
        "users": 4,
        "examples": 4,
        "item ids": 1,
    }


def test_a_worker_learns_the_layout_and_creates_all_but_sources(
    settings_for: MakeSettings, admin: "KafkaAdminClient"
) -> None:
    """The layout has the sources' partitions and every topic's identity, which a new one does not share."""
    settings = settings_for()
    clicks, purchases = settings.sources
    with pytest.raises(ConfigurationError, match=f"{clicks}.*freshet topics create"):
        verify_topics(settings)
    make(admin, clicks, 3)
    make(admin, purchases, 3)
    with pytest.raises(FreshetError, match="does not exist"):
        verify_topics(settings, create_missing_internal=False)
    layout = verify_topics(settings)
    assert layout.partitions == 3
    assert layout.message_bytes > 1 << 20
    assert len(set(layout.topic_ids.values())) == 10
    assert verify_topics(settings, create_missing_internal=False) == layout
    admin.delete_topics([settings.item_ids_topic])
    deadline = time.monotonic() + 20
    while settings.item_ids_topic in admin.list_topics() and time.monotonic() < deadline:
        time.sleep(0.05)
    renewed = verify_topics(settings)
    changed = {name for name, topic_id in renewed.topic_ids.items() if topic_id != layout.topic_ids[name]}
    assert changed == {settings.item_ids_topic}


def test_workers_that_start_together_agree(settings_for: MakeSettings, admin: "KafkaAdminClient") -> None:
    """Several workers that find nothing and create everything at the same moment see the same topics."""
    settings = settings_for()
    for name in settings.sources:
        make(admin, name, 2)
    with ThreadPoolExecutor(4) as together:
        layouts = list(together.map(lambda _: verify_topics(settings), range(4)))
    assert layouts == layouts[:1] * 4


def test_sources_that_differ_stop_everything(settings_for: MakeSettings, admin: "KafkaAdminClient") -> None:
    """With sources of different partition counts nothing is created, by nobody, and the error tells them."""
    settings = settings_for()
    clicks, purchases = settings.sources
    make(admin, clicks, 2)
    make(admin, purchases, 3)
    before = set(admin.list_topics())
    for attempt in (create_topics, verify_topics):
        with pytest.raises(ConfigurationError, match=f"{clicks} has 2, {purchases} has 3"):
            attempt(settings)
    assert set(admin.list_topics()) == before
    assert [report.name for report in check_topics(settings) if report.exists and not report.ok] == [clicks]


def test_an_internal_topic_that_would_not_work_stops_everything(
    settings_for: MakeSettings, admin: "KafkaAdminClient"
) -> None:
    """Wrong partitions and a wrong policy are both named, and nothing is created beside them."""
    settings = settings_for()
    make(admin, settings.users_topic, 2, cleanup_policy="delete")
    before = set(admin.list_topics())
    with pytest.raises(
        ConfigurationError, match=f"{settings.users_topic}.*2 partitions, 4 are needed.*1 more"
    ):
        create_topics(settings)
    assert set(admin.list_topics()) == before


def test_an_existing_topic_is_left_alone(settings_for: MakeSettings, admin: "KafkaAdminClient") -> None:
    """Topics of somebody else keep their partitions and settings, and the missing ones follow the sources."""
    settings = settings_for()
    clicks, purchases = settings.sources
    make(admin, clicks, 5, cleanup_policy="compact,delete", max_message_bytes="5000000")
    make(admin, settings.topics.items, 2, cleanup_policy="delete")
    reports = {report.name: report for report in create_topics(settings)}
    assert reports[clicks].cleanup_policy == "compact,delete"
    assert not reports[clicks].created
    assert reports[purchases].partitions == 5
    assert (reports[settings.topics.items].partitions, reports[settings.topics.items].ok) == (2, True)
    assert "compact keeps it" in (reports[settings.topics.items].advice or "")
    assert verify_topics(settings).message_bytes > 5_000_000


def test_more_replicas_than_brokers_are_refused_before_anything_is_created(
    settings_for: MakeSettings, admin: "KafkaAdminClient"
) -> None:
    """The error names the setting, and no topic of the plan is left behind."""
    settings = settings_for()
    settings = msgspec.structs.replace(
        settings, topics=msgspec.structs.replace(settings.topics, replication_factor=3)
    )
    before = set(admin.list_topics())
    with pytest.raises(ConfigurationError, match=r"topics\.replication_factor"):
        create_topics(settings)
    assert set(admin.list_topics()) == before


def test_a_setting_that_kafka_refuses_is_its_error(settings_for: MakeSettings) -> None:
    """What only Kafka knows to be wrong is said in Kafka's words, with the topic's name."""
    settings = msgspec.structs.replace(settings_for(), topics=Topics(items=".."))
    with pytest.raises(FreshetError, match=r"'\.\.'"):
        create_topics(settings)


def test_the_command_creates_and_checks(
    settings_for: MakeSettings, settings_file: Callable[[Settings], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """The last line of stdout is one JSON object; missing topics are exit 1, and once created exit 0."""
    settings = settings_for()
    config = ["--config", str(settings_file(settings)), "--json"]
    assert freshet("topics", "check", *config) == 1
    missing = capsys.readouterr()
    assert not any(topic["exists"] for topic in json.loads(missing.out)["topics"])
    assert missing.err.count("\n") == 1
    assert "freshet topics create" in missing.err
    assert freshet("topics", "create", *config) == 0
    created = json.loads(capsys.readouterr().out.splitlines()[-1])["topics"]
    assert {topic["name"] for topic in created} > set(settings.sources)
    assert freshet("topics", "check", *config) == 0
    assert freshet("topics", "check", *config[:-1]) == 0
    assert settings.users_topic in capsys.readouterr().out


def test_the_command_refuses_what_would_not_work(
    settings_for: MakeSettings,
    settings_file: Callable[[Settings], Path],
    admin: "KafkaAdminClient",
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A wrong topic is exit 2 and one line, from create as from check."""
    settings = settings_for()
    make(admin, settings.topics.dead_letters, 9)
    config = ["--config", str(settings_file(settings))]
    for command in ("create", "check"):
        assert freshet("topics", command, *config) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert "9 partitions" in error
