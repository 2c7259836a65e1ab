"""What the interest model is made of, and how fast it learns. One set of defaults for every stream."""

from dataclasses import dataclass
from typing import Literal

from models.graph.layout import GraphKind

OptimizerName = Literal["sgd", "adagrad", "adamw"]


@dataclass(frozen=True, slots=True)
class InterestSettings:
    """Sizes, amounts of work, and switches that take a part of the model away, to see what it is worth.

    Raises ValueError, which says the rule, for sizes that do not fit together.
    """

    # What it looks at.
    dimensions: int = 32  # of an item's and a user's vector
    history: int = 32  # the user's newest events
    heads: int = 2  # of the attention
    pair_dimensions: int = 16  # in which a candidate meets every event of the history
    text_dimensions: int = 32  # of what items are described by

    graph: GraphKind | Literal["off"] = "sage"  # how items hear of what they are related to

    mixed_precision: Literal["auto", "on", "off"] = "auto"  # bfloat16 products; auto: on a GPU

    # What it learns from.
    events_a_step: int = 32  # new events that a step waits for: larger steps are cheaper, and no worse
    replayed: int = 32  # earlier events a step, beside the new ones; 0: none
    memory: int = 20_000  # newest events that can be replayed
    recent: int = 3_000  # half of the replayed are of these newest; negatives are drawn from them
    kept_negatives: int = 24  # of the candidates that the ranker kept, an event
    shared_negatives: int = 128  # recent targets, which all events of a step share
    shared_weight: float = 0.5  # of the loss over these, beside that over the kept candidates

    # How it learns.
    optimizer: OptimizerName = "adagrad"  # of the weights that every event uses
    row_optimizer: OptimizerName = "adagrad"  # of the items' vectors, each of which few events use
    learning_rate: float = 0.02
    row_learning_rate: float = 0.05
    l2: float = 0.0  # decay of weights and used vectors, a share of the learning rate
    longest_gradient: float = 10.0

    # Which items have a vector of their own.
    admit_after: int = 3  # events of an item before its own vector
    expire_after: int = 1_000_000  # events without a use after which it is given up

    # Parts that can be switched off.
    uses_attention: bool = True  # off: a decayed mean of the history
    uses_projection: bool = True  # off: interest as it was at the last event
    uses_ids: bool = True  # off: an item is only what it says and what it is related to
    uses_words: bool = True  # off: an item's text says nothing
    uses_paths: bool = True  # off: what joins a candidate with the history by relations does not count
    may_rest: bool = True  # it is not asked while the mixer does as well without it
    uses_pairs: bool = False  # a candidate meets every event of the history, too, not the user's vector alone

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        sizes = (self.dimensions, self.heads, self.history, self.pair_dimensions, self.kept_negatives)
        if min(sizes) < 1:
            raise ValueError("dimensions, heads, history, pair_dimensions, kept_negatives must be at least 1")
        if min(self.replayed, self.shared_negatives, self.admit_after) < 0:
            raise ValueError("replayed, shared_negatives and admit_after must not be negative")
        if self.memory < self.recent or self.recent < 1:
            raise ValueError(f"memory ({self.memory}) must hold the recent ({self.recent}), at least 1")
