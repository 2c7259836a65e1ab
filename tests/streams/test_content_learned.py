"""What the catalogue says, through the recommender: cold items, exactness, other workers, checkpoints."""

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models.checkpoint import decode_checkpoint, encode_checkpoint
from models.content.layout import WARM
from state import MemoryStore
from state.overlay import Overlay
from streams.encoding import open_encoding
from streams.evaluation import Listing, evaluate_log, listing_of
from streams.events import Interaction, ItemListed
from streams.examples import ExamplesRecorder, decode_examples
from streams.learned import restore, snapshot
from streams.metrics import Metrics
from streams.recommender import Recommender, Record
from streams.scoreboard import SCORER
from streams.settings import Settings
from tests.models.histories import history
from tests.streams.ranks import ranks_of

SETTINGS = Settings(device="cpu", encoder="off")
CATEGORIES, ITEMS = 12, 360
START_MS = 1_700_000_000_000


def listed(number: int) -> ItemListed:
    """Return an item of one of twelve categories."""
    return ItemListed(f"i{number}", title=f"Thing {number}", categories=[f"c{number % CATEGORIES}"])


def log(events: int, seed: int = 1) -> list[Interaction]:
    """Return users who stay in one category each, and take what they never had, oftenest the newest."""
    rng, shelf = random.Random(seed), dict.fromkeys(range(CATEGORIES), 0)
    taken = []
    for number in range(events):
        user = rng.randrange(40)
        category = user % CATEGORIES
        if rng.random() < 0.3 and shelf[category] + 1 < ITEMS // CATEGORIES:
            shelf[category] += 1
        item = (shelf[category] - min(shelf[category], int(rng.expovariate(1.0)))) * CATEGORIES + category
        taken.append(Interaction(f"u{user}", f"i{item}", "click", START_MS + 60_000 * number))
    return taken


def records(interactions: list[Interaction]) -> list[Record]:
    """Return one record an interaction."""
    return [Record("clicks", 0, offset, [each]) for offset, each in enumerate(interactions)]


def stepped(interactions: list[Interaction]) -> tuple[Recommender, Overlay]:
    """Return a recommender that knows the catalogue and has applied a log."""
    recommender, overlay = Recommender(SETTINGS), Overlay(MemoryStore())
    for number in range(ITEMS):
        recommender.assortment.enlist(listed(number))
    recommender.step(records(interactions), overlay)
    return recommender, overlay


def items_for(recommender: Recommender, overlay: Overlay, user: str) -> list[str]:
    """Return a user's list."""
    overlay.load([user])
    return [item.item_id for item in recommender.recommend([overlay.user(user)], 0)[0].items]


def test_an_item_is_recommended_before_its_first_click_and_no_longer_when_it_is_removed() -> None:
    """A cold item of the user's own category is in the list, and leaves it with its removal."""
    taken = log(1500)
    recommender, overlay = stepped(taken)
    had = {each.item_id for each in taken}
    cold = [item for item in items_for(recommender, overlay, "u5") if item not in had]
    assert cold
    assert all(int(item[1:]) % CATEGORIES == 5 for item in cold)
    recommender.assortment.remove(cold[0])
    assert cold[0] not in items_for(recommender, overlay, "u5")
    recommender.assortment.enlist(listed(int(cold[0][1:])))
    assert cold[0] in items_for(recommender, overlay, "u5")


def test_a_removed_item_is_in_no_list_however_often_it_was_taken() -> None:
    """Nobody's list has it, not theirs either who take it again and again; listed again it is back."""
    repeated = [
        Interaction(f"u{number % 40}", f"i{number % 40 % CATEGORIES}", "click", START_MS + 60_000 * number)
        for number in range(400)
    ]
    recommender, overlay = stepped(repeated)
    users = [f"u{user}" for user in range(40)]
    assert "i5" in items_for(recommender, overlay, "u5")
    recommender.assortment.remove("i5")
    assert all("i5" not in items_for(recommender, overlay, user) for user in users)
    recommender.step(records([*repeated, repeated[5]])[400:], overlay)  # who takes it now
    assert recommender.assortment.content is not None
    shelves, row = recommender.assortment.content.tables.shelves, recommender.catalog.admit("i5")
    assert row not in shelves.leaders
    recommender.assortment.enlist(listed(5))
    recommender.step(records([*repeated, repeated[5], repeated[5]])[401:], overlay)
    assert row in shelves.leaders
    assert "i5" in items_for(recommender, overlay, "u5")


def test_without_the_setting_the_catalogue_gives_titles_only() -> None:
    """With `content = false` nothing cold is recommended and the model has no more columns."""
    recommender = Recommender(Settings(device="cpu", content=False))
    recommender.assortment.enlist(listed(3))
    assert recommender.assortment.content is None
    assert recommender.catalog.title(0) == "Thing 3"
    assert len(recommender.learner.features) == len(Recommender(SETTINGS).learner.features)


@pytest.mark.parametrize("is_open", [False, True])
def test_chunks_of_one_and_of_many_give_the_same_ranks(is_open: bool) -> None:
    """With a catalogue, too, ranks do not depend on how the stream is cut into chunks."""
    listing = Listing([listed(number) for number in range(ITEMS)], is_open)
    one, many = (evaluate_log(log(500), SETTINGS, "all", chunk=chunk, listing=listing) for chunk in (1, 400))
    assert one.ranks[SCORER].tolist() == many.ranks[SCORER].tolist()


def test_only_an_open_catalogue_ranks_what_never_occurred() -> None:
    """Cold targets have ranks where every listed item is a candidate, none where only seen items are."""
    items = [listed(number) for number in range(ITEMS)]
    opened, closed = (
        evaluate_log(log(1500), SETTINGS, "all", listing=listing_of(items, {}, is_open, twins=0))
        for is_open in (True, False)
    )
    cold = opened.ranks[SCORER][~opened.was_seen]
    by_chance = 10 / ITEMS
    assert ((cold > 0) & (cold <= 10)).mean() > 3 * by_chance
    assert not closed.ranks[SCORER][~closed.was_seen].any()


def test_twins_say_the_same_and_are_as_many_as_asked_for() -> None:
    """Every item is there once with its relations, each of its twins once, in an order drawn by chance."""
    listing = listing_of([listed(1), listed(2)], {"i1": [("by", "m")]}, is_open=True, twins=2)
    by_id = {item.item_id: item for item in listing.items}
    assert sorted(by_id) == ["i1", "i1~twin1", "i1~twin2", "i2", "i2~twin1", "i2~twin2"]
    assert len(listing.items) == 6
    assert by_id["i1~twin2"].categories == by_id["i1"].categories
    assert by_id["i1~twin2"].relations == by_id["i1"].relations == [("by", "m")]


@pytest.mark.parametrize("stop_at", [0, 300])
def test_a_restored_recommender_goes_on_exactly(stop_at: int) -> None:
    """Saved, loaded, told the catalogue again and continued, it gives the ranks as if nothing had been."""
    taken = records(log(600))
    one, overlay = stepped(log(600)[:stop_at])
    arrays, facts = decode_checkpoint(encode_checkpoint(*snapshot(one)))
    other, theirs = Recommender(SETTINGS), MemoryStore()
    restore(other, arrays, facts)
    theirs.write(overlay.changes())
    for number in reversed(range(ITEMS)):
        other.assortment.enlist(listed(number))
    expected = ranks_of(one, taken[stop_at:], overlay)
    assert ranks_of(other, taken[stop_at:], Overlay(theirs)) == expected


def test_a_checkpoint_without_a_catalogue_serves_one_that_has_turned_up() -> None:
    """What was learned before anything was listed is still known afterwards, and the other way round."""
    plain, overlay = Recommender(SETTINGS), Overlay(MemoryStore())
    plain.step(records(log(400)), overlay)
    later = Recommender(SETTINGS)
    restore(later, *snapshot(plain))
    later.assortment.enlist(listed(0))
    assert later.learner.steps == plain.learner.steps > 0
    assert later.assortment.content is not None
    narrow = Recommender(Settings(device="cpu", content=False))
    restore(narrow, *snapshot(later))
    np.testing.assert_array_equal(narrow.learner.weights(), plain.learner.weights())


def test_other_workers_count_values_as_the_one_that_applied_the_events_did() -> None:
    """Whoever counts the examples of a stream has the same shelves and values as the one that wrote them."""
    one, other = Recommender(SETTINGS, "w1"), Recommender(SETTINGS, "w2")
    for number in range(ITEMS):
        for recommender in (one, other):
            recommender.assortment.enlist(listed(number))
    recorder = ExamplesRecorder("freshet", "w1", 0)
    one.step(records(log(400)), Overlay(MemoryStore()), recorder)
    data = recorder.close({"clicks": (0, 400)})
    assert data is not None
    assert other.count_examples(decode_examples(data)) == 400
    assert one.assortment.content is not None
    assert other.assortment.content is not None
    ours, theirs = one.assortment.content.snapshot(), other.assortment.content.snapshot()
    for name, array in ours.items():
        if name not in ("weights", "squares"):  # these learn from a worker's own users
            both = tuple(slice(min(sizes)) for sizes in zip(array.shape, theirs[name].shape, strict=True))
            np.testing.assert_array_equal(array[both], theirs[name][both], err_msg=name)


def test_what_occurs_while_little_is_listed_has_occurred() -> None:
    """Items with events, from before anything was listed or before kinds were chosen, are never cold."""
    early, late = log(30), log(60)[30:]
    recommender, overlay = Recommender(SETTINGS), Overlay(MemoryStore())
    recommender.step(records(early), overlay)
    recommender.assortment.enlist(listed(0))
    recommender.step(records(early + late)[30:], overlay)
    for number in range(1, ITEMS):
        recommender.assortment.enlist(listed(number))
    assert recommender.assortment.content is not None
    shelves = recommender.assortment.content.tables.shelves
    had = {recommender.catalog.admit(each.item_id) for each in early + late}
    assert {row for row in range(ITEMS) if shelves.states[row] == WARM} == had
    kinds = len(recommender.assortment.content.kinds)
    for kind in range(kinds):
        values = shelves.values[kind, sorted(had)]
        expected = np.bincount(values[values >= 0], minlength=shelves.warm.shape[1])
        np.testing.assert_array_equal(shelves.warm[kind], expected)
    assert kinds


def saying_little(number: int) -> ItemListed:
    """Return an item that has nothing in common with others."""
    return ItemListed(f"i{number}", title=f"Thing {number}", text=f"of {number}")


@pytest.mark.parametrize("item", [listed, saying_little])
@pytest.mark.parametrize("items", [4, 40, 400])
def test_any_catalogue_has_cold_items_in_lists_from_the_first_event_on(
    item: Callable[[int], ItemListed], items: int
) -> None:
    """However little is listed and said, an item is in a list before its first click, until it is removed."""
    recommender, overlay = Recommender(SETTINGS), Overlay(MemoryStore())
    for number in range(items):
        recommender.assortment.enlist(item(number))
    recommender.step(records([Interaction("u0", "i0", "click", START_MS)]), overlay)
    found = set(items_for(recommender, overlay, "u0")) - {"i0"}
    assert len(found) >= 3
    for gone in found:
        recommender.assortment.remove(gone)
    assert not found & set(items_for(recommender, overlay, "u0"))


def test_an_item_without_a_kind_is_a_candidate_once_its_message_was_read() -> None:
    """The item listed last is one for everybody, also for who has no past, among many that say as little."""
    recommender = Recommender(SETTINGS)
    for number in range(100):
        recommender.assortment.enlist(saying_little(number))
        assert number in recommender.ranker.query(history([]), START_MS).rows


def test_an_older_checkpoint_brings_its_items_without_kinds_into_lists() -> None:
    """A checkpoint from before these had a shelf is taken in, and they are found."""
    one = Recommender(SETTINGS)
    for number in range(40):
        one.assortment.enlist(saying_little(number))
    arrays, facts = snapshot(one)
    other, overlay = Recommender(SETTINGS), Overlay(MemoryStore())
    older = {name: array for name, array in arrays.items() if "kindless" not in name}
    assert len(older) < len(arrays)
    restore(other, older, facts)
    other.step(records([Interaction("u0", "i0", "click", START_MS)]), overlay)
    assert len(items_for(other, overlay, "u0")) == 10


def test_texts_bring_candidates_where_no_kind_was_chosen(tmp_path: Path) -> None:
    """What reads like the user's newest item is a candidate, though it never occurred and shares nothing."""
    encoding = open_encoding(Settings(device="cpu", encoder="ngrams"), tmp_path, Metrics())
    assert encoding is not None
    recommender = Recommender(SETTINGS)
    recommender.assortment.read_texts(encoding)
    things = ["garden chair", "garden chair of oak", *(f"{chr(97 + n % 26) * 9} {n}" for n in range(60))]
    for number, title in enumerate(things):
        recommender.assortment.enlist(ItemListed(f"i{number}", title=title))
    encoding.drain()
    assert recommender.assortment.content is not None
    assert not recommender.assortment.content.kinds
    assert 1 in recommender.ranker.query(history([0]), START_MS).rows
    assert 1 not in recommender.ranker.query(history([]), START_MS).rows
