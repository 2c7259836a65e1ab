"""A device that there is none of: its tensors lie in this memory, and say that they are elsewhere.

What only goes wrong on a GPU goes wrong here, too: an operation on tensors of two devices, an array made of a
tensor that was not fetched. And it counts what a GPU is slow at: launches, copies, and waiting for a result.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

ELSEWHERE = "meta"
"""The device's name. Torch computes nothing on this one, and needs no driver to go back through a graph."""
_VIEWS = (
    "view",
    "unsqueeze",
    "slice",
    "select.int",
    "split",
    "expand",
    "detach",
    "alias",
    "transpose",
    "t.default",
)


class _Absent(Tensor):
    """A tensor that is elsewhere, as far as anybody can tell."""

    held: Tensor

    @staticmethod
    def __new__(cls: type, held: Tensor) -> "_Absent":
        made = Tensor._make_wrapper_subclass(
            cls, held.size(), strides=held.stride(), dtype=held.dtype, device=torch.device(ELSEWHERE)
        )
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(cls, function: object, *_: object) -> object:
        raise RuntimeError(f"{function} on a tensor of a device that is gone")


class Device(TorchDispatchMode):
    """Computes here what is asked for elsewhere; `counts` are the operations by what they cost a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(
        self,
        function: Any,  # noqa: ANN401 - torch says no more
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Any = None,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Do an operation; raises RuntimeError if some of its tensors are elsewhere and some are not."""
        kwargs, given = (
            dict(kwargs or {}),
            [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)],
        )
        absent, wanted = [each for each in given if isinstance(each, _Absent)], kwargs.get("device")
        if wanted is not None:
            kwargs["device"] = torch.device("cpu")
        stays = wanted is None and bool(absent)
        if stays and not str(function).startswith("aten.copy_"):
            strays = [tuple(each.shape) for each in given if not isinstance(each, _Absent) and each.dim()]
            if strays:
                raise RuntimeError(f"{function}: tensors {strays} are here, others elsewhere")
        made = function(*tree_map(_held, args), **tree_map(_held, kwargs))
        is_elsewhere = stays if wanted is None else torch.device(wanted).type == ELSEWHERE
        self._count(str(function), given, is_elsewhere)
        return tree_map(lambda each: _wrapped(each, given, is_elsewhere), made)

    def _count(self, name: str, given: list[Tensor], is_elsewhere: bool) -> None:
        was_elsewhere = any(isinstance(each, _Absent) for each in given)
        if "_local_scalar_dense" in name or (was_elsewhere and not is_elsewhere):
            self.counts["waits"] += 1
        elif is_elsewhere and given and not was_elsewhere:
            self.counts["copies"] += 1
        elif is_elsewhere and not any(f"aten.{view}" in name for view in _VIEWS):
            self.counts["launches"] += 1


@contextmanager
def device() -> Iterator[Device]:
    """Let there be the device."""
    with Device() as there:
        yield there


def _held(each: object) -> object:
    return each.held if isinstance(each, _Absent) else each


def _wrapped(made: object, given: list[Tensor], is_elsewhere: bool) -> object:
    """Return what was made as a tensor of where it is; what was changed in place is what was given."""
    if not isinstance(made, Tensor):
        return made
    for each in given:
        if _held(each) is made:
            return each
    return _Absent(made) if is_elsewhere else made
