"""The embedded generator: measures pixels and says only what it measured; no weights, no network."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from random import Random
from typing import Final

import cv2

from synth.generator import Answer, Request
from synth.generators.measured.frame_wording import frame_captions
from synth.generators.measured.measure import measure_clip, measure_image
from synth.generators.measured.observation import Observation
from synth.generators.measured.query_wording import image_query, video_query
from synth.generators.measured.voice import Voice
from synth.generators.measured.wording import clip_captions

MODEL: Final = "measured"
VERSION: Final = "1"  # raise it when the same media may be worded differently


class Measured:
    """Answers every kind of request; the same request always gets the same answer."""

    def __init__(self) -> None:
        cv2.setNumThreads(1)  # workers share the cores among themselves

    @property
    def at_once(self) -> int:
        """One thread: it computes."""
        return 1

    def watched(self) -> AbstractContextManager[None]:
        """Nothing to watch: what is measured cannot get into another clip's answer."""
        return nullcontext()

    def answer(self, requests: Sequence[Request]) -> list[Answer]:
        """Answers for `requests`, each clip measured once; raises RowError for media that cannot be read."""
        seen: dict[bytes, Observation] = {}
        return [Answer(json.dumps(self._content(r, seen)), MODEL, VERSION) for r in requests]

    def _content(self, request: Request, seen: dict[bytes, Observation]) -> dict[str, str]:
        slots = request.slots
        random = Random(f"{request.seed} {request.kind} {request.clip_id}")
        voice = Voice(random, slots.get("readability", ""), slots.get("education_level", ""))
        profile = slots.get("profile", "")
        if request.kind == "frame_captions":
            found = frame_captions(measure_image(request.frame), voice, profile)
            return {"clip_id": request.clip_id, **found}
        if request.video not in seen:
            seen[request.video] = measure_clip(request.video, request.duration_s)
        clip = seen[request.video]
        if request.kind == "video_captions":
            return {"clip_id": request.clip_id, **clip_captions(clip, voice, profile)}
        if request.kind == "image_query":
            query = image_query(measure_image(request.frame), clip, voice)
        else:
            query = video_query(clip, request.subclip_s, voice)
        return {"clip_id": request.clip_id, "query": query}
