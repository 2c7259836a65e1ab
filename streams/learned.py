"""All that a recommender has learned, as arrays and facts: what a checkpoint holds, and its digests."""

from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.checkpoint import Arrays, Facts
from models.columns import CONTEXT, FEATURES, ROOTS, Feature, features_of
from streams.errors import ConfigurationError
from streams.recommender import Recommender

NAMES_OF_ROOTS = [Feature(feature.name) for feature in FEATURES[:ROOTS]]
Parts = dict[str, Callable[[], Mapping[str, NDArray[Any]]]]


def snapshot(recommender: Recommender) -> tuple[Arrays, Facts]:
    """Return a copy of everything that was learned, and what it covers. Call it in the model's thread."""
    parts: Parts = {
        "catalog": recommender.catalog.snapshot,
        "counts": recommender.counts.snapshot,
        "ranker": recommender.ranker.snapshot,
        "learner": recommender.learner.snapshot,
        "assortment": recommender.assortment.snapshot,
    }
    arrays = {f"{part}.{name}": array for part, take in parts.items() for name, array in take().items()}
    arrays["durable_ids"] = np.frombuffer(recommender.durable_ids.snapshot(), np.uint8)
    facts = {
        "group": recommender.settings.group,
        "columns": [feature.name for feature in recommender.ranker.features],
        "learner_columns": [feature.name for feature in recommender.learner.features],
        "context": list(CONTEXT),
        "events": recommender.events,
        "skipped": recommender.skipped,
        "model_version": recommender.model_version,
        "marks": [[topic, partition, at] for (topic, partition), at in recommender.marks.items()],
        "unconfirmed": recommender.teaching.unconfirmed.facts(),
        "examples_positions": [[number, at] for number, at in recommender.examples_positions.items()],
        "stream_time_ms": [[number, time_ms] for number, time_ms in recommender.stream_time_ms.items()],
    }
    return arrays, facts


def restore(recommender: Recommender, arrays: Arrays, facts: Facts) -> None:
    """Make a fresh recommender what the snapshot was of.

    Raises ConfigurationError for what another group or another model has learned.
    """
    if facts["group"] != recommender.settings.group:
        raise ConfigurationError(
            f"the checkpoint is of group {facts['group']!r}, this worker of {recommender.settings.group!r}; "
            "its marks mean other records: `freshet reset`, or choose another data_directory"
        )
    columns = [Feature(name) for name in facts["columns"]]
    if facts.get("context") != list(CONTEXT) or columns[:ROOTS] != NAMES_OF_ROOTS:
        raise ConfigurationError(
            "the checkpoint was learned by another model than this version's; start anew with `freshet reset`"
        )
    part, ranker, learner = _parts(arrays), recommender.ranker, recommender.learner
    recommender.catalog.restore(part["catalog"])
    recommender.counts.restore(part["counts"])
    recommender.assortment.restore(part.get("assortment", {}))
    ranker.use_columns(columns)
    learner.use_all_columns([Feature(name) for name in facts["learner_columns"]])
    ranker.restore(part["ranker"])
    learner.restore(part["learner"])
    ranker.use_columns(features_of(recommender.assortment.content is not None))
    learner.use_columns(ranker.features)
    recommender.durable_ids.restore(arrays["durable_ids"].tobytes())
    recommender.teaching.events = facts["events"]
    recommender.teaching.skipped = facts.get("skipped", 0)  # which was not kept at first
    recommender.teaching.marks = {(topic, partition): at for topic, partition, at in facts["marks"]}
    recommender.teaching.unconfirmed.restore(facts["unconfirmed"])
    recommender.examples_positions = dict(facts["examples_positions"])
    recommender.stream_time_ms = dict(facts["stream_time_ms"])


def digests(recommender: Recommender) -> dict[str, str]:
    """Return digests of the counters (how often each item occurred) and of the ranker's weights.

    The counters' is the same for any two workers that counted the same events, in whatever order.
    """
    keys = recommender.catalog.keys
    occurrences = recommender.counts.occurrences()
    seen = np.flatnonzero(occurrences)
    order = seen[np.argsort(keys[seen])]
    counters = keys[order].astype("<u8").tobytes() + occurrences[order].astype("<i8").tobytes()
    weights = recommender.ranker.weights.astype("<f8").tobytes()
    mixer = recommender.learner.weights().astype("<f4").tobytes()
    return {"counters": _digest(counters), "weights": _digest(weights + mixer)}


def _digest(data: bytes) -> str:
    return blake2b(data, digest_size=16).hexdigest()


def _parts(arrays: Arrays) -> dict[str, Arrays]:
    parts: dict[str, Arrays] = {}
    for name, array in arrays.items():
        part, dot, rest = name.partition(".")
        if dot:
            parts.setdefault(part, {})[rest] = array
    return parts
