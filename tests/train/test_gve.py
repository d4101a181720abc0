"""The embedder: pooling, padding, saving, and checkpoints that others wrote."""

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from gve_sides import INPUTS, SIDES, TEXTS, clip
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoTokenizer, Qwen2_5_VLForConditionalGeneration

from infra.errors import UsageError
from shards.records import INSTRUCTIONS, Side
from train.gve import Gve, pool_last, similar_lengths
from train.inputs import collate
from train.settings import InputSettings, TinySettings
from train.tiny import tiny_config, train_tokenizer


@pytest.fixture(scope="module")
def gve() -> Gve:
    return Gve.tiny(TEXTS, TinySettings(layers=2, vocab_size=400), INPUTS, seed=0)


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
        padded = gve.encode_batch(collate(prepared, gve.pad_id)).numpy()
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(padded, alone, atol=1e-5)


@hypothesis_settings(max_examples=15, deadline=None)
@given(st.lists(st.sampled_from(range(len(SIDES))), min_size=1, max_size=6))
def test_whatever_batch_a_side_is_in_its_vector_is_the_same(gve: Gve, chosen: list[int]) -> None:
    alone = np.concatenate([gve.embed(SIDES[row : row + 1], "Find it.") for row in chosen])
    np.testing.assert_allclose(gve.embed([SIDES[row] for row in chosen], "Find it."), alone, atol=1e-5)


def test_a_prompt_over_the_limit_keeps_its_media_and_loses_the_text_s_end(gve: Gve) -> None:
    """At the released limit of 8192 tokens; what was cut off changes nothing, and what is left is in place."""
    released = Gve(gve.model, gve.inputs.tokenizer, replace(INPUTS, max_tokens=InputSettings.max_tokens))
    video = clip(96, 160, 9)
    longer, longest = (Side(text="word " * words, video=video) for words in (9000, 9100))
    prepared = released.inputs.prepare(longer, "Find it.")
    assert len(prepared.ids) == 8192
    pad = released.model.config.video_token_id
    short = released.inputs.prepare(Side(video=video), "Find it.")
    assert prepared.video is not None
    assert (prepared.ids == pad).sum() == (short.ids == pad).sum() == prepared.video.tokens
    assert prepared.ids[-1] == released.pad_id
    assert np.array_equal(prepared.ids, released.inputs.prepare(longest, "Find it.").ids)
    assert np.isfinite(released.embed([longer])).all()


def test_pooling_finds_the_last_attended_position_on_either_side() -> None:
    hidden = torch.arange(24.0).view(2, 4, 3)
    mask = torch.tensor([[0, 0, 1, 1], [1, 1, 0, 0]])
    assert torch.equal(pool_last(hidden, mask), torch.stack([hidden[0, 3], hidden[1, 1]]))


def test_groups_hold_every_row_once_and_similar_lengths() -> None:
    lengths = np.random.default_rng(0).integers(1, 300, 200).tolist()
    groups = similar_lengths(lengths)
    assert sorted(row for rows in groups for row in rows) == list(range(200))
    assert all(max(lengths[r] for r in rows) <= 1.3 * min(lengths[r] for r in rows) for rows in groups)


def test_saved_and_loaded_it_gives_the_same_vectors_and_files(gve: Gve, tmp_path: Path) -> None:
    gve.save(tmp_path / "a")
    loaded = Gve.load(tmp_path / "a")
    assert loaded.settings == INPUTS
    assert AutoConfig.from_pretrained(tmp_path / "a").gve == asdict(INPUTS)
    assert np.array_equal(loaded.embed(SIDES), gve.embed(SIDES))
    loaded.save(tmp_path / "b")
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes(), file.name
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "a")
    assert tokenizer(TEXTS)["input_ids"] == [gve.inputs.tokenizer.encode(text).ids for text in TEXTS]


def test_loads_a_checkpoint_with_a_generation_head_and_none_of_our_files(gve: Gve, tmp_path: Path) -> None:
    whole = Qwen2_5_VLForConditionalGeneration(
        tiny_config(gve.inputs.tokenizer, TinySettings(layers=2, vocab_size=400))
    )
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


def test_settings_that_a_checkpoint_cannot_have_are_refused(gve: Gve, tmp_path: Path) -> None:
    gve.save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"gve": config["gve"] | {"frame": 8}}))
    with pytest.raises(UsageError, match=r"config\.json, gve.*frames"):
        Gve.load(tmp_path)


def test_in_bfloat16_it_embeds_nearly_alike_in_float32(gve: Gve, tmp_path: Path) -> None:
    gve.save(tmp_path)
    half = Gve.load(tmp_path, dtype=torch.bfloat16)
    assert {weight.dtype for weight in half.model.parameters()} == {torch.bfloat16}
    assert {buffer.dtype for buffer in half.model.buffers()} == {torch.float32}, "rotary frequencies are fine"
    vectors = half.embed(SIDES)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert (vectors * gve.embed(SIDES)).sum(axis=1).min() > 0.999


def test_it_starts_from_random_weights_in_the_shape_of_an_architecture(gve: Gve, tmp_path: Path) -> None:
    """Of a folder's here; named ones are made alike, on the device that they shall be measured on."""
    gve.save(tmp_path)
    begun = [Gve.start(str(tmp_path), gve.inputs.tokenizer, seed) for seed in (1, 1, 2)]
    assert {weight.dtype for weight in begun[0].model.parameters()} == {torch.bfloat16}
    assert {buffer.dtype for buffer in begun[0].model.buffers()} == {torch.float32}
    shapes = [{name: weight.shape for name, weight in g.model.named_parameters()} for g in (gve, begun[0])]
    assert shapes[0] == shapes[1]
    first, again, other = (one.embed(SIDES[:2]) for one in begun)
    assert np.array_equal(first, again)
    assert not np.allclose(first, other, atol=0.1)
    with pytest.raises(UsageError, match="more than the model's 388 tokens"):
        Gve.start(str(tmp_path), train_tokenizer([*TEXTS, "some more words to merge, many of them"], 420), 1)


def test_the_tiny_model_has_the_published_shape(gve: Gve) -> None:
    config = tiny_config(gve.inputs.tokenizer, TinySettings(layers=2, vocab_size=400))
    assert sum(config.text_config.rope_parameters["mrope_section"]) == 96 // 4 // 2
    assert config.vision_config.out_hidden_size == gve.dim == 96


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


def test_words_of_the_prompt_stay_whole_however_many_texts_there_are() -> None:
    """The system prompt, the roles and the instruction stand in every prompt; in letters they were half of it."""
    drawn = Random(7)
    words = ["".join(drawn.choices("abcdefghijklmnoprstuvw", k=drawn.randint(3, 8))) for _ in range(500)]
    texts = [" ".join(drawn.choices(words, k=12)) for _ in range(5000)]
    tokenizer = Gve.tiny(texts, TinySettings(), INPUTS, seed=0).inputs.tokenizer
    for part in ("system\n", "user\n", "assistant\n", InputSettings.default_instruction, INSTRUCTIONS["T2V"]):
        tokens = tokenizer.encode(part).tokens
        assert len(tokens) <= len(part.replace(".", " .").replace("\n", " n").split()), tokens
