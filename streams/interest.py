"""The interest model that the settings ask for."""

from models.interest import InterestModel, InterestSettings
from streams.settings import Settings


def interest_of(settings: Settings, device: str) -> InterestModel | None:
    """Return a new interest model on a device, where the settings want one: with "auto" not on a CPU."""
    if settings.interest == "off" or (settings.interest == "auto" and device == "cpu"):
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
        may_rest=learning.may_rest,
    )
    return InterestModel(interest, device=device, seed=settings.seed)
