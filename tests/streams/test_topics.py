"""Planning the topics, and finding what is wrong with those that exist."""

from streams.settings import Settings, Source, Topics
from streams.topics import plan_topics
from streams.topics.findings import find_faults
from streams.topics.planning import Topic

SETTINGS = Settings()
MEBIBYTE = 1 << 20


def topics_as_planned(settings: Settings = SETTINGS, **existing: Topic) -> dict[str, Topic]:
    """Return every topic as it would be created, but for those given."""
    plans = plan_topics(settings, existing)
    return {
        plan.name: Topic(plan.name, "id", plan.partitions, plan.replication_factor, plan.config)
        for plan in plans
    } | existing


def faults(existing: dict[str, Topic], settings: Settings = SETTINGS) -> list[tuple[str, bool]]:
    """Return which topics have a fault and whether it is fatal."""
    findings = find_faults(settings, plan_topics(settings, existing), existing)
    return [(finding.topic, finding.fatal) for finding in findings]


def source(name: str, partitions: int, message_bytes: int = MEBIBYTE) -> Topic:
    """Return a source topic that somebody else created."""
    config = {"cleanup.policy": "delete", "max.message.bytes": str(message_bytes)}
    return Topic(name, "id", partitions, 1, config)


def test_every_topic_is_planned_once() -> None:
    """The plan has each source, each topic that is written and each internal one, and no other."""
    settings = Settings(
        group="shop",
        topics=Topics(
            recommendations="lists",
            items="goods",
            dead_letters="bad",
            erasures="gone",
            erasure_receipts="done",
        ),
        sources={"a": Source(), "b": Source(), "c": Source()},
    )
    names = [plan.name for plan in plan_topics(settings, {})]
    internal = ["shop-users", "shop-examples", "shop-item-ids"]
    assert names == ["a", "b", "c", "goods", "lists", "bad", "gone", "done", *internal]


def test_without_sources_the_setting_says_how_many_partitions() -> None:
    """All get the configured number of partitions, but for the item ids, which every worker reads whole."""
    settings = Settings(topics=Topics(partitions=7))
    counts = {plan.role: plan.partitions for plan in plan_topics(settings, {})}
    assert counts.pop("item ids") == 1
    assert set(counts.values()) == {7}


def test_a_source_that_exists_decides_how_many_partitions() -> None:
    """What is created beside an existing source has its number of partitions, other sources included."""
    plans = plan_topics(SETTINGS, {"purchases": source("purchases", 12)})
    assert {plan.partitions for plan in plans if plan.role != "item ids"} == {12}


def test_what_is_kept_by_key_is_compacted_and_dead_letters_go_with_time() -> None:
    """State, lists, catalogue and ids are kept by their key; events and dead letters by their age."""
    policies = {plan.role: plan.config["cleanup.policy"] for plan in plan_topics(SETTINGS, {})}
    assert policies == {
        "source": "delete",
        "items": "compact",
        "recommendations": "compact",
        "dead letters": "delete",
        "erasures": "delete",
        "erasure receipts": "delete",
        "users": "compact",
        "examples": "delete",
        "item ids": "compact",
    }


def test_safety_is_as_configured() -> None:
    """Every topic that is created has the configured replicas, and as many of them in sync."""
    settings = Settings(topics=Topics(replication_factor=3, min_insync_replicas=2))
    for plan in plan_topics(settings, {}):
        assert plan.replication_factor == 3
        assert plan.config["min.insync.replicas"] == "2"


def test_a_dead_letter_holds_the_largest_record_of_any_source() -> None:
    """The refused bytes fit with their headers, however large the records that a source takes."""
    plans = plan_topics(SETTINGS, {"clicks": source("clicks", 4, 50 * MEBIBYTE)})
    sizes = {plan.role: int(plan.config["max.message.bytes"]) for plan in plans}
    assert sizes["dead letters"] > 50 * MEBIBYTE
    assert all(size > MEBIBYTE for size in sizes.values())


def test_topics_as_planned_have_no_fault() -> None:
    """What Freshet creates itself is what it wants, also beside sources of somebody else."""
    assert faults(topics_as_planned()) == []
    own = {"clicks": source("clicks", 6), "purchases": source("purchases", 6)}
    assert faults(topics_as_planned(**own)) == []


def test_sources_of_different_partition_counts_are_the_one_fault() -> None:
    """Nothing can be said of the other topics until the sources agree; the finding tells all their counts."""
    existing = topics_as_planned(clicks=source("clicks", 6), purchases=source("purchases", 4))
    (finding,) = find_faults(SETTINGS, plan_topics(SETTINGS, existing), existing)
    assert finding.fatal
    assert "clicks has 6, purchases has 4" in finding.text
    assert "give them all 6" in finding.text


def test_another_number_of_partitions_is_a_fault() -> None:
    """Only the catalogue may have any number of partitions: the rest is written partition by partition."""
    for plan in plan_topics(SETTINGS, {}):
        if plan.role == "source":
            continue
        wrong = Topic(plan.name, "id", plan.partitions + 1, 1, plan.config)
        expected = [] if plan.role == "items" else [(plan.name, True)]
        assert faults(topics_as_planned() | {plan.name: wrong}) == expected


def test_a_policy_that_would_lose_something_is_a_fault() -> None:
    """State that expires or dead letters that are compacted stop Freshet; on expiring lists it advises."""
    expected = {
        ("freshet-users", "delete"): [True],
        ("freshet-users", "compact,delete"): [True],
        ("freshet-item-ids", "delete"): [True],
        ("freshet-examples", "compact"): [True],
        ("dead-letters", "compact"): [True],
        ("dead-letters", "compact,delete"): [True],
        ("recommendations", "delete"): [False],
        ("recommendations", "compact,delete"): [],
        ("items", "delete"): [False],
        ("clicks", "compact"): [],
    }
    planned = topics_as_planned()
    for (name, policy), fatal in expected.items():
        config = planned[name].config | {"cleanup.policy": policy}
        changed = Topic(name, "id", planned[name].partitions, 1, config)
        assert [is_fatal for _, is_fatal in faults(planned | {name: changed})] == fatal, (name, policy)


def test_dead_letters_that_are_too_small_are_a_fault() -> None:
    """A source record that no dead letter could hold would block its partition for ever."""
    existing = topics_as_planned()
    grown = {"clicks": source("clicks", 4, 10 * MEBIBYTE)}
    assert faults(existing | grown) == [("dead-letters", True)]
