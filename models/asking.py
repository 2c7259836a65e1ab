"""What could be next, just now: one query from candidates to those that the second stage looks at."""

from models.arrays import Doubles
from models.candidates import Limits, Scratch, begin, gather_leaders, gather_neighbours, place_of
from models.catalog import Items
from models.compiled import compiled
from models.content.describing import describe_content
from models.content.gathering import gather_content
from models.content.layout import ContentTables, has_content
from models.content.values import rank_values
from models.counts.layout import Tables
from models.exclusion import Banned, ban
from models.features import describe, describe_moment
from models.first_stage import keep_best, learn, rank, score
from models.history import History
from models.waiting import Slots, write_past


@compiled
def ask(
    tables: Tables,
    content: ContentTables,
    scratch: Scratch,
    banned: Banned,
    items: Items,
    history: History,
    now_ms: int,
    limits: Limits,
    target: int,
    weight: float,
    scoring: Doubles,
    weights: Doubles,
    squares: Doubles,
    slots: Slots,
    slot: int,
) -> None:
    """Work out a query into a slot; learn from it, with this sample weight, if there is a target."""
    begin(scratch)
    if items.has_exclusions:
        ban(banned, history.excluded)
    gather_leaders(tables, scratch, banned, items, history, limits)
    if has_content(scratch):
        rank_values(content, banned, items, history, now_ms, target, weight)
    gather_neighbours(tables, scratch, banned, items, history, now_ms, limits)
    if has_content(scratch):
        most = limits.candidates + limits.candidates // 3
        gather_content(content, scratch, banned, items, history, limits.kinds, most)
    describe(tables, scratch, history, now_ms)
    if has_content(scratch):
        describe_content(content, tables, items, scratch, history)
    describe_moment(tables, history, now_ms, slots.contexts[slot])
    write_past(history, now_ms, target, slots, slot)
    score(scratch, scoring)
    goal = place_of(scratch, target) if target >= 0 else -1
    slots.sizes[slot], slots.targets[slot] = keep_best(
        scratch, goal, limits.kept, slots.rows[slot], slots.features[slot]
    )
    slots.first_ranks[slot] = rank(scratch, goal) if goal >= 0 else 0
    if goal >= 0:
        learn(scratch, goal, weight, weights, squares)
