"""From a request to the body of a chat completion, as any OpenAI-compatible endpoint takes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from infra.errors import RowError
from synth.answers import json_schema
from synth.generator import Request
from synth.generators.endpoint.media import Shown, frames_of, picture_of
from synth.generators.settings import GeneratorSettings
from synth.prompts.render import Prompt, render

_MOST_QUOTED: Final = 2000  # characters of a faulty answer that are shown to its writer again


@dataclass(frozen=True)
class Question:
    """The words and pictures of one request."""

    request: Request
    prompt: Prompt
    content: tuple[dict[str, Any], ...]
    frames_per_s: float = 0.0  # of the clip as it is shown; 0 where none is


def compose(request: Request, settings: GeneratorSettings) -> Question:
    """Sample and encode what the request shows, in the order of its prompt; raises RowError of the media."""
    count, most = settings.frames, settings.max_frame_pixels
    clip = Shown((), ()) if request.kind == "frame_captions" else frames_of(request.video, count, most)
    content: list[dict[str, Any]] = []
    if request.kind in ("frame_captions", "image_query"):
        content += _pictures(picture_of(request.frame, most))
    if request.kind == "video_query":
        content += _clip(frames_of(request.subclip, count, most), settings)
    if request.kind != "frame_captions":
        content += _clip(clip, settings)
    prompt = render(request, clip.times_s)
    return Question(request, prompt, (*content, {"type": "text", "text": prompt.user}), _rate(clip.times_s))


def _rate(times_s: Sequence[float]) -> float:
    return (len(times_s) - 1) / (times_s[-1] - times_s[0]) if times_s and times_s[-1] > times_s[0] else 0.0


def _clip(clip: Shown, settings: GeneratorSettings) -> list[dict[str, Any]]:
    """Frames as one video, or one by one, each with its time."""
    if settings.media == "images":
        parts = zip(_pictures(clip), clip.times_s, strict=True)
        return [part for image, time in parts for part in ({"type": "text", "text": f"{time:.2f} s:"}, image)]
    # vLLM's way to hand over frames that were sampled already.
    return [{"type": "video_url", "video_url": {"url": f"data:video/jpeg;base64,{','.join(clip.pictures)}"}}]


def _pictures(shown: Shown) -> list[dict[str, Any]]:
    return [
        {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{picture}"}} for picture in shown.pictures
    ]


def body(question: Question, settings: GeneratorSettings, attempt: int, faulty: tuple[str, RowError] | None) -> Any:
    """The chat completion to ask for; after a `faulty` answer, with that answer and what is wrong with it."""
    sampling, request = settings.sampling, question.request
    # vLLM's own: it is told when the frames were taken, and to take no fewer of them than it is sent.
    shown = {"fps": question.frames_per_s, "num_frames": -1}
    is_video = settings.media == "video" and question.frames_per_s
    return {
        **({"media_io_kwargs": {"video": shown}} if is_video else {}),
        "model": settings.model,
        "messages": [
            {"role": "system", "content": question.prompt.system},
            {"role": "user", "content": list(question.content)},
            *(_correction(*faulty) if faulty else ()),
        ],
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_tokens,
        "seed": sampling.seed + attempt,
        "response_format": {
            "type": "json_schema",
            "json_schema": {
                "name": request.kind,
                "strict": True,
                "schema": json_schema(request.kind, request.clip_id),
            },
        },
    }


def _correction(text: str, fault: RowError) -> Sequence[dict[str, str]]:
    wanted = f"This answer cannot be used. {fault.message}. Answer again with the whole JSON object, this mended."
    return {"role": "assistant", "content": text[:_MOST_QUOTED]}, {"role": "user", "content": wanted}
