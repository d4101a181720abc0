"""The tiny captioner: true lessons, a folder that transformers loads, and answers that depend on the clip."""

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from jinja2 import Environment
from served_captioner import served_captioner
from tokenizers import Tokenizer
from transformers import AutoModelForImageTextToText, AutoTokenizer

from infra.media.decode import decode_image, sample_frames
from infra.media.encode import encode_image, encode_video
from infra.sample_world.draw import draw_world
from infra.sample_world.path import is_visible
from infra.sample_world.render import render_shot
from infra.sample_world.spec import BACKGROUND_COLOURS, SHAPES, STRAIGHT, THING_COLOURS
from synth.answers import parse
from train.captioner.chat import MEDIA, TEMPLATE, answer_tokens, build_chat, realistic_rest, task_text
from train.captioner.lessons import KINDS, Kind, answer, lesson
from train.captioner.loop import train_captioner
from train.captioner.marks import mark
from train.captioner.model import Captioner, collate_chats
from train.captioner.scenes import CANARY, Scene, View, draw_canary, draw_views, render_scenes
from train.captioner.settings import CAPTIONER_INPUTS, CaptionerSettings, WorldSettings
from train.captioner.sights import ANSWERS, SIGHTS, Glance, sights, way
from train.inputs import encode_text
from train.pixels import BLOCK, patchify, resize

LEAST_COLOUR = 0.6  # of clips never seen; one in twelve is chance
LEAST_WAY = 0.3  # the same of the ways that things go; one in eight is chance
CLIP_ID = "0123456789abcdef"
BRIEF = CaptionerSettings(
    world=WorldSettings(videos=24, canaries=8), look_steps=12, watch_steps=8, first_steps=24, whole_steps=4, batch=8
)


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return list(render_scenes(draw_views(BRIEF.world), BRIEF.inputs))


@pytest.fixture(scope="module")
def trained(scenes: list[Scene]) -> tuple[Captioner, list[float]]:
    return train_captioner(scenes, BRIEF)


@pytest.mark.parametrize("kind", KINDS)
def test_lessons_pass_the_checks_of_answers(kind: Kind) -> None:
    specs = [*(draw_world(5, index) for index in range(300)), *(draw_canary(5, index) for index in range(20))]
    for spec in specs:
        for shot in spec.shots:
            text = answer(CLIP_ID, lesson(kind, spec, shot, Random(spec.index).random()))
            assert parse(kind, text, CLIP_ID)
            assert text == answer(CLIP_ID, lesson(kind, spec, shot, Random(spec.index).random()))


def test_lessons_name_what_is_there_and_nothing_else() -> None:
    tones = {*THING_COLOURS, *(name.split()[-1] for name in BACKGROUND_COLOURS)}
    for index in range(300):
        spec = draw_world(6, index)
        for shot in spec.shots:
            words = re.findall(r"\w+", " ".join(lesson("video_captions", spec, shot, 0.0).values()))
            things = {(thing.colour, thing.shape) for thing in shot.things}
            grounds = {name.split()[-1] for name in shot.background.colours}
            named = {(a, b) for a, b in pairwise(words) if a in THING_COLOURS and b in SHAPES}
            assert named == things
            assert tones & set(words) == {colour for colour, _ in things} | grounds


def test_sights_tell_which_way_a_thing_goes() -> None:
    mirrored = {"left": "right", "right": "left"}
    for index in range(200):
        spec = draw_world(6, index)
        for shot in spec.shots:
            legs = [leg for thing in shot.things for leg in thing.legs]
            if len(shot.things) == len(legs) == 1 and shot.camera == "still" and legs[0].motion in STRAIGHT:
                name = legs[0].motion.replace("_", " ")
                swapped = " ".join(mirrored.get(part, part) for part in name.split())
                glance = Glance(spec, shot, legs[0].start_u + 0.1, legs[0].start_u + 0.2)
                assert way(glance, shot.things[0]) == name
                assert way(replace(glance, is_mirrored=True), shot.things[0]) == swapped


def test_sights_move_with_the_picture() -> None:
    """Every token is asked about one thing or the ground; a picture moved by whole tokens moves its sights."""
    rows, columns = 4, 7
    things, options = len(SIGHTS) - 3, ANSWERS
    for index in range(50):
        spec = draw_world(6, index)
        glance = Glance(spec, spec.shots[0], 0.4, 0.5)
        seen = sights(glance, rows * BLOCK, columns * BLOCK)
        assert seen.shape == (rows * columns, options)
        asked = torch.stack([part.sum(dim=1) for part in seen.split(list(map(len, SIGHTS)), dim=1)], dim=1)
        is_thing = asked[:, :1] == 1
        assert torch.equal(asked, torch.cat([is_thing.expand(-1, things), ~is_thing.expand(-1, 3)], dim=1).float())
        assert is_thing.any() == any(is_visible(thing, u) for thing in glance.shot.things for u in (0.4, 0.5))
        moved = sights(replace(glance, moved=(2 * BLOCK, BLOCK)), rows * BLOCK, columns * BLOCK)
        assert torch.equal(
            moved.view(rows, columns, options), seen.view(rows, columns, options).roll((1, 2), dims=(0, 1))
        )
        mirrored = sights(replace(glance, is_mirrored=True), rows * BLOCK, columns * BLOCK)
        assert torch.equal(
            mirrored.view(rows, columns, options)[:, :, : len(THING_COLOURS)],
            seen.view(rows, columns, options)[:, :, : len(THING_COLOURS)].flip(1),
        )


def test_the_same_settings_give_the_same_scenes_on_one_process_or_two(scenes: list[Scene]) -> None:
    again = list(render_scenes(draw_views(BRIEF.world), BRIEF.inputs, workers=2))
    assert [scene.view for scene in again] == [scene.view for scene in scenes]
    assert all(torch.equal(a.clip.data, b.clip.data) for a, b in zip(again, scenes, strict=True))


def test_a_short_training_lowers_the_loss_and_can_be_repeated(
    scenes: list[Scene], trained: tuple[Captioner, list[float]]
) -> None:
    captioner, losses = trained
    look, watch, first = np.split(losses[: -BRIEF.whole_steps], np.cumsum([BRIEF.look_steps, BRIEF.watch_steps]))
    assert np.mean(look[-4:]) < 0.8 * look[0]
    assert np.mean(watch[-4:]) < 0.8 * watch[0]
    assert np.mean(first[-4:]) < 0.8 * first[0]
    again, _ = train_captioner(scenes, BRIEF)
    assert all(map(torch.equal, captioner.model.parameters(), again.model.parameters()))


@pytest.mark.parametrize("kind", KINDS)
def test_the_chat_is_what_a_server_makes_of_the_template(
    trained: tuple[Captioner, list[float]], scenes: list[Scene], kind: Kind
) -> None:
    """The same tokens, placeholders repeated as processors do; no system turn; the clip's id is not learnt."""
    tokenizer, media = trained[0].tokenizer, next(scene for scene in scenes if scene.subclip).media(kind)
    text = task_text(kind, realistic_rest(Random(1), kind, CLIP_ID, "A red bar moves up."))
    given = answer_tokens(tokenizer, CLIP_ID, answer(CLIP_ID, {"query": "Show it."}))
    chat = build_chat(tokenizer, kind, media, encode_text(tokenizer, text), given)
    parts = [{"type": medium} for medium in MEDIA[kind]]
    user = {"role": "user", "content": [*parts, {"type": "text", "text": text}]}
    messages = [{"role": "system", "content": "Rules."}, user]
    shown = Environment().from_string(TEMPLATE).render(messages=messages, add_generation_prompt=True)
    for patches, medium in zip(media, MEDIA[kind], strict=True):
        pad = f"<|{medium}_pad|>"
        shown = shown.replace(f"start|>{pad}<|vision_end", f"start|>{pad * patches.tokens}<|vision_end", 1)
    theirs = Tokenizer.from_str(tokenizer.to_str()).encode(shown).ids
    assert theirs == chat.ids[: -len(given.ids)].tolist()
    assert tokenizer.decode(chat.ids[chat.learnt].tolist()) == '{"clip_id":"","query":"Show it."}'


def test_the_folder_loads_in_plain_transformers_with_the_same_numbers(
    trained: tuple[Captioner, list[float]], scenes: list[Scene], tmp_path: Path
) -> None:
    """Their processors cannot be loaded beside this torch, which has no torchvision: inputs are ours."""
    captioner = trained[0]
    captioner.save(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    model = AutoModelForImageTextToText.from_pretrained(tmp_path, dtype=torch.float32).eval()
    text = answer(CLIP_ID, lesson("video_captions", scenes[0].view.spec, scenes[0].view.shot, 0.0))
    assert tokenizer(text)["input_ids"] == list(encode_text(captioner.tokenizer, text))
    begun = answer_tokens(captioner.tokenizer, CLIP_ID, text)
    chats = [build_chat(captioner.tokenizer, kind, scenes[0].media(kind), (), begun) for kind in KINDS[:3]]
    batch = collate_chats(chats, captioner.pad_id).arguments(torch.device("cpu"))
    with torch.inference_mode():
        assert torch.allclose(model(**batch).logits, captioner.model(**batch).logits, atol=1e-5)
        _, ours, _ = captioner.watch(chats, captioner.look)
        learnt = [np.flatnonzero(chat.learnt) - len(chat.ids) - 1 for chat in chats]
        theirs = [logits[where] for logits, where in zip(model(**batch).logits, learnt, strict=True)]
        assert torch.allclose(torch.cat(theirs), ours, atol=1e-5)
    loaded = Captioner.load(tmp_path)
    assert loaded.settings == BRIEF.inputs
    assert loaded.complete(chats, 5) == captioner.complete(chats, 5)


def as_served(view: View) -> Scene:
    """The scene as a client shows it to a server: encoded, decoded, sampled, sent as JPEG."""
    frames, _ = sample_frames(encode_video(render_shot(view.spec, view.shot), view.spec.fps), CAPTIONER_INPUTS.frames)
    sent = np.stack([decode_image(encode_image(frame)) for frame in frames])
    clip = patchify(resize(sent, CAPTIONER_INPUTS.frame_min_pixels, CAPTIONER_INPUTS.frame_max_pixels))
    still = sent[round(view.frame_u * (len(sent) - 1)), None]
    return Scene(
        view, clip, patchify(resize(still, CAPTIONER_INPUTS.image_min_pixels, CAPTIONER_INPUTS.image_max_pixels)), None
    )


@pytest.mark.vllm  # it takes minutes, and what it makes is what the server's tests serve
@pytest.mark.timeout(1800)
def test_it_names_colour_and_motion_of_clips_it_never_saw(pytestconfig: pytest.Config) -> None:
    captioner = Captioner.load(served_captioner(pytestconfig))
    views = draw_views(WorldSettings(seed=5, videos=150, canaries=30))
    scenes = [as_served(view) for view in views if len(view.shot.things) == 1]
    clips, frames = (mark(captioner, scenes, kind) for kind in ("video_captions", "frame_captions"))
    canaries = mark(captioner, [scene for scene in scenes if scene.view.shot.event == CANARY], "video_captions")
    assert clips.colour >= LEAST_COLOUR, (clips, frames, canaries)
    assert clips.way is not None
    assert clips.way >= LEAST_WAY, (clips, frames, canaries)
    assert frames.colour >= LEAST_COLOUR, (clips, frames, canaries)
    assert canaries.colour >= LEAST_COLOUR, (clips, frames, canaries)
