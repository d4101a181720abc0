"""A saved folder in sentence-transformers: the vectors of `Gve.embed`, for every kind of input that its API takes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gve_sides import INPUTS, SIDES, TEXTS, frames
from PIL import Image
from sentence_transformers import SentenceTransformer

from infra.errors import UsageError
from infra.media.decode import decode_image, sample_frames
from shards.records import Side
from train.gve import Gve
from train.settings import TinySettings

INSTRUCTION = "Find the clip."
VIDEO, IMAGE = SIDES[1].video, SIDES[3].image
assert VIDEO is not None
assert IMAGE is not None


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model")
    Gve.tiny(TEXTS, TinySettings(layers=2, vocab_size=400), INPUTS, seed=0).save(path)
    (path.parent / "clip.mp4").write_bytes(VIDEO)
    (path.parent / "still.jpg").write_bytes(IMAGE)
    return path


@pytest.fixture(scope="module")
def gve(folder: Path) -> Gve:
    return Gve.load(folder)


@pytest.fixture(scope="module")
def model(folder: Path) -> SentenceTransformer:
    return SentenceTransformer(str(folder), trust_remote_code=True, device="cpu")


def parts(side: Side) -> dict[str, Any]:
    return {name: value for name, value in vars(side).items() if value is not None}


def test_texts_and_their_instruction(gve: Gve, model: SentenceTransformer) -> None:
    np.testing.assert_allclose(model.encode(TEXTS), gve.embed([Side(text) for text in TEXTS]), atol=1e-5)
    vectors = model.encode(TEXTS, prompt=INSTRUCTION)
    np.testing.assert_allclose(vectors, gve.embed([Side(text) for text in TEXTS], INSTRUCTION), atol=1e-5)
    assert np.abs(vectors - model.encode(TEXTS)).max() > 1e-3
    np.testing.assert_allclose(model.encode_query(TEXTS[0]), model.encode(TEXTS[0]), atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_every_combination_of_text_image_and_video(gve: Gve, model: SentenceTransformer, batch_size: int) -> None:
    vectors = model.encode([parts(side) for side in SIDES], prompt=INSTRUCTION, batch_size=batch_size)
    np.testing.assert_allclose(vectors, gve.embed(SIDES, INSTRUCTION), atol=1e-5)


def test_a_file_is_what_its_bytes_are(gve: Gve, model: SentenceTransformer, folder: Path) -> None:
    clip, still = str(folder.parent / "clip.mp4"), str(folder.parent / "still.jpg")
    expected = gve.embed([Side(video=VIDEO), Side(image=IMAGE), Side("left", image=IMAGE, video=VIDEO)])
    vectors = model.encode([clip, still, {"text": "left", "image": still, "video": clip}])
    np.testing.assert_allclose(vectors, expected, atol=1e-5)


def test_pixels_are_what_they_were_decoded_from(gve: Gve, model: SentenceTransformer) -> None:
    still = decode_image(IMAGE)
    channels_first = torch.from_numpy(np.array(still)).permute(2, 0, 1)
    for given in (Image.fromarray(still), still, channels_first):
        np.testing.assert_allclose(model.encode([given]), gve.embed([Side(image=IMAGE)]), atol=1e-5)
    six, _ = sample_frames(VIDEO, 6)
    first = torch.from_numpy(six).permute(0, 3, 1, 2)
    listed = [Image.fromarray(frame) for frame in six]
    for clip in (six, first, {"array": six, "video_metadata": None}, {"video": listed}):
        np.testing.assert_allclose(model.encode([clip]), gve.embed([Side(video=VIDEO)]), atol=1e-5)


def test_what_it_does_not_embed_is_refused(model: SentenceTransformer) -> None:
    noise = frames(60, 60, 0)[0]
    for value, message in (
        ({"role": "user", "content": "hello"}, "message"),
        ({"image": "http://example.com/a.jpg"}, "local files"),
        (noise.astype(np.float32), "RGB bytes"),
        ({"image": noise[..., :2]}, "RGB bytes"),
    ):
        with pytest.raises(UsageError, match=message):
            model.encode([value])


def test_saved_by_sentence_transformers_it_is_the_same_model(
    gve: Gve, model: SentenceTransformer, tmp_path: Path
) -> None:
    model.save(str(tmp_path), create_model_card=False)
    again = SentenceTransformer(str(tmp_path), trust_remote_code=True, device="cpu")
    np.testing.assert_array_equal(again.encode(TEXTS), model.encode(TEXTS))
    np.testing.assert_array_equal(Gve.load(tmp_path).embed(SIDES), gve.embed(SIDES))


def test_it_knows_its_size_and_takes_a_type(gve: Gve, folder: Path) -> None:
    half = SentenceTransformer(str(folder), trust_remote_code=True, device="cpu", model_kwargs={"dtype": "bfloat16"})
    assert half.get_embedding_dimension() == gve.dim
    assert half.max_seq_length == INPUTS.max_tokens
    assert next(half.parameters()).dtype == torch.bfloat16
    assert (half.encode(TEXTS) * gve.embed([Side(text) for text in TEXTS])).sum(axis=1).min() > 0.999


def test_code_is_run_only_where_it_is_trusted(folder: Path) -> None:
    assert json.loads((folder / "modules.json").read_text())[0]["type"] == "train.sentence_transformer.GveModule"
    with pytest.raises(ValueError, match="trust_remote_code"):
        SentenceTransformer(str(folder), device="cpu")
