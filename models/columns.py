"""What a candidate and its moment are described by: the columns of every feature and context array."""

from dataclasses import dataclass

KEPT = 64
"""How many candidates the first stage passes on, at most."""


SEQUENCE = 32
"""How many of a user's newest events are kept with an event that waits for its learner step."""


@dataclass(frozen=True, slots=True)
class Feature:
    """A number about a candidate, and the weight it starts with in both stages."""

    name: str
    initial_weight: float = 0.0


# The first ROOTS columns are sqrt(value / the largest value among the candidates), in [0, 1].
FEATURES = (
    Feature("co-occurrence", 3.0),  # both directions, decayed by position .85^p, normalised by both counts
    Feature("wide co-occurrence"),  # the same with .97^p
    Feature("followed"),  # what came after the items of the history, .85^p, as a share of all that did
    Feature("followed the last"),  # the same with .5^p
    Feature("companions"),  # how often both were in one history, undecayed, .97^p
    Feature("companions lately"),  # the same, decayed by the time since the user had it
    Feature("transition", 1.0),  # how often it came right after the last item
    Feature("lasting co-occurrence"),  # as the first, with pairs forgotten at a half-life of 10,000 events
    Feature("followed at this gap"),  # as `followed`, counting only pairs of the same time gap
    Feature("session co-occurrence"),  # as the first, of pairs that were less than ten minutes apart
    Feature("popularity 30"),
    Feature("popularity 100"),
    Feature("popularity 300", 1.0),
    Feature("popularity 1500"),
    Feature("popularity 6000"),
    Feature("popularity"),
    Feature("popularity at this gap"),
    Feature("popularity at this length"),
    # The others are about 0 to 1.5 as they are.
    Feature("age"),  # events since its first
    Feature("idle"),  # events since its last
    Feature("repeated"),  # how often who has it has had it before
    Feature("bought share"),  # how much oftener its events are purchases than is usual
    # how much oftener it came right after the last item where that was clicked, or more than clicked, too
    Feature("transition after such an action"),
    Feature("own recency", 3.0),
    Feature("own count"),
    Feature("own decayed count"),
    Feature("own elapsed"),
    Feature("own transition"),
    Feature("own hour"),
    Feature("own lasting count"),
    # When the user last did so, by position: 0 where nobody does anything else.
    Feature("own carted"),
    Feature("own favored"),
    Feature("own bought"),
)
F = len(FEATURES)
ROOTS = 18
CO_OCCURRENCE, RECENT = 0, 12  # "co-occurrence", "popularity 300"
KINDS = 3
"""Attributes of items, or pairs of them, whose values are counted and ranked."""
NEAR = 20
"""Texts that are known to be near to a text."""

# What the catalogue adds; 0 where it says nothing. Of each kind: the chance that its value comes next; and
# that times the item's share of it, of items that occurred, and of others. All are 1 + log(chance) / 14.
OF_A_KIND = (Feature("kind"), Feature("share of kind", 2.0), Feature("cold share of kind", 3.0))
CONTENT_FEATURES = (
    *(Feature(f"{each.name} {kind}", each.initial_weight) for kind in range(KINDS) for each in OF_A_KIND),
    Feature("never occurred", -2.0),  # it has to earn its place
    Feature("text like the history"),  # .85^p similarity, as a root of its share of the largest
    Feature("text like what goes with the history"),  # co-occurrence of what reads alike
    Feature("text like what is popular"),
)


def features_of(has_content: bool) -> tuple[Feature, ...]:
    """Return the columns of a model that knows a catalogue, or of one that does not."""
    return (*FEATURES, *CONTENT_FEATURES) if has_content else FEATURES


CONTEXT = (
    "length",
    "gap",
    "events",
    "repeat share",
    "same twice",
    "no history",
    "gap is an instant",
    "gap is minutes",
    "gap is hours",
    "gap is days",
    "session",
    "pace",
    "rare items",
    "last was a cart",
    "last was a favorite",
    "last was a purchase",
    "more than clicks",
)
Q = len(CONTEXT)
