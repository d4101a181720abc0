"""Recipes as text: the TOML of a table, with comments. Python's own library only reads it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")


def to_toml(table: Mapping[str, Any], comments: Mapping[str, str] = MappingProxyType({})) -> str:
    """A table as TOML 1.0: values before sections, one section for every table inside; read back it is the same.

    `comments` stand above the keys or sections that they are for, by their dotted names.
    """
    return "\n".join(_section(table, (), comments)).strip() + "\n"


def to_inline(value: Any) -> str:
    """One value as TOML on one line, as `--set` takes it; raises TypeError for what no recipe holds."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(name)} = {to_inline(entry)}" for name, entry in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(to_inline, value)) + "]"
    if isinstance(value, str | bool):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # which JSON lets stand
    if isinstance(value, int | float):
        return repr(value)
    raise TypeError(f"a {type(value).__name__} is no value of a recipe")


def _section(table: Mapping[str, Any], path: tuple[str, ...], comments: Mapping[str, str]) -> Iterator[str]:
    for name, value in table.items():
        if not isinstance(value, Mapping):
            yield from _commented((*path, name), comments)
            yield f"{_key(name)} = {to_inline(value)}"
    for name, value in table.items():
        if isinstance(value, Mapping):
            here = (*path, name)
            if not value or any(not isinstance(entry, Mapping) for entry in value.values()):
                yield ""
                yield from _commented(here, comments)
                yield f"[{'.'.join(map(_key, here))}]"
            yield from _section(value, here, comments)


def _commented(path: tuple[str, ...], comments: Mapping[str, str]) -> Iterator[str]:
    for line in comments.get(".".join(path), "").splitlines():
        yield f"# {line}"


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else to_inline(name)
