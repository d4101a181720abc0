"""Which weights a model's name stands for, so that other weights in the same folder are another model."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import cache
from pathlib import Path

from synth.generators.settings import GeneratorSettings


def pinned(settings: GeneratorSettings) -> GeneratorSettings:
    """Settings as they decide what is made: a local folder by its name and its content, wherever it lies.

    The measured generator has no model, so nothing said about one counts.
    """
    if settings.kind == "measured":
        return GeneratorSettings()
    folder = Path(settings.model).expanduser()
    if settings.kind != "vllm" or not folder.is_dir():
        return settings
    revision = settings.revision or digest(str(folder.resolve()))
    return replace(settings, model=served_name(settings.model), revision=revision)


def served_name(model: str) -> str:
    """What a server calls the model: a folder's own name, or the hub's id."""
    folder = Path(model).expanduser()
    return folder.resolve().name if folder.is_dir() else model


@cache
def digest(folder: str) -> str:
    """16 hex digits of all files of a model's folder; gigabytes take a while, so it is read once a process."""
    whole = hashlib.sha256()
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
            whole.update(f"{path.relative_to(folder)} {content}\n".encode())
    return whole.hexdigest()[:16]
