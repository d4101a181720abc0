"""The sample UVRB on disk, in the public layout, so that nothing but the pictures and the texts tells an answer.

Ids are hashes of ground truth, and tables are sorted by them. The files of one kind in a dataset have one size, one
number of frames and one frame rate.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice

from eval.sample_uvrb.analogue import Analogue, Asked, Dial
from eval.sample_uvrb.benchmark import draw_benchmark
from eval.sample_uvrb.truth import facts
from infra.errors import UsageError
from infra.media.encode import encode_image, encode_video
from infra.processes import process_pool
from infra.sample_world.render import render
from infra.sample_world.spec import VideoSpec
from infra.store import Store

MARK = "sample.json"  # written last: what the folder holds
TRUTH = "truth.jsonl"
_CRF, _GOP_S = 26, 4.0  # small files
_COMMENT_BYTES = 4  # that a JPEG's shortest comment takes; a box of an MP4 takes twice that


@dataclass(frozen=True)
class Medium:
    """Frames [first, end) of a video as a file; a picture where `is_image`."""

    spec: VideoSpec
    first: int
    end: int
    is_image: bool = False

    @property
    def id(self) -> str:
        """A name that says nothing of what is shown."""
        return _hash(self.spec.shots, self.first, self.end, self.is_image)

    @property
    def path(self) -> str:
        """Where a dataset has it."""
        return f"images/{self.id}.jpg" if self.is_image else f"videos/{self.id}.mp4"


def write_benchmark(folder: str, dial: Dial, workers: int = 1) -> None:
    """Write all sixteen analogues below `folder` (a path or URL); the same dial gives the same bytes.

    `<dataset>/truth.jsonl` has for every video what is true of it, for every query what it asks for. A folder that
    holds the same sample is left as it is. Raises UsageError for one that holds another sample, and as
    `draw_benchmark` does.
    """
    store, mark = Store(folder), json.dumps(asdict(dial), sort_keys=True).encode()
    if store.exists(MARK):
        if store.read(MARK) == mark:
            return
        raise UsageError(f"{folder} holds another sample ({store.read(MARK).decode()}): name another folder")
    analogues = draw_benchmark(dial)
    rendered = _rendered({medium for analogue in analogues for medium in _media(analogue)}, workers)
    written: dict[tuple[Medium, int], str] = {}
    for analogue in analogues:
        _write_media(store, analogue, rendered, written)
        _write_tables(store, analogue)
    store.write(MARK, mark)


def _media(analogue: Analogue) -> list[Medium]:
    return [*map(whole, analogue.videos), *(medium for asked in analogue.asked for medium in shown(asked))]


def whole(spec: VideoSpec) -> Medium:
    """A video from its first frame to its last."""
    return Medium(spec, 0, sum(shot.frames for shot in spec.shots))


def shown(asked: Asked) -> list[Medium]:
    """The picture or clip that goes with a query, if any."""
    if asked.image:
        spec, number = asked.image
        return [Medium(spec, number, number + 1, is_image=True)]
    return [Medium(*asked.clip)] if asked.clip else []


def _rendered(media: Iterable[Medium], workers: int) -> dict[Medium, bytes]:
    jobs = sorted(media, key=lambda medium: medium.id)
    if workers <= 1:
        return dict(zip(jobs, map(render_medium, jobs), strict=True))
    with process_pool(workers) as pool:
        return dict(zip(jobs, pool.map(render_medium, jobs, chunksize=8), strict=True))


def render_medium(medium: Medium) -> bytes:
    """The bytes of a file before they are brought to the size of others."""
    frames = islice(render(medium.spec), medium.first, medium.end)
    return encode_image(next(frames)) if medium.is_image else encode_video(frames, medium.spec.fps, _CRF, _GOP_S)


def _write_media(
    store: Store, analogue: Analogue, rendered: Mapping[Medium, bytes], written: dict[tuple[Medium, int], str]
) -> None:
    """Videos and the queries' media, each kind brought to one size; what another dataset has is linked."""
    videos = dict.fromkeys(map(whole, analogue.videos))
    queries = dict.fromkeys(medium for asked in analogue.asked for medium in shown(asked))
    for media in (videos, queries):
        size = max((len(rendered[medium]) for medium in media), default=0) + 2 * _COMMENT_BYTES
        for medium in media:
            name = f"{analogue.name}/{medium.path}"
            if (medium, size) in written:
                store.share(written[medium, size], name)
            else:
                store.write(name, padded(rendered[medium], size, medium.is_image))
                written[medium, size] = name


def padded(data: bytes, size: int, is_image: bool) -> bytes:
    """The same picture or video in exactly `size` bytes, at least 8 more: a comment in a JPEG, a free box in an MP4."""
    gap = size - len(data)
    if is_image:
        return data[:2] + b"\xff\xfe" + (gap - 2).to_bytes(2, "big") + bytes(gap - _COMMENT_BYTES) + data[2:]
    return data + gap.to_bytes(4, "big") + b"free" + bytes(gap - 2 * _COMMENT_BYTES)


def _write_tables(store: Store, analogue: Analogue) -> None:
    queries, instances, truth = [], [], []
    for asked in analogue.asked:
        name = query_id(analogue.name, asked)
        queries.append({"id": name, **_sides(asked)})
        instances.append({"qid": name, **_answers(analogue, asked)})
        truth.append({"id": name, "facts": sorted(asked.wanted)})
    media = list(map(whole, analogue.videos))
    corpus = [{"id": medium.id, "video": medium.path} for medium in media]
    truth += [{"id": medium.id, "facts": sorted(facts(medium.spec))} for medium in media]
    for table, rows in (("queries", queries), ("corpus", corpus), ("instances", instances)):
        store.write(f"{analogue.name}/jsonl/{table}.jsonl", _lines(rows))
    store.write(f"{analogue.name}/{TRUTH}", _lines(truth))


def query_id(dataset: str, asked: Asked) -> str:
    """The id of a query, from what it consists of."""
    return _hash(dataset, asked.text, [medium.id for medium in shown(asked)])


def _sides(asked: Asked) -> dict[str, str]:
    text = {"text": asked.text} if asked.text else {}
    return text | {"image" if medium.is_image else "video": medium.path for medium in shown(asked)}


def _answers(analogue: Analogue, asked: Asked) -> dict[str, list[str]]:
    """`pos`, and `neg` where a query brings its own candidates."""
    right = sorted(whole(spec).id for spec in analogue.positives(asked))
    others = sorted({whole(spec).id for spec in asked.candidates} - set(right))
    return {"pos": right, **({"neg": others} if asked.candidates else {})}


def _lines(rows: Sequence[Mapping[str, object]]) -> bytes:
    """JSON lines, sorted by id."""
    ordered = sorted(rows, key=lambda row: str(row.get("id", row.get("qid"))))
    return "".join(json.dumps(row) + "\n" for row in ordered).encode()


def _hash(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
