"""What is looked at in the cluster: its brokers, their version, transactions, topics."""

from typing import TYPE_CHECKING, Any

from streams.connection import listens
from streams.doctor.check import Check
from streams.settings import Settings
from streams.topics import TopicReport

if TYPE_CHECKING:
    from kafka.admin import KafkaAdminClient

# From here on a producer that is fenced is told so, and one whose transaction failed can go on (KIP-360).
OLDEST_VERSION = (2, 5)
TRANSACTIONS_TOPIC = "__transaction_state"


def live_brokers(client: "KafkaAdminClient") -> list[dict[str, Any]]:
    """Return the brokers that are not fenced: broker_id, host, port."""
    return [broker for broker in client.describe_cluster()["brokers"] if not broker.get("is_fenced")]


def check_broker(settings: Settings, client: "KafkaAdminClient") -> Check:
    """See whether every broker can be reached by the name that it tells its clients."""
    from kafka.errors import KafkaConnectionError, KafkaTimeoutError

    advice = "set the brokers' advertised.listeners to names that lead to them from here"
    try:
        brokers = live_brokers(client)
    except (KafkaConnectionError, KafkaTimeoutError) as error:
        # The first address has answered already; what fails is the one that it named.
        found = f"{settings.bootstrap_servers} answers, but not where it sends its clients: {error}"
        return Check("broker", ok=False, found=found, advice=advice)
    if not brokers:
        found = f"{settings.bootstrap_servers} answers, but no broker is alive"
        return Check("broker", ok=False, found=found, advice="look at the brokers' logs")
    mute = [broker for broker in brokers if not listens(broker["host"], broker["port"])]
    if mute:
        names = ", ".join(f"{broker['host']}:{broker['port']}" for broker in mute)
        found = f"{settings.bootstrap_servers} answers, but sends its clients to {names}, where nobody does"
        return Check("broker", ok=False, found=found, advice=advice)
    count = f"{len(brokers)} broker{'s' if len(brokers) > 1 else ''}"
    return Check("broker", ok=True, found=f"{count} at {settings.bootstrap_servers}")


def check_version(client: "KafkaAdminClient") -> Check:
    """See whether the oldest broker is new enough, as far as the requests that it knows tell."""
    versions = [
        tuple(client.get_broker_version_data(broker["broker_id"]).broker_version)
        for broker in live_brokers(client)
    ]
    oldest = min(versions)
    needed = ".".join(map(str, OLDEST_VERSION))
    found = f"Kafka {'.'.join(map(str, oldest))}, by the requests that it understands"
    if oldest < OLDEST_VERSION:
        advice = f"upgrade to {needed} or newer: older ones do not fence a worker that was thought dead"
        return Check("version", ok=False, found=found, advice=advice)
    return Check("version", ok=True, found=f"{found}; {needed} or newer is needed")


def check_transactions(client: "KafkaAdminClient") -> Check:
    """See whether the cluster can keep transactions: the topic that it keeps them in, or would make."""
    from streams.partition import TRANSACTION_TIMEOUT_MS

    (topic,) = client.describe_topics([TRANSACTIONS_TOPIC])
    config = _broker_config(client)
    longest_ms = int(config.get("transaction.max.timeout.ms", TRANSACTION_TIMEOUT_MS))
    if longest_ms < TRANSACTION_TIMEOUT_MS:
        return Check(
            "transactions",
            ok=False,
            found=f"transaction.max.timeout.ms={longest_ms} of the brokers",
            advice=f"set it to {TRANSACTION_TIMEOUT_MS} or more",
        )
    return _kept(topic) if topic["partitions"] else _could_be_kept(config, len(live_brokers(client)))


def _kept(topic: dict[str, Any]) -> Check:
    partitions = topic["partitions"]
    without = sum(1 for partition in partitions if partition["leader_id"] < 0)
    lagging = sum(
        1 for partition in partitions if len(partition["isr_nodes"]) < len(partition["replica_nodes"])
    )
    found = f"{TRANSACTIONS_TOPIC} has {len(partitions)} partitions"
    if without:
        found, advice = f"{found}, {without} of them without a leader", "bring the missing brokers back"
        return Check("transactions", ok=False, found=found, advice=advice)
    if lagging:
        found, advice = f"{found}, {lagging} of them lack a replica", "look at the brokers that are behind"
        return Check("transactions", ok=True, found=found, advice=advice)
    replicas = len(partitions[0]["replica_nodes"])
    return Check("transactions", ok=True, found=f"{found} with {replicas} of {replicas} replicas in sync")


def _could_be_kept(config: dict[str, str], brokers: int) -> Check:
    replicas = int(config.get("transaction.state.log.replication.factor", brokers))
    in_sync = int(config.get("transaction.state.log.min.isr", brokers))
    found = f"none yet; {replicas} replicas, {in_sync} in sync, would be kept by {brokers} live brokers"
    if max(replicas, in_sync) > brokers:
        return Check(
            "transactions",
            ok=False,
            found=found,
            advice=f"start more brokers, or set transaction.state.log.replication.factor and "
            f"transaction.state.log.min.isr to {brokers} at most",
        )
    return Check("transactions", ok=True, found=found)


def _broker_config(client: "KafkaAdminClient") -> dict[str, str]:
    """Return the configuration of one broker; all of a cluster should have the same."""
    from kafka.admin import ConfigResource, ConfigResourceType

    number = str(live_brokers(client)[0]["broker_id"])
    asked = [ConfigResource(ConfigResourceType.BROKER, number)]
    answer: dict[str, Any] = client.describe_configs(asked, config_filter="all")["broker"][number]
    return {name: entry["value"] for name, entry in answer.items()}


def check_topics_exist(reports: list[TopicReport]) -> Check:
    """See whether all topics exist and would work; how the sources compare is another check."""
    wrong = [
        report for report in reports if not report.ok and not (report.exists and report.role == "source")
    ]
    if not wrong:
        hints = "; ".join(report.advice for report in reports if report.ok and report.advice)
        return Check("topics", ok=True, found=f"all {len(reports)} exist and fit", advice=hints or None)
    missing = [report.name for report in wrong if not report.exists]
    others = [report for report in wrong if report.exists]
    found = [f"{', '.join(missing)} missing"] if missing else []
    found += [f"{report.name} would not work" for report in others]
    advice = ["create what is missing with `freshet topics create`"] if missing else []
    advice += [str(report.advice) for report in others]
    return Check("topics", ok=False, found="; ".join(found), advice="; ".join(advice))


def check_partitions(reports: list[TopicReport]) -> Check:
    """See whether all sources that exist have the same number of partitions."""
    sources = [report for report in reports if report.role == "source" and report.exists]
    found = ", ".join(f"{source.name} {source.partitions}" for source in sources)
    wrong = [source.advice for source in sources if not source.ok]
    return Check("partitions", not wrong, found or "no source exists", wrong[0] if wrong else None)
