"""Where the models compute, as the settings and this machine have it."""

import torch

from streams.errors import ConfigurationError
from streams.settings import Settings


def device_of(settings: Settings) -> str:
    """Return "cuda" or "cpu"; with "auto" a GPU where torch can use one.

    Raises ConfigurationError where the settings demand a GPU and there is none.
    """
    if settings.device == "cpu":
        return "cpu"
    if torch.cuda.is_available():
        return "cuda"
    if settings.device == "cuda":
        raise ConfigurationError(
            f'device = "cuda", but torch {torch.__version__} finds no GPU that it can use; '
            "`freshet doctor` says why, auto and cpu do without one"
        )
    return "cpu"
