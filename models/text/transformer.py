"""Sentence vectors by a transformer from a folder: tokens, attention, mean over the tokens, length 1."""

import json
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.arrays import Floats
from models.text.errors import EncoderError

MAX_TOKENS = 64
VERSION = 1
_BATCH_TOKENS = {"cpu": 2048, "cuda": 65536}  # of one forward pass, with the padding
_CONFIG = "config.json"
POOLING = Path("1_Pooling") / _CONFIG  # where sentence-transformers says how tokens become one vector
_SIZES = ("hidden_size", "dim", "d_model")


class TransformerEncoder:
    """A BERT-like model and its tokenizer from a folder; nothing is fetched, no code of the folder is run.

    It is loaded at the first text. Until then it is known by its configuration and the digest of its files.
    """

    def __init__(self, folder: Path, label: str, device: str = "cpu") -> None:
        """Read what the folder has; raises EncoderError for a missing configuration or missing weights."""
        self._folder = folder
        self._device = torch.device(device)
        config = _read_json(folder / _CONFIG)
        pooling = _read_json(folder / POOLING) if (folder / POOLING).exists() else {}
        self._takes_first = bool(pooling.get("pooling_mode_cls_token"))
        self.dimensions = _dimensions(folder, config)
        self.name = f"{label}-{_digest(folder, self._takes_first)}"
        self._loaded: tuple[Any, Any] | None = None

    def encode(self, texts: Sequence[str]) -> Floats:
        """Return float32[n, D], rows of length 1, zeros for "" and blanks; raises EncoderError."""
        vectors: Floats = np.zeros((len(texts), self.dimensions), np.float32)
        said = [place for place, text in enumerate(texts) if text.strip()]
        if not said:
            return vectors
        if self._loaded is None:
            self._loaded = _load(self._folder, self._device)
        tokenizer, model = self._loaded
        cut = {"truncation": True, "max_length": MAX_TOKENS}
        tokens = tokenizer([texts[place] for place in said], **cut)["input_ids"]
        for batch in _batches([len(ids) for ids in tokens], _BATCH_TOKENS[self._device.type]):
            padded = tokenizer.pad({"input_ids": [tokens[number] for number in batch]}, return_tensors="pt")
            vectors[[said[number] for number in batch]] = self._forward(model, padded)
        return vectors

    @torch.inference_mode()
    def _forward(self, model: Any, padded: Any) -> Floats:  # noqa: ANN401 - imported when needed
        """Return float32[b, D] of int64[b, T] token ids and their mask."""
        ids, mask = padded["input_ids"].to(self._device), padded["attention_mask"].to(self._device)  # [b, T]
        is_cuda = self._device.type == "cuda"
        with torch.autocast("cuda", torch.bfloat16, enabled=is_cuda):
            hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state.float()  # [b, T, D]
        if self._takes_first:
            pooled = hidden[:, 0]  # [b, D]
        else:
            weights = mask.unsqueeze(2).float()  # [b, T, 1]
            pooled = (hidden * weights).sum(1) / weights.sum(1)  # [b, D]
        vectors: Floats = torch.nn.functional.normalize(pooled, dim=1).nan_to_num().cpu().numpy()
        return vectors


def _load(folder: Path, device: torch.device) -> tuple[Any, Any]:
    """Return tokenizer and model of a folder, without a word on the terminal."""
    from transformers import AutoModel, AutoTokenizer  # takes seconds and 200 MB
    from transformers.utils import logging

    bars: Any = logging  # its functions have no types
    shows_progress = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        only = {"local_files_only": True}
        tokenizer = AutoTokenizer.from_pretrained(folder, **only)
        model = AutoModel.from_pretrained(folder, **only, use_safetensors=True, dtype=torch.float32)
    except Exception as error:  # of any kind: it depends on what is wrong with which file
        raise EncoderError(
            f"the text encoder in {folder} cannot be loaded: {error!r}; is it whole?"
        ) from error
    finally:
        if shows_progress:
            bars.enable_progress_bar()
    return tokenizer, model.to(device).eval()


def _batches(lengths: Sequence[int], most_tokens: int) -> Iterator[list[int]]:
    """Return the numbers of texts of about one length, so many that they fit into the tokens with padding."""
    batch: list[int] = []
    for number in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[number] > most_tokens:
            yield batch
            batch = []
        batch.append(number)
    yield batch


def _read_json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise EncoderError(
            f"no text encoder in {file.parent}: {file.name} cannot be read ({error}). "
            "Give a folder with config.json, tokenizer.json and model.safetensors."
        ) from None
    if not isinstance(found, dict):
        raise EncoderError(f"no text encoder in {file.parent}: {file.name} is no JSON object.")
    return found


def _dimensions(folder: Path, config: dict[str, Any]) -> int:
    for size in _SIZES:
        if isinstance(config.get(size), int):
            return int(config[size])
    raise EncoderError(
        f"{folder / _CONFIG} does not say the length of a vector, as one of {', '.join(_SIZES)}."
    )


def _digest(folder: Path, takes_first: bool) -> str:
    """Return what tells the vectors of this folder from those of another, as 16 hexadecimal digits."""
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise EncoderError(f"no text encoder in {folder}: it has no weights in *.safetensors.")
    digest = blake2b(f"{VERSION} {MAX_TOKENS} {takes_first}".encode(), digest_size=8)
    for file in chain(sorted(folder.glob("*.json")), sorted(folder.glob("vocab*")), weights):
        with file.open("rb") as opened:
            while block := opened.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
