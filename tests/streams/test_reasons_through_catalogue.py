"""Reasons through the catalogue, through the recommender: told in its lists, and again after a restart."""

from state.overlay import Overlay
from streams.learned import restore, snapshot
from streams.recommender import Recommender
from tests.streams.test_content_learned import CATEGORIES, SETTINGS, log, stepped


def _paths(recommender: Recommender, overlay: Overlay, user: str) -> dict[str, str]:
    """Return item id -> the reason that is a path, of a user's list."""
    overlay.load([user])
    items = recommender.recommend([overlay.user(user)], 0)[0].items
    assert all(len(item.reasons) <= 2 for item in items)
    return {item.item_id: why for item in items for why in item.reasons if why.startswith("same ")}


def test_a_list_tells_the_category_and_tells_it_again_after_a_restart() -> None:
    """Users who stay in a category are told so, by an item of it that they clicked; a checkpoint keeps it."""
    recommender, overlay = stepped(log(1500))
    told = _paths(recommender, overlay, "u5")
    assert told
    for item_id, why in told.items():
        about = why.removeprefix("same category as i").removesuffix(", which you clicked")
        assert int(item_id[1:]) % CATEGORIES == int(about) % CATEGORIES == 5
    other = Recommender(SETTINGS)
    restore(other, *snapshot(recommender))
    assert _paths(other, overlay, "u5") == told
