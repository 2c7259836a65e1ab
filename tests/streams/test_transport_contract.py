"""The internals of Faust, mode and aiokafka that the chunk transport leans on."""

import inspect
from importlib.metadata import version

import mode
from aiokafka import AIOKafkaConsumer, conn
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import Fetcher, OffsetResetStrategy
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import TopicPartitionState
from faust.tables import TableManager
from faust.transport.consumer import Consumer, ThreadDelegateConsumer
from faust.transport.drivers import aiokafka as driver

from streams import mended_client, transport
from streams.fetching import BoundedResult


def source(of: object) -> str:
    """Return the source text of a function."""
    return inspect.getsource(of)  # type: ignore[arg-type]


def test_the_versions_are_those_that_were_measured() -> None:
    """Faust, mode and aiokafka are exactly the versions whose internals were read and tormented."""
    assert version("faust-streaming") == "0.15.3"
    assert version("mode-streaming") == "0.7.1"
    assert version("aiokafka") == "0.14.0"


def test_every_overridden_method_exists_in_faust() -> None:
    """What the transport overrides is there to be overridden: nothing of it is silently never called."""
    for name in (
        "_new_consumer_thread",
        "_filter_tps_with_pending_acks",
        "_new_offset",
        "on_partitions_revoked",
        "on_partitions_assigned",
        "perform_seek",
        "_drain_messages",
        "verify_event_path",
    ):
        assert name in vars(transport.ChunkConsumer)
        assert hasattr(driver.Consumer, name)
    assert hasattr(driver.AIOKafkaConsumerThread, "_create_worker_consumer")


def test_a_commit_asks_the_two_methods_that_make_commits_explicit() -> None:
    """Faust's commit takes its partitions and offsets from the two methods that the transport overrides."""
    assert "_filter_tps_with_pending_acks(" in source(Consumer.force_commit)
    assert "self._new_offset(tp)" in source(Consumer._filter_committable_offsets)
    assert "offset > committed" in source(Consumer._should_commit)


def test_the_transport_takes_its_consumer_from_a_class_attribute() -> None:
    """`install` has an effect: the driver creates whatever class stands in Transport.Consumer."""
    assert "self.Consumer(" in source(driver.Transport.create_consumer)


def test_the_fetch_wait_and_isolation_are_read_when_the_consumer_starts() -> None:
    """Setting them after the construction of aiokafka's consumer, before its start, has an effect."""
    start = source(AIOKafkaConsumer.start)
    assert "self._fetch_max_wait_ms" in start
    assert "self._isolation_level" in start
    assert "auto_offset_reset=self._auto_offset_reset" in start


def test_a_position_outside_of_the_log_raises_what_tells_it() -> None:
    """Without a strategy the fetcher moves no position by itself: it raises, with the position."""
    assert OffsetResetStrategy.from_str("none") == OffsetResetStrategy.NONE
    assert "Errors.OffsetOutOfRangeError({tp: fetch_offset})" in source(Fetcher)
    assert "earliest_offsets" in vars(driver.AIOKafkaConsumerThread)


async def test_positions_and_stable_offsets_are_kept_where_lag_reads_them() -> None:
    """A partition's state in aiokafka has the position and the last stable offset that `lag` compares."""
    state = TopicPartitionState(assignment=None)
    assert state.lso is None
    assert state.timestamp is None
    assert not state.has_valid_position
    state.seek(7)
    assert state.position == 7


def test_a_signal_schedules_the_shutdown_where_the_worker_sets_its_deadline() -> None:
    """SIGTERM and SIGINT both go through the method that the worker overrides, once."""
    assert "_schedule_shutdown(" in source(mode.Worker._on_sigterm)
    assert "_schedule_shutdown(" in source(mode.Worker._on_sigint)
    assert "_signal_stop_time" in source(mode.Worker._schedule_shutdown)


def test_a_worker_waits_where_it_is_overridden_not_to() -> None:
    """Faust sleeps before it starts no tables, mode before it closes the loop; nothing else happens there."""
    _, _, starting = source(TableManager.on_start).split('"""')
    assert [line.strip() for line in starting.strip().splitlines()] == [
        "await self.sleep(1.0)",
        "if not self.should_stop:",
        "await self._update_channels()",
        "await self.recovery.start()",
    ]
    assert "self._tables_registered.set()" in source(TableManager._update_channels)
    assert "self._sentinel_task()" in source(mode.Worker._shutdown_loop)
    assert source(mode.Worker._sentinel_task).split()[-2:] == ["await", "asyncio.sleep(1.0)"]


def test_calls_into_the_consumer_thread_have_the_expected_shape() -> None:
    """Fetching and seeking go through the thread with the arguments that the transport gives."""
    assert list(inspect.signature(driver.AIOKafkaConsumerThread.getmany).parameters) == [
        "self",
        "active_partitions",
        "timeout",
    ]
    assert "partitions" in inspect.signature(ThreadDelegateConsumer.seek_wait).parameters
    assert "seek_to_beginning" in vars(driver.AIOKafkaConsumerThread)
    assert "_ensure_consumer" in vars(driver.AIOKafkaConsumerThread)


def test_what_was_fetched_is_handed_out_by_a_class_that_can_be_replaced() -> None:
    """The fetcher makes and knows results by a name of its module, and takes what they give from `getall`."""
    assert "FetchResult(" in source(Fetcher._proc_fetch_request)
    hand_out = source(Fetcher.fetched_records)
    assert "type(res_or_error) is FetchResult" in hand_out
    assert "res_or_error.getall(max_records)" in hand_out
    assert "max_records -= len(drained[tp])" in hand_out
    assert issubclass(BoundedResult, fetcher.FetchResult)


def test_connections_and_coordinators_are_made_by_classes_that_can_be_replaced() -> None:
    """Both are known by a name of their module, and ask the methods that are overridden."""
    assert "AIOKafkaConnection(" in source(conn.create_conn)
    assert "create_conn(" in source(AIOKafkaClient._get_conn)
    assert "GroupCoordinator(" in source(AIOKafkaConsumer.start)
    assert "await self._do_heartbeat()" in source(GroupCoordinator._heartbeat_routine)
    assert "await self._on_join_complete(" in source(GroupCoordinator._do_rejoin_group)
    assert set(vars(mended_client.Coordinator)) >= {"_do_heartbeat", "_on_join_complete"}


def test_what_a_connection_raises_does_not_end_the_task_that_keeps_the_metadata() -> None:
    """Errors of Kafka are what that task expects of a connection: the mended one raises nothing else."""
    assert "except (KafkaError, asyncio.TimeoutError)" in source(AIOKafkaClient._metadata_update)
