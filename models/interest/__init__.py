"""What a user wants, as a vector that evolves: learned online, projected to the moment of use.

`InterestModel` is the public face; it reads `Sequences` and is sized by `InterestSettings`.
"""

from models.interest.model import InterestModel
from models.interest.sequences import Sequences, in_sequences
from models.interest.settings import InterestSettings

__all__ = ["InterestModel", "InterestSettings", "Sequences", "in_sequences"]
