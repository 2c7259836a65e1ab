"""What users do matters: as an input, and as what a list is to predict."""

from collections.abc import Sequence

import msgspec
import numpy as np

from models import actions
from state import MemoryStore
from state.overlay import Overlay
from streams.evaluation import evaluate_log
from streams.events import ACTIONS, ActionName, Interaction
from streams.recommender import Recommender, Record
from streams.scoreboard import SCORER
from streams.settings import Settings, Source
from tests.streams.random_logs import START_MS, interaction, random_log

SETTINGS = Settings(device="cpu", sources={"clicks": Source(), "purchases": Source(action="purchase")})
ONLY_PURCHASES = msgspec.structs.replace(
    SETTINGS, sources={"clicks": Source(weight=0), "purchases": Source(action="purchase")}
)
ITEMS = 15


def pairs(events: int, random: np.random.Generator) -> list[Interaction]:
    """Return a log in which users take an item a, then b if they clicked on a, and c if they bought it."""
    log: list[Interaction] = []
    while len(log) < events:
        number, user = int(random.integers(ITEMS)), f"u{random.integers(60)}"
        is_bought = random.random() < 0.5
        for item, action in ((f"a{number}", is_bought), (f"{'c' if is_bought else 'b'}{number}", False)):
            what: ActionName = "purchase" if action else "click"
            log.append(interaction(user, item, START_MS + len(log) * 60_000, what))
    return log


def first_share(log: Sequence[Interaction], settings: Settings, places: Sequence[int]) -> float:
    """Return how many of the events at these places were ranked first, as a share of the scored."""
    ranks = evaluate_log(log, settings, "all").ranks[SCORER][list(places)]
    scored = ranks[ranks >= 0]
    assert len(scored) > 100
    return float((scored == 1).mean())


def test_codes_of_actions_are_the_same_everywhere() -> None:
    """What the models know by its number is what streams know by its name."""
    known = {name: getattr(actions, name.upper()) for name in ACTIONS}
    assert known == {name: code for code, name in enumerate(ACTIONS)}
    assert len(ACTIONS) == actions.ACTIONS


def test_what_follows_a_purchase_is_not_what_follows_a_click() -> None:
    """The model puts first what follows the action that was; told of clicks alone, it cannot know."""
    log = pairs(4000, np.random.default_rng(1))
    places = range(2001, 4000, 2)
    blind = [msgspec.structs.replace(event, action="click") for event in log]
    assert first_share(log, SETTINGS, places) > 0.9
    assert first_share(blind, SETTINGS, places) < 0.65


def test_the_action_to_come_is_no_input() -> None:
    """Another action at event k changes no rank up to k, that of k included, and changes later ones."""
    log = random_log(21, 400)
    expected = evaluate_log(log, SETTINGS, "all").ranks[SCORER].tolist()
    for place in (40, 211):
        other: ActionName = "cart" if log[place].action == "purchase" else "purchase"
        changed = [*log[:place], msgspec.structs.replace(log[place], action=other), *log[place + 1 :]]
        ranks = evaluate_log(changed, SETTINGS, "all").ranks[SCORER].tolist()
        assert ranks[: place + 1] == expected[: place + 1]
        assert ranks != expected


def window_shopping(events: int, random: np.random.Generator) -> list[Interaction]:
    """Return a log in which users look at an item a, and then mostly at b, or sometimes buy c."""
    log: list[Interaction] = []
    while len(log) < events:
        number, user = int(random.integers(ITEMS)), f"u{random.integers(60)}"
        is_bought = random.random() < 0.3
        log.append(interaction(user, f"a{number}", START_MS + len(log) * 60_000))
        item, action = (f"c{number}", "purchase") if is_bought else (f"b{number}", "click")
        log.append(interaction(user, item, START_MS + len(log) * 60_000, action))  # type: ignore[arg-type]
    return log


def test_a_list_of_purchases_puts_first_what_is_bought() -> None:
    """With weight 0 for clicks only purchases are scored and learned, and what is bought comes first."""
    log = window_shopping(4000, np.random.default_rng(2))
    places = [place for place in range(2000, 4000) if log[place].action == "purchase"]
    assert first_share(log, SETTINGS, places) < 0.4
    assert first_share(log, ONLY_PURCHASES, places) > 0.9
    evaluation = evaluate_log(log, ONLY_PURCHASES, "all")
    for ranks in evaluation.ranks.values():
        assert ((ranks >= 0) == [event.action == "purchase" for event in log]).all()
    bought_first = []
    for settings in (SETTINGS, ONLY_PURCHASES):
        recommender, overlay = Recommender(settings), Overlay(MemoryStore())
        records = [
            Record(settings.source_of(event.action), 0, number, [event]) for number, event in enumerate(log)
        ]
        asked = Interaction("asker", "a3", "click", log[-1].timestamp_ms + 1000)
        recommender.step([*records, Record("clicks", 0, len(log), [asked])], overlay)
        assert recommender.counts.events == len(log) + 1
        (made,) = recommender.recommend([overlay.user("asker")], 0)
        listed = [item.item_id for item in made.items]
        bought_first.append(listed.index("c3") < listed.index("b3"))
    assert bought_first == [False, True]
