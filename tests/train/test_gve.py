"""The embedder: pooling, padding, saving, and checkpoints that others wrote."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLModel

from infra.errors import UsageError
from infra.media.encode import encode_image, encode_video
from shards.records import Side
from train.gve import Gve, LinearPatchEmbed, pool_last, similar_lengths
from train.settings import InputSettings, TinySettings
from train.tiny import tiny_config, train_tokenizer

TEXTS = ["a red square moves left over a grey ground", "the blue disc goes up", "naïve 🎈 café"]
INPUTS = InputSettings(frames=4, frame_max_pixels=8 * 28 * 28, image_max_pixels=8 * 28 * 28, max_tokens=128)


def frames(height: int, width: int, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(6)]


SIDES = [
    Side(text="a red square"),
    Side(video=encode_video(frames(96, 160, 1), fps=6)),
    Side(text="the blue disc goes up and then it goes down again, slowly " * 3),
    Side(image=encode_image(frames(70, 70, 2)[0])),
    Side(text="then left", video=encode_video(frames(120, 60, 3), fps=6), image=encode_image(frames(60, 90, 4)[0])),
]


@pytest.fixture(scope="module")
def gve() -> Gve:
    return Gve.tiny(TEXTS, TinySettings(vocab_size=400), INPUTS, seed=0)


def test_embeddings_are_unit_vectors_that_differ(gve: Gve) -> None:
    vectors = gve.embed(SIDES)
    assert vectors.shape == (len(SIDES), gve.dim)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert (vectors @ vectors.T - np.eye(len(SIDES))).max() < 0.9999
    assert not np.allclose(gve.embed(SIDES[:1], "Find the image."), vectors[:1], atol=1e-3)
    assert gve.embed([]).shape == (0, gve.dim)


def test_a_side_alone_and_in_a_mixed_padded_batch_has_one_vector(gve: Gve) -> None:
    together = gve.embed(SIDES)
    alone = np.concatenate([gve.embed([side]) for side in SIDES])
    prepared = [gve.inputs.prepare(side) for side in SIDES]
    with torch.inference_mode():
        padded = gve._encode_padded(prepared).numpy()
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(padded, alone, atol=1e-5)


def test_pooling_finds_the_last_attended_position_on_either_side() -> None:
    hidden = torch.arange(24.0).view(2, 4, 3)
    mask = torch.tensor([[0, 0, 1, 1], [1, 1, 0, 0]])
    assert torch.equal(pool_last(hidden, mask), torch.stack([hidden[0, 3], hidden[1, 1]]))


def test_groups_hold_every_row_once_and_similar_lengths() -> None:
    lengths = np.random.default_rng(0).integers(1, 300, 200).tolist()
    groups = similar_lengths(lengths)
    assert sorted(row for rows in groups for row in rows) == list(range(200))
    assert all(max(lengths[r] for r in rows) <= 1.3 * min(lengths[r] for r in rows) for rows in groups)


def test_the_linear_patch_embedding_is_the_convolution(gve: Gve) -> None:
    ours = gve.model.visual.patch_embed
    assert isinstance(ours, LinearPatchEmbed)
    native = Qwen2_5_VLModel(gve.model.config).visual.patch_embed
    native.load_state_dict(ours.state_dict())
    patches = torch.randn(40, 1176)
    torch.testing.assert_close(ours(patches), native(patches), atol=1e-5, rtol=1e-5)


def test_saved_and_loaded_it_gives_the_same_vectors_and_files(gve: Gve, tmp_path: Path) -> None:
    gve.save(tmp_path / "a")
    loaded = Gve.load(tmp_path / "a")
    assert loaded.settings == INPUTS
    assert np.array_equal(loaded.embed(SIDES), gve.embed(SIDES))
    loaded.save(tmp_path / "b")
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes(), file.name
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "a")
    assert tokenizer(TEXTS)["input_ids"] == [gve.inputs.tokenizer.encode(text).ids for text in TEXTS]


def test_loads_a_checkpoint_with_a_generation_head_and_none_of_our_files(gve: Gve, tmp_path: Path) -> None:
    whole = Qwen2_5_VLForConditionalGeneration(gve.model.config)
    whole.model.load_state_dict(gve.model.state_dict())
    whole.save_pretrained(tmp_path)
    gve.inputs.tokenizer.save(str(tmp_path / "tokenizer.json"))
    loaded = Gve.load(tmp_path)
    assert loaded.settings == InputSettings()
    assert np.array_equal(loaded.embed(SIDES[:1]), gve.embed(SIDES[:1]))


def test_a_folder_that_is_no_model_is_refused(gve: Gve, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"config\.json is missing"):
        Gve.load(tmp_path)
    gve.save(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    weights.pop("language_model.norm.weight")
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UsageError, match=r"norm\.weight"):
        Gve.load(tmp_path)


def test_the_tiny_model_has_the_published_shape(gve: Gve) -> None:
    config = tiny_config(gve.inputs.tokenizer, TinySettings(vocab_size=400))
    assert sum(config.text_config.rope_parameters["mrope_section"]) == 128 // 4 // 2
    assert config.vision_config.out_hidden_size == gve.dim == 128


def test_the_tokenizer_depends_on_the_texts_alone_and_reads_any_text(tmp_path: Path) -> None:
    """Trained again in another process, whose hash seeds differ, and from another order of the texts."""
    code = (
        "import json, sys; from train.tiny import train_tokenizer;"
        "print(train_tokenizer(json.loads(sys.argv[1]), 400).to_str())"
    )
    again = subprocess.run(
        [sys.executable, "-c", code, json.dumps(TEXTS[::-1])], capture_output=True, text=True, check=True
    )
    tokenizer = train_tokenizer(TEXTS, 400)
    assert again.stdout.strip() == tokenizer.to_str()
    strange = "Zażółć \x00\t gęślą 🦆 <|im_end|>"
    tokenizer.encode_special_tokens = True
    assert tokenizer.decode(tokenizer.encode(strange).ids, skip_special_tokens=False) == strange
