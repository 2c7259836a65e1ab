"""Where tensors are, and in which precision they are multiplied."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def on_device(array: NDArray[Any], device: torch.device) -> Tensor:
    """Return an array as a tensor; a GPU fetches it while the caller goes on."""
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def is_mixed(wanted: str, device: torch.device) -> bool:
    """Return whether precision is mixed there: where it is wanted "on", or "auto" on a GPU."""
    return wanted == "on" or (wanted == "auto" and device.type == "cuda")


def mixed_precision(device: torch.device, is_on: bool) -> AbstractContextManager[Any]:
    """Return a context in which matrices are multiplied as bfloat16, and weights and sums remain float32."""
    return torch.autocast(device.type, torch.bfloat16) if is_on else nullcontext()
