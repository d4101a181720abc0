"""The pairs that the page shows with their media: chosen, read and made into film strips and data URIs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from infra.errors import ReleaseCorrupt, RowError
from infra.media.decode import sample_frames
from infra.media.encode import encode_image, scale_to_height
from infra.media.reader import Picture
from infra.page import data_uri
from shards.manifest import Manifest
from shards.preview.facts import Facts
from shards.preview.survey import spread
from shards.reader import parse_pair, read_samples
from shards.records import Pair, Side

# In the order of the page: what moves first.
SHOWN = ("T2V", "TI2V", "TV2V", "I2V", "V2V", "T2I", "T2T")
STRIPS = 24  # clips of the contact sheet
STRIP_FRAMES, STRIP_HEIGHT, SEAM = 3, 120, 2  # pixels
MEDIA_BYTES = 10_000_000  # of all samples, before base64 makes 4 of every 3
JPEG_QUALITY = 80


@dataclass(frozen=True)
class Shown:
    """One side of a sample as the page needs it: texts and data URIs."""

    text: str | None
    image: str | None
    video: str | None
    poster: str | None  # what stands in the player before it plays


@dataclass(frozen=True)
class Sample:
    """One pair to look at."""

    facts: Facts
    query: Shown
    target: Shown


@dataclass(frozen=True)
class Strip:
    """One clip of the contact sheet: a film strip as a data URI, and one of its captions."""

    facts: Facts
    picture: str
    width: int
    height: int


@dataclass(frozen=True)
class Gallery:
    """Everything with pictures on the page; `left_out` are samples by task that would have made it too big."""

    strips: tuple[Strip, ...]
    samples: Mapping[str, tuple[Sample, ...]]
    left_out: Mapping[str, int]


def make_gallery(
    release: Manifest, drawn: Mapping[str, Sequence[Facts]], count: int, most_bytes: int = MEDIA_BYTES
) -> Gallery:
    """Up to `count` samples of every task, and a contact sheet of captioned clips.

    Only shards that hold a wanted pair are read, and no more than `most_bytes` of samples and one more
    pair are held at any time. Raises ReleaseCorrupt when a pair's media are missing or cannot be decoded.
    """
    sheet = spread(drawn["T2V"])[:STRIPS]
    chosen = {task: spread(drawn[task])[:count] for task in SHOWN if drawn[task]}
    turns = {pair.pair_id: turn for pairs in chosen.values() for turn, pair in enumerate(pairs)}
    on_sheet = {pair.pair_id: pair for pair in sheet}
    strips: dict[str, Strip] = {}
    held: dict[str, Pair] = {}
    for pair in _read(release, [*sheet, *(pair for pairs in chosen.values() for pair in pairs)]):
        if pair.pair_id in on_sheet:
            strips[pair.pair_id] = _strip(on_sheet[pair.pair_id], pair.target.video or b"")
        if pair.pair_id in turns:
            held[pair.pair_id] = pair
            _make_room(held, turns, most_bytes)
    samples = {
        task: tuple(_sample(facts, held[facts.pair_id]) for facts in pairs if facts.pair_id in held)
        for task, pairs in chosen.items()
    }
    left_out = {task: len(pairs) - len(samples[task]) for task, pairs in chosen.items()}
    return Gallery(tuple(strips[pair.pair_id] for pair in sheet), samples, left_out)


def _read(release: Manifest, wanted: Iterable[Facts]) -> Iterator[Pair]:
    """The wanted pairs with their media; a shard is read no further than the last of them."""
    by_shard: dict[str, set[str]] = {}
    for facts in wanted:
        by_shard.setdefault(facts.shard, set()).add(facts.pair_id)
    for shard in release.shards:
        missing = by_shard.get(shard.name, set())
        path = release.path(shard)
        samples = read_samples(path) if missing else iter(())
        for key, members in samples:
            if key in missing:
                yield parse_pair(members, f"{path}: sample {key}")
                missing.remove(key)
            if not missing:
                break


def _make_room(held: dict[str, Pair], turns: Mapping[str, int], most_bytes: int) -> None:
    """Let go of the biggest samples until the rest fits; the first one of a task goes last."""
    while sum(_size(pair) for pair in held.values()) > most_bytes:
        del held[max(held, key=lambda pair_id: (turns[pair_id] > 0, _size(held[pair_id]), pair_id))]


def _size(pair: Pair) -> int:
    return sum(len(media) for side in (pair.query, pair.target) for media in (side.image, side.video) if media)


def _sample(facts: Facts, pair: Pair) -> Sample:
    return Sample(facts, _shown(pair.query, facts), _shown(pair.target, facts))


def _shown(side: Side, facts: Facts) -> Shown:
    return Shown(
        text=side.text,
        image=data_uri(side.image, "image/jpeg") if side.image else None,
        video=data_uri(side.video, "video/mp4") if side.video else None,
        poster=data_uri(_jpeg(_frames(side.video, facts, 1)[0]), "image/jpeg") if side.video else None,
    )


def _strip(facts: Facts, video: bytes) -> Strip:
    """Frames of a clip side by side on black, all of one height."""
    frames = [scale_to_height(frame, STRIP_HEIGHT) for frame in _frames(video, facts, STRIP_FRAMES)]
    seamed = [np.pad(frame, ((0, 0), (0, SEAM), (0, 0))) for frame in frames[:-1]]
    strip = np.concatenate([*seamed, frames[-1]], axis=1)
    return Strip(facts, data_uri(_jpeg(strip), "image/jpeg"), strip.shape[1], strip.shape[0])


def _frames(video: bytes, facts: Facts, count: int) -> Picture:
    try:
        return sample_frames(video, count)[0]
    except RowError as error:
        raise ReleaseCorrupt(f"{facts.shard}: a clip of pair {facts.pair_id} cannot be shown: {error}") from error


def _jpeg(picture: Picture) -> bytes:
    return encode_image(picture, JPEG_QUALITY)
