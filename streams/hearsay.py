"""What a worker makes of the examples log: it counts what others taught, and itself before a crash."""

from models.catalog import Catalog
from models.content import Content
from models.counts import Counts
from streams.examples import ANEW, Examples
from streams.past import Past
from streams.teaching import Teaching


def count_examples(
    examples: Examples,
    catalog: Catalog,
    counts: Counts,
    content: Content | None,
    teaching: Teaching,
    history_length: int,
) -> int:
    """Count what a transaction taught, each event once; return how many were counted.

    `history_length` is how many events of a user are kept by whoever applies them. What this worker applied
    itself was counted then: its own examples only confirm it.
    """
    counted = 0
    before = {topic: teaching.marks.get((topic, examples.partition), 0) for topic in examples.spans}
    told: dict[str, dict[int, list[int]]] = {}
    has_news = any(event.offset >= before[event.topic] for event in examples.events)
    pasts = [Past(catalog, history, history_length) for history in examples.histories] if has_news else []
    for event in examples.events:
        row = catalog.reserve_key(event.item_key)
        if event.offset < before[event.topic]:
            told.setdefault(event.topic, {}).setdefault(event.offset, []).append(row)
        else:
            history = pasts[event.user].history()
            counts.count(history, row, event.time_ms, event.is_late, event.action)
            if content is not None:
                content.count(counts.tables, history, row, event.action, event.time_ms, event.is_late)
            counted += 1
        if has_news:
            pasts[event.user].add(row, event.action, event.time_ms)
    for topic, (start, end) in examples.spans.items():
        source = (topic, examples.partition)
        teaching.marks[source] = end if start == ANEW else max(before[topic], end)
        if start == ANEW:
            teaching.unconfirmed.forget(source)
        for row, more in teaching.unconfirmed.settle(source, end, told.get(topic, {})):
            counts.correct(row, more)
    return counted
