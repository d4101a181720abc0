"""A toy release that tells all a release can tell, with texts that try to be more than texts."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from toy_release import toy_pairs, write_release

from shards.manifest import Manifest, load_manifest
from shards.records import CAPTION_KINDS

EVIL = """<script>document.title = "run"</script><img src="x" onerror="document.title=1">' & {{ 7 * 7 }} </style>"""
FUNNEL = [
    {"name": "sources", "in": 50, "out": 50, "parents": 50, "dropped": 0, "quarantined": 0, "pending": 0},
    {"name": "spans", "in": 50, "out": 120, "parents": 44, "dropped": 3, "quarantined": 2, "pending": 1},
    {"name": "quality", "in": 120, "out": 48, "parents": 48, "dropped": 72, "quarantined": 0, "pending": 0},
]


def told(sample: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The sample with more facts in its JSON."""
    return sample | {"json": json.dumps(json.loads(sample["json"]) | more).encode()}


def rich_pairs() -> Iterable[dict[str, Any]]:
    """The toy pairs, four clips of a source video, with all that a release can tell, texts hostile among them."""
    for place, sample in enumerate(toy_pairs()):
        number = place // 3
        query = json.loads(sample["json"])["query_text"]
        text = f"A caption of clip {number}. {EVIL}"
        yield told(
            sample,
            video_id=f"{number // 4:032x}",
            clip_id=f"clip{number}",
            source=f"films/{EVIL}{number // 4}.mp4",
            start_s=float(number % 4 * 10),
            end_s=number % 4 * 10 + 2.0 + number / 8,
            width=640 if number % 3 else 1280,
            height=360 if number % 3 else 720,
            captions={kind: f"{kind}: {text}" for kind in CAPTION_KINDS},
            weak_caption=text,
            scores={"sharp<b>ness": number / 48},
            **({"query_text": f"{query} {EVIL}"} if query else {}),
        )


def write_rich(folder: Path) -> Manifest:
    """Write the rich pairs as a release with a funnel and quotas."""
    path = Path(write_release(folder, rich_pairs()))
    facts = {"funnel": FUNNEL, "quotas": {"T2V": 50, "I2V": 48, "T2T": 48}}
    path.write_text(json.dumps(json.loads(path.read_text()) | facts))
    return load_manifest(str(path))
