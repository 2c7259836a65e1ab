"""The interest model that the settings ask for."""

import torch

from models.interest import InterestModel, InterestSettings
from streams.settings import Settings


def interest_of(settings: Settings) -> InterestModel | None:
    """Return a new interest model where the settings want one: with "auto" where it has a GPU to itself."""
    has_gpu = settings.device != "cpu" and torch.cuda.is_available()
    if settings.interest == "off" or (settings.interest == "auto" and not has_gpu):
        return None
    learning = settings.interest_learning
    interest = InterestSettings(
        graph=settings.graph,
        optimizer=learning.optimizer,
        row_optimizer=learning.item_optimizer,
        learning_rate=learning.learning_rate,
        row_learning_rate=learning.item_learning_rate,
        l2=learning.l2,
        longest_gradient=learning.longest_gradient,
    )
    return InterestModel(interest, device="cuda" if has_gpu else "cpu", seed=settings.seed)
