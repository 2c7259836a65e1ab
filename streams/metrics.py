"""Every Prometheus series that a worker exports: its name, its labels, its unit and its meaning."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from models.prequential import Prequential

SECONDS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10, 30, 60, 300)
STAGE_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
CHUNK_EVENTS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


class Metrics:
    """The series of one worker, in a registry of their own."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self._counted: dict[str, tuple[int, int, float]] = {}

        def counter(name: str, meaning: str, *labels: str) -> Counter:
            return Counter(f"freshet_{name}", meaning, labels, registry=registry)

        def gauge(name: str, meaning: str, *labels: str) -> Gauge:
            return Gauge(f"freshet_{name}", meaning, labels, registry=registry)

        def histogram(name: str, meaning: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(f"freshet_{name}", meaning, labels, registry=registry, buckets=buckets)

        self.events = counter("events", "Valid events applied.", "topic", "action")
        self.duplicates_skipped = counter(
            "duplicates_skipped", "Redelivered events that were recognised.", "topic"
        )
        self.late_events = counter("late_events", "Events put behind newer ones of their user.", "topic")
        self.duplicate_events = counter(
            "duplicate_events", "Events that came again in another record, known by their event_id.", "topic"
        )
        self.retractions = counter(
            "retractions",
            "Events taken back: removed, or unmatched.",
            "topic",
            "outcome",
        )
        self.erasures = counter("erasures", "Users forgotten.")
        self.erased_events = counter(
            "erased_events", "Records of erased users, older than their erasure: dropped.", "topic"
        )
        self.dead_letters = counter("dead_letters", "Records refused.", "topic", "reason")
        self.lists = counter("lists", "Lists acknowledged by the broker.")
        self.republished_lists = counter(
            "republished_lists", "Of these, lists of users who did nothing: an item in theirs was removed."
        )
        self.republishing_waiting = gauge(
            "republishing_waiting", "Published lists that have a removed item and are to be made again."
        )
        self.event_to_list_seconds = histogram(
            "event_to_list_seconds",
            "From the record timestamp of the newest event in a list to the list acknowledged.",
            SECONDS,
        )
        self.stage_seconds = histogram(
            "stage_seconds",
            "Seconds a chunk spends in decode, read, rank, publish, write, learn.",
            STAGE_SECONDS,
            "stage",
        )
        self.chunk_events = histogram("chunk_events", "Events worked on at once.", CHUNK_EVENTS)

        prequential = ("variant", "scorer")
        self.prequential_scored = counter(
            "prequential_scored", "Events scored before they were learned.", *prequential
        )
        self.prequential_hits = counter(
            "prequential_hits", "Of these, how often the item was among the first 10.", *prequential
        )
        self.prequential_ndcg_sum = counter(
            "prequential_ndcg_sum", "Sum of NDCG@10 over the scored events.", *prequential
        )
        self.interest_scored = counter(
            "interest_scored", "Of the scored, events at which the interest model was asked, too.", "variant"
        )
        self.interest_hits = counter(
            "interest_hits",
            "Of these, how often the item was among the first 10 by interest alone.",
            "variant",
        )
        self.interest_ndcg_sum = counter(
            "interest_ndcg_sum", "Sum of NDCG@10 of these by interest alone.", "variant"
        )
        self.interest_worth_nats = gauge(
            "interest_worth_nats",
            "How much less the mixer's log-loss is with the interest model, by the last trial; NaN before.",
        )
        self.interest_worth_nats.set(float("nan"))
        self.interest_resting = gauge(
            "interest_resting", "1 while the interest model is not asked, for it was worth nothing."
        )
        self.loss = gauge("loss", "Moving mean of the training loss, nats an event.", "part")

        self.skipped_learning = counter(
            "skipped_learning", "Events that a crash kept the ranker from learning; they were counted."
        )
        self.examples_counted = counter("examples_counted", "Events counted from the examples log.")
        self.examples_missed = counter(
            "examples_missed",
            "Records of the examples log that could not be read, and offsets that retention took before.",
        )
        self.items_refused = counter(
            "items_refused", "Records of the items topic that are no items.", "reason"
        )
        self.item_to_recommendable_seconds = histogram(
            "item_to_recommendable_seconds",
            "From the record timestamp of an item to the item being recommendable.",
            SECONDS[:-1],
        )
        self.text_waiting = gauge("text_waiting", "Distinct texts of items that have no vector yet.")
        self.texts_encoded = counter("texts_encoded", "Distinct texts that were encoded.")
        self.texts_known = counter("texts_known", "Distinct texts whose vectors were on disk.")
        self.text_seconds = histogram(
            "text_seconds", "From a text's arrival to its vector and its neighbours.", SECONDS
        )
        self.checkpoint_pause_seconds = histogram(
            "checkpoint_pause_seconds", "How long the stream stands still for a checkpoint.", STAGE_SECONDS
        )
        self.checkpoint_bytes = gauge("checkpoint_bytes", "Size of the newest checkpoint.")
        self.checkpoint_age_seconds = gauge(
            "checkpoint_age_seconds", "Since the newest checkpoint was written, or since the start."
        )
        self.lost_to_retention = counter(
            "lost_to_retention", "Records that the log dropped before they were applied."
        )
        self.consumer_lag_events = gauge(
            "consumer_lag_events", "Offsets between the log's end and what is durable.", "topic", "partition"
        )
        self.consumer_lag_seconds = gauge(
            "consumer_lag_seconds",
            "Age of the oldest record that is fetched and not durable yet; 0 if there is none.",
            "topic",
            "partition",
        )
        self.ready = gauge("ready", "1 while the worker answers 200 on /ready, else 0.")
        self.commit_age_seconds = gauge(
            "commit_age_seconds",
            "Age of the oldest event in hand that is not durable yet; 0 if there is none.",
        )
        self.model_version = gauge("model_version", "Steps that the ranker has learned.")
        self.users = gauge("users", "Users in the partitions of this worker.")
        self.items = gauge("items", "Items known.")
        self.state_bytes = gauge("state_bytes", "Bytes of the users' state on disk, about.")
        self.rebalances = counter("rebalances", "How often the partitions of this worker changed.")
        self.restore_seconds = histogram(
            "restore_seconds", "From a partition's fence to its users restored.", SECONDS
        )
        self.build_info = gauge("build_info", "1; what is running.", "version", "python", "torch", "device")

    def forget_lag(self, topics: Iterable[str], partition: int) -> None:
        """Export no lag any more of a partition that another worker owns."""
        for topic in topics:
            for series in (self.consumer_lag_events, self.consumer_lag_seconds):
                series.remove_by_labels({"topic": topic, "partition": str(partition)})

    def count_prequential(self, variant: str, sums: Mapping[str, Prequential], alone: Prequential) -> None:
        """Bring the prequential series up to the sums of every scorer, and of the interest model `alone`."""
        series = (self.prequential_scored, self.prequential_hits, self.prequential_ndcg_sum)
        for scorer, sum_ in sums.items():
            self._bring_up(scorer, [each.labels(variant, scorer) for each in series], sum_)
        of_interest = (self.interest_scored, self.interest_hits, self.interest_ndcg_sum)
        self._bring_up("interest", [each.labels(variant) for each in of_interest], alone)

    def _bring_up(self, whose: str, counters: Sequence[Counter], sum_: Prequential) -> None:
        """Bring counters of the scored, the hits and the NDCG@10 up to a sum."""
        now = (sum_.scored, sum_.hits, sum_.ndcg_sum)
        before = self._counted.get(whose, (0, 0, 0.0))
        for counter, new, old in zip(counters, now, before, strict=True):
            counter.inc(new - old)
        self._counted[whose] = now

    def identify(self, device: str) -> None:
        """Fill freshet_build_info."""
        python = ".".join(map(str, sys.version_info[:3]))
        self.build_info.labels(version("freshet"), python, version("torch"), device).set(1)

    def render(self) -> bytes:
        """Return the Prometheus text of every series."""
        return generate_latest(self.registry)
