"""The dataset card of a release: README.md with the YAML header that Hugging Face reads.

It does not name the release's id, which is a hash that the card itself goes into.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Any, Final

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from infra.store import is_external
from shards.files import Shard, count_pairs
from shards.index import COLUMNS, SCORE_MAP
from shards.records import SPLITS, TASKS

CARD: Final = "README.md"
NAME: Final = "universal-video-retrieval"
PAPER: Final = "https://arxiv.org/abs/2510.27571"
ABOUT: Final = (
    "Pairs of queries and targets for seven tasks of video retrieval, made from clips of videos: "
    "captions, composed queries, frames and sub-clips, in WebDataset shards."
)
CITATION: Final = f"""\
@article{{uvr2025,
  title = {{Towards Universal Video Retrieval}},
  year = {{2025}},
  eprint = {{2510.27571}},
  archivePrefix = {{arXiv}},
  url = {{{PAPER}}}
}}"""
UNKNOWN: Final = "unknown"  # a licence that nobody named; also what Hugging Face calls it

# Identifiers of common licences that Hugging Face knows; any other is shown as `other`.
_LICENCES: Final = frozenset(
    {"apache-2.0", "mit", "bsd-3-clause", "cc0-1.0", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0"}
    | {"cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc-by-nc-nd-4.0", "cc-by-nd-4.0", "pddl", "odc-by", UNKNOWN}
)
_SIZES: Final = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"))


def card(
    shards: Sequence[Shard],
    facts: Mapping[str, Any],
    licences: Mapping[str, int],
    columns: Collection[str],
    removed: int = 0,
) -> bytes:
    """The card as Markdown.

    `facts` are the manifest's, `licences` counts source videos by licence, `columns` are those of the index,
    `removed` are source videos that releases held once.
    """
    pairs = count_pairs(shards)
    text = _template().render(
        about=ABOUT,
        header=yaml.safe_dump(header(shards, licences), sort_keys=False, allow_unicode=True),
        tasks=[task for task in TASKS if task in pairs],
        splits=SPLITS,
        pairs=pairs,
        shards=shards,
        funnel=facts.get("funnel", []),
        shortage=facts.get("shortage", {}),
        negatives=facts.get("negatives", []),
        evaluation_sets=sorted({row["evaluation_set"] for row in facts.get("decontamination", [])}),
        author=caption_author(facts.get("recipe", {})),
        licences=licences,
        unknown=UNKNOWN,
        removed=removed,
        elsewhere=sum(1 for shard in shards if shard.home),
        columns=[column for column in (*COLUMNS, SCORE_MAP) if column.name in columns],
        citation=CITATION,
    )
    return text.encode()


def header(shards: Sequence[Shard], licences: Mapping[str, int]) -> dict[str, Any]:
    """The YAML header: what Hugging Face lists, and for every task the tars of its splits."""
    pairs = count_pairs(shards)
    return {
        "pretty_name": "Universal video retrieval pairs",
        "license": licence_id(licences),
        "language": ["en"],
        "task_categories": ["text-retrieval", "feature-extraction"],
        "size_categories": [size_category(sum(shard.samples for shard in shards))],
        "tags": ["video-retrieval", "video", "webdataset", "croissant", "arxiv:2510.27571"],
        "configs": [
            {
                "config_name": task,
                "data_files": [
                    {"split": split, "path": _tars(shards, task, split)} for split in SPLITS if split in pairs[task]
                ],
            }
            for task in TASKS
            if task in pairs
        ],
    }


def _tars(shards: Sequence[Shard], task: str, split: str) -> str | list[str]:
    """The tars of one task and split, as a pattern where all lie beside the card; other folders hold other tars too."""
    places = [shard.place for shard in shards if (shard.task, shard.split) == (task, split)]
    return places if any("/" in place for place in places) else f"{split}-{task}-*.tar"


def licence_id(licences: Mapping[str, int]) -> str:
    """The licence of the whole, as Hugging Face calls it: the one that all videos have, else `other` or `unknown`."""
    names = {name.lower() for name in licences}
    if len(names) > 1:
        return "other"
    name = next(iter(names), UNKNOWN)
    return name if name in _LICENCES else "other"


def size_category(pairs: int) -> str:
    """The size as Hugging Face puts it."""
    return next((name for most, name in _SIZES if pairs < most), "1M<n<10M")


def caption_author(recipe: Mapping[str, Any]) -> str:
    """Who wrote the texts by a recipe: the name of a model without where it lay; "" when the recipe does not tell."""
    generator = recipe.get("captions", {}).get("generator", {})
    model = str(generator.get("model") or "")
    if is_external(model):
        model = model.rstrip("/").rsplit("/", 1)[-1]
    return model or str(generator.get("kind") or "")


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("shards", ""),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("card.md")
