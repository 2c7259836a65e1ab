"""What one small Kafka node is told: broker and controller in one process, on 127.0.0.1, sparing memory."""

from streams.broker.reach import LOCALHOST

NODE_ID = 1


def kraft_properties(
    port: int, controller_port: int, data_directory: str, listen_on: str = LOCALHOST
) -> dict[str, str]:
    """Return the node's server.properties. Clients reach it at 127.0.0.1:port, wherever it listens."""
    return {
        "process.roles": "broker,controller",
        "node.id": str(NODE_ID),
        "controller.quorum.voters": f"{NODE_ID}@{LOCALHOST}:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{listen_on}:{port},CONTROLLER://{LOCALHOST}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{LOCALHOST}:{port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": data_directory,
        # One node: internal topics cannot have more replicas; few partitions come up faster than 50.
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "share.coordinator.state.topic.num.partitions": "1",
        # A misspelt topic is an error, not a new topic.
        "auto.create.topics.enable": "false",
        # Nobody waits for further members that will not come.
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "1000",
        # A broker that was killed may register again only when its former self has expired: 9 s by default.
        "broker.session.timeout.ms": "4000",
        "broker.heartbeat.interval.ms": "1000",
        # Memory and disk: the cleaner's buffer is 128 MiB by default, each segment's index 10 MiB.
        "log.cleaner.dedupe.buffer.size": "8388608",
        "log.segment.bytes": "67108864",
        "log.index.size.max.bytes": "1048576",
        "offsets.topic.segment.bytes": "16777216",
        "transaction.state.log.segment.bytes": "16777216",
        "num.network.threads": "2",
        "num.io.threads": "4",
    }
