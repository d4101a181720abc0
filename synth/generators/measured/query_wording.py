"""Composed queries: what to add in words to a frame or a sub-clip so that they lead to the clip (appendix A.6).

The words lean on what is shown: they name one attribute to point at it, and the change only the
video has.
"""

from __future__ import annotations

from collections.abc import Iterator

from synth.generators.measured import phrases
from synth.generators.measured.facts import centre_of_change, events
from synth.generators.measured.observation import Look, Observation, Track
from synth.generators.measured.voice import Voice, listed, sentence, words

_FIND = ("find the video where", "look for the clip in which", "show me how")
_APART_S = 0.3  # seconds that must lie between the sub-clip and what is said to come before or after it
_CALM = 0.015  # share of pixels that change from sample to sample


def image_query(look: Look, seen: Observation, voice: Voice) -> str:
    """A query that goes with a picture `look` of the clip, 8 to 50 words."""
    options = [text for text in _about_things(look, seen, voice) if 8 <= words(text) <= 50]
    return sentence(voice.pick(*options) if options else _about_scene(look, seen, voice))


def _about_things(look: Look, seen: Observation, voice: Voice) -> Iterator[str]:
    """One query for every strategy that the shown things allow."""
    shown = {patch.colour: patch for patch in phrases.told_patches(look)}
    acting = [(track, verb) for track in phrases.told(seen)
              if track.patch.colour in shown and (verb := phrases.does(track, seen, voice))]  # fmt: skip
    find = voice.pick(*_FIND)
    if acting:
        track, verb = acting[0]
        thing = f"the {_pointed(track, look, voice)} in this {voice.pick('picture', 'image')}"
        yield f"{find} {thing} {verb}"
        if phrases.travels(track) and not phrases.resizes(track):
            yield f"{voice.pick(*_FIND[:2])} {thing} is not at rest but {verb}"
        elif seen.camera.move not in ("still", ""):
            yield f"{find} {thing} {verb} while {phrases.camera(seen.camera.move, look, voice)}"
    if len(acting) > 1:
        both = " and ".join(f"the {phrases.short(track.patch, look)} {verb}" for track, verb in acting[:2])
        yield f"{find} {both}, starting from this picture"
    for track in phrases.told(seen):
        if track.appears and track.patch.colour not in shown and track.patch.is_flat and phrases.is_drawn(look):
            scene = f"the {_colours(look)} scene of this picture"
            yield f"find the video of {scene} in which {_later(track)} {voice.word('appears')}"


def _pointed(track: Track, look: Look, voice: Voice) -> str:
    """One attribute is enough to point at a thing in a picture: its colour, or its form."""
    form = track.patch.form
    only_form = form and sum(patch.form == form for patch in phrases.told_patches(look)) == 1
    return (
        voice.pick(form, phrases.short(track.patch, look))
        if only_form
        else f"{track.patch.colour} {voice.pick('thing', 'part')}"
    )


def _later(track: Track) -> str:
    return f"something {track.patch.colour}"


def _colours(look: Look) -> str:
    return listed(phrases.palette(look, most=2) or ["many-coloured"])


def _about_scene(look: Look, seen: Observation, voice: Voice) -> str:
    """For a picture without things to point at: its colours, and what the video adds."""
    find = voice.pick("find the video of", "show me", "look for")
    shown = f"the same {_colours(look)} scene as in this {voice.pick('picture', 'image')}"
    return f"{find} {shown}, {_change(seen, look, voice)}"


def _change(seen: Observation, look: Look, voice: Voice) -> str:
    """What only the video shows, as a clause: the camera, then things, then light, then change as such."""
    if seen.camera.move not in ("still", ""):
        return f"while {phrases.camera(seen.camera.move, look, voice)}"
    if abs(seen.activity.light) > 0.12:
        return f"as it gets {'brighter' if seen.activity.light > 0 else 'darker'}"
    place = centre_of_change(seen.activity.places)
    if seen.activity.share > _CALM and place:
        return f"with movement mostly {place}"
    return "with little movement in it" if seen.activity.share < _CALM else "with movement in many places"


def video_query(seen: Observation, subclip_s: tuple[float, float], voice: Voice) -> str:
    """A query that goes with the stretch `subclip_s` (seconds) of the clip, 5 to 15 words."""
    options = [text for text in _around(seen, subclip_s, voice) if 5 <= words(text) <= 15]
    return sentence(voice.pick(*options) if options else _whole(seen, voice))


def _around(seen: Observation, subclip_s: tuple[float, float], voice: Voice) -> Iterator[str]:
    """What happens after and before the sub-clip, and what goes on."""
    start_s, stop_s = subclip_s
    for when, clause in events(seen, voice):
        if when > stop_s:
            yield f"this clip, going on until {clause}"
            yield f"what comes after this: {clause}"
        elif when < start_s:
            yield f"the moments before this, when {clause}"
    for track in phrases.told(seen):
        moving = [move for move in track.moves if move.kind not in ("still", "")]
        thing = f"the {phrases.short(track.patch, seen.look)}"
        if phrases.resizes(track):
            yield f"the longer shot of this, in which {thing} {'grows' if track.growth > 1 else 'shrinks'}"
        if len(moving) != 1:
            continue
        if moving[0].stop_s > stop_s + _APART_S:
            onward = f"{voice.pick('goes on', 'keeps moving')} {_onward(moving[0].kind, voice)}".strip()
            yield f"continue this: {thing} {onward}"
        if moving[0].start_s < start_s - _APART_S:
            yield f"this shot from earlier on, before {thing} got here"
    if seen.camera.move not in ("still", ""):
        yield f"the longer shot of this in which {phrases.camera(seen.camera.move, seen.look, voice)}"


def _onward(kind: str, voice: Voice) -> str:
    """The direction of a straight way, "" for a figure."""
    return phrases.direction(kind, voice) if kind in phrases.DIRECTIONS else ""


def _whole(seen: Observation, voice: Voice) -> str:
    """The shot around the sub-clip, with one thing that is true of all of it."""
    opening = voice.pick(
        "the whole shot around this clip",
        "the longer take that this is part of",
        "the same scene before and after this",
    )
    place = centre_of_change(seen.activity.places)
    if abs(seen.activity.light) > 0.12:
        return f"{opening}, getting {'brighter' if seen.activity.light > 0 else 'darker'}"
    return f"{opening}, with most change {place}" if place and seen.activity.share > _CALM else opening
