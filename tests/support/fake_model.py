"""What a model behind a chat endpoint would answer, for tests of everything around it: it sees colours only."""

import base64
import hashlib
import json
import re
from random import Random
from typing import Any

import numpy as np

from infra.media.decode import decode_image
from infra.sample_world.spec import THING_COLOURS

Body = dict[str, Any]
WORDS = re.findall(
    r"\w+",
    """slowly large small bright near far old round wide thin quiet empty busy early late soft warm cold heavy light
    river stone tower garden window street market bridge forest field harbour valley road table chair lamp door roof
    moves turns rises falls stops starts returns waits follows crosses enters leaves opens closes grows fades spins""",
)


def asked(body: Body) -> tuple[str, str]:
    """Kind and clip id of a request."""
    text = next(part["text"] for part in reversed(body["messages"][1]["content"]) if part["type"] == "text")
    found = re.search(r"Task: (\w+)\. clip_id (\w+)\.", text)
    assert found is not None
    return found[1], found[2]


def shown(body: Body) -> list[str]:
    """JPEG pictures of a request in base64, in their order."""
    parts = [part[part["type"]]["url"] for part in body["messages"][1]["content"] if part["type"] != "text"]
    return [picture for url in parts for picture in url.partition(",")[2].split(",")]


def colour(body: Body) -> str:
    """The name of the colour in the middle of the last picture."""
    picture = decode_image(base64.b64decode(shown(body)[-1])).astype(int)
    middle = picture[picture.shape[0] // 2, picture.shape[1] // 2]
    return min(THING_COLOURS, key=lambda name: int(np.abs(middle - THING_COLOURS[name]).sum()))


def describe(body: Body) -> str:
    """A right answer: of the schema, about what is shown, and like no other clip's."""
    kind, clip_id = asked(body)
    digest = hashlib.sha256("".join(shown(body)).encode()).hexdigest()
    random = Random(f"{kind} {digest} {body['seed']}")

    def words(count: int) -> str:
        return " ".join(random.choice(WORDS) for _ in range(count))

    start = f"The {colour(body)} thing is"
    if kind == "image_query":
        answer = {"query": f"{start} what this picture shows before it {words(8)}"}
    elif kind == "video_query":
        answer = {"query": f"What is next when the {words(5)}"}
    else:
        lengths = {"summary": 12, "detailed": 110, "abstract": 40, "keywords": 8, "partial": 20}
        answer = {name: f"{start} {words(count)}" for name, count in lengths.items()}
    return json.dumps({"clip_id": clip_id, **answer})
