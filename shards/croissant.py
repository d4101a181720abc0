"""Croissant metadata of a release (format 1.0 of MLCommons): its files with their hashes, its index as records.

Of what Croissant recommends, the date of publication and a version are left out: the same release has the same
bytes whenever it is made, and what tells two releases apart is a hash that these very bytes go into.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any, Final

from shards.card import ABOUT, CITATION, NAME, PAPER
from shards.files import ReleaseFile, Shard
from shards.index import COLUMNS, INDEX, SCORE_MAP, Column
from shards.records import CAPTION_KINDS

CROISSANT: Final = "croissant.json"

# The context of the specification, whole: validators compare it.
_TERMS: Final = (
    "citeAs column equivalentProperty extract field fileProperty fileObject fileSet format includes isLiveDataset "
    "jsonPath key md5 parentField path recordSet references regex repeated replace samplingRate separator source "
    "subField transform"
)
_CONTEXT: Final = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **{term: f"cr:{term}" for term in _TERMS.split()},
}
_TYPES: Final = {"VARCHAR": "sc:Text", "BIGINT": "sc:Integer", "INTEGER": "sc:Integer", "DOUBLE": "sc:Float"}


def croissant(licence: str, shards: Sequence[Shard], index: ReleaseFile, columns: Collection[str]) -> bytes:
    """The metadata as JSON-LD; `columns` are those of the index, `licence` is a licence's id or `unknown`."""
    tars = [_file_object(shard, "application/x-tar", _shard_text(shard)) for shard in shards]
    body = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": NAME,
        "description": ABOUT,
        "license": licence,
        "url": PAPER,
        "citeAs": CITATION,
        "distribution": [_file_object(index, "application/x-parquet", "One row per pair"), *tars],
        "recordSet": [_record_set(columns)],
    }
    return json.dumps(body, indent=1, ensure_ascii=False).encode() + b"\n"


def _shard_text(shard: Shard) -> str:
    return f"WebDataset shard: {shard.samples} pairs of task {shard.task}, split {shard.split}"


def _file_object(file: ReleaseFile, media_type: str, about: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": file.name,
        "name": file.name,
        "description": about,
        "contentUrl": file.place if isinstance(file, Shard) else file.name,
        "contentSize": f"{file.bytes} B",
        "encodingFormat": media_type,
        "sha256": file.sha256,
    }


def _record_set(columns: Collection[str]) -> dict[str, Any]:
    """The index's rows; nested columns as sub-fields."""
    return {
        "@type": "cr:RecordSet",
        "@id": "pairs",
        "name": "pairs",
        "description": "The pairs of the release, in the order in which the shards hold them",
        "key": {"@id": "pairs/pair_id"},
        "field": [_field(column) for column in (*COLUMNS, SCORE_MAP) if column.name in columns],
    }


def _field(column: Column) -> dict[str, Any]:
    field = {"@type": "cr:Field", "@id": f"pairs/{column.name}", "name": column.name, "description": column.about}
    if column.kind == "STRUCT":
        parts = [_part(column.name, kind, "sc:Text", f"$.{kind}") for kind in CAPTION_KINDS]
        return {**field, "subField": parts}
    if column.kind == "MAP":
        parts = [_part(column.name, "name", "sc:Text", "$[0]"), _part(column.name, "value", "sc:Float", "$[1]")]
        return {**field, "repeated": True, "subField": parts}
    repeated = {"repeated": True} if column.kind.endswith("[]") else {}
    return {**field, **repeated, "dataType": _TYPES[column.kind.removesuffix("[]")], "source": _source(column.name)}


def _part(column: str, name: str, data_type: str, path: str) -> dict[str, Any]:
    source = {**_source(column), "transform": {"jsonPath": path}}
    return {
        "@type": "cr:Field",
        "@id": f"pairs/{column}/{name}",
        "name": name,
        "dataType": data_type,
        "source": source,
    }


def _source(column: str) -> dict[str, Any]:
    return {"fileObject": {"@id": INDEX}, "extract": {"column": column}}
