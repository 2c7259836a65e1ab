"""What decodes well and is large, or does not fit: no partition stands still for it, no worker dies of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.checkpoint import CheckpointFolder, encode_checkpoint
from state import MemoryStore
from state.overlay import Overlay
from streams.checkpointing import load_newest
from streams.errors import ConfigurationError
from streams.events import Interaction, ItemListed, Refused, decode_erasure, decode_list
from streams.fitting import LIST_BYTES
from streams.identity import CHECKPOINTS
from streams.learned import digests, snapshot
from streams.recommender import Recommender, Record
from streams.settings import Settings
from streams.transaction import Transaction
from tests.streams.fakes import START_MS, record, tools_for

LONG = Settings(device="cpu", list_length=1000)


def test_a_list_is_never_larger_than_a_topic_takes() -> None:
    """Of a thousand items with ids that need six bytes a character, the best are in the list."""
    recommender = Recommender(LONG)
    ids = [f"{number:03d}" + "\1" * 250 for number in range(1000)]
    for item_id in ids:
        recommender.assortment.enlist(ItemListed(item_id, title="\2" * 10_000))
    overlay = Overlay(MemoryStore())
    transaction = Transaction(0, {}, overlay, tools_for(LONG, recommender))
    lines = [Interaction("u", item_id, "click", START_MS) for item_id in ids]
    recommender.step([Record("clicks", 0, at, [line]) for at, line in enumerate(lines)], overlay)
    transaction.apply([record(1000, item_id=ids[0])])
    recommender.learn_item_ids(list(transaction.item_ids.items()))
    (rows,) = [
        rows for (topic, _), rows in transaction.close().rows.items() if topic == LONG.topics.recommendations
    ]
    ((_, value, _),) = rows
    assert value is not None
    assert LIST_BYTES / 4 < len(value) <= LIST_BYTES
    assert len(decode_list(value).items) > 150


def test_a_request_for_erasure_has_a_short_name() -> None:
    """What is handed back in a receipt has to fit into one."""
    assert decode_erasure(b"u", b'{"request_id": "%s"}' % (b"r" * 256)).request_id == "r" * 256
    with pytest.raises(Refused, match="request_id"):
        decode_erasure(b"u", b'{"request_id": "%s"}' % (b"r" * 257))


def learned() -> tuple[Mapping[str, np.ndarray], dict[str, Any]]:
    """Return what a recommender knows after some events, some of which wait for their step."""
    recommender = Recommender(Settings(device="cpu"))
    overlay = Overlay(MemoryStore())
    for at in range(40):
        line = Interaction(f"u{at % 3}", f"i{at % 7}", "click", START_MS + at)
        recommender.step([Record("clicks", 0, at, [line])], overlay)
    return snapshot(recommender)


ARRAYS, FACTS = learned()
odd_arrays = st.sampled_from(
    [
        *(
            np.zeros(shape, dtype)
            for shape in ((), 0, 3, (2, 2))
            for dtype in (np.uint8, np.int64, np.float32)
        ),
        *(np.array(values) for values in ([-1], [2**62], [np.nan], [True], [10**6] * 7)),
    ]
)
odd_facts = (
    st.none() | st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=3) | st.just({})
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_checkpoint_that_does_not_fit_is_refused_by_name(tmp_path: Path, data: st.DataObject) -> None:
    """A whole file whose arrays or facts are others than these is gone on from, or refused with its name."""
    arrays, facts = dict(ARRAYS), dict(FACTS)
    for name in data.draw(st.lists(st.sampled_from(sorted(arrays)), max_size=2, unique=True)):
        if data.draw(st.booleans()):
            del arrays[name]
        else:
            arrays[name] = data.draw(odd_arrays)
    for name in data.draw(st.lists(st.sampled_from(sorted(facts)), max_size=2, unique=True)):
        facts[name] = data.draw(odd_facts)
    folder = CheckpointFolder(tmp_path / CHECKPOINTS)
    file = folder.write(encode_checkpoint(arrays, facts))
    recommender = Recommender(Settings(device="cpu"))
    try:
        load_newest(tmp_path, recommender)
    except ConfigurationError as error:
        assert str(file) in str(error) or "checkpoint" in str(error)  # noqa: PT017 - either is right
    else:
        assert digests(recommender).keys() == {"counters", "weights"}
