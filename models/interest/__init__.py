"""What a user wants, as a vector that evolves: learned online, projected to the moment of use.

`InterestModel` is the public face; it reads `Sequences` and is sized by `InterestSettings`.
"""

from models.interest.asking import columns_of, fill_in, learn_from, ranks_alone
from models.interest.columns import INTEREST_FEATURES, columns
from models.interest.descriptions import hashed
from models.interest.model import InterestModel
from models.interest.sequences import Sequences, in_sequences
from models.interest.settings import InterestSettings

__all__ = [
    "INTEREST_FEATURES",
    "InterestModel",
    "InterestSettings",
    "Sequences",
    "columns",
    "columns_of",
    "fill_in",
    "hashed",
    "in_sequences",
    "learn_from",
    "ranks_alone",
]
