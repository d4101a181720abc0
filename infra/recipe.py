"""Recipes: one strict TOML file whose sections are the settings dataclasses of the stages.

A key that no dataclass has is an error, with the nearest known name; so is a value of the wrong type.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar, get_type_hints

from pydantic import TypeAdapter, ValidationError

from infra.errors import UsageError

T = TypeVar("T")


class Settings:
    """Base of every settings dataclass: pydantic refuses keys it does not have."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}


def load_recipe(
    kind: type[T], path: str | None = None, overrides: Iterable[str] = (), presets: Mapping[str, str] | None = None
) -> T:
    """The recipe in the file `path` (defaults where it is silent) with `section.key=value` overrides.

    `preset = "NAME"` at the top of the file, or among the overrides, lays the TOML text of that name in
    `presets` beneath. Raises UsageError that names the key at fault.
    """
    table: dict[str, Any] = {}
    if path is not None:
        try:
            table = tomllib.loads(Path(path).read_text())
        except FileNotFoundError as error:
            raise UsageError(f"no recipe at {path}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UsageError(f"recipe {path} is not valid TOML: {error}") from error
    own: dict[str, Any] = {}
    for override in overrides:
        _override(own, override)
    table = overlay(table, own)
    if (preset := table.pop("preset", None)) is not None:
        table = overlay(_preset(str(preset), presets or {}), table)
    return build(kind, table)


def _preset(name: str, presets: Mapping[str, str]) -> dict[str, Any]:
    if name not in presets:
        raise UsageError(f"recipe: no preset {name!r}; there are {', '.join(sorted(presets)) or 'none'}")
    return tomllib.loads(presets[name])


def overlay(base: Mapping[str, Any], table: dict[str, Any]) -> dict[str, Any]:
    """`base` with what `table` says, section by section."""
    merged = dict(base)
    for key, value in table.items():
        below = base.get(key)
        merged[key] = overlay(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def build(kind: type[T], table: dict[str, Any]) -> T:
    """The settings dataclass `kind` filled from `table`; raises UsageError.

    What a section of `table` is silent about stays what the section is by default in `kind`, which need not be
    what its own dataclass has as defaults.
    """
    _check_names(kind, table, "")
    try:
        return TypeAdapter(kind).validate_python(_laid_over(_defaults(kind), table))
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise UsageError(f"recipe: {found}") from error


def _defaults(kind: type) -> dict[str, Any]:
    made = {field.name: field.default_factory() for field in fields(kind) if field.default_factory is not MISSING}
    return made | {field.name: field.default for field in fields(kind) if field.default is not MISSING}


def _laid_over(defaults: Mapping[str, Any], table: Mapping[str, Any]) -> dict[str, Any]:
    """`table` with what each of its sections is silent about, from the dataclass that the section is by default."""
    full = dict(table)
    for name, value in table.items():
        section = defaults.get(name)
        if is_dataclass(section) and isinstance(value, Mapping):
            own = {field.name: getattr(section, field.name) for field in fields(section)}
            full[name] = own | _laid_over(own, value)
    return full


def _check_names(kind: type, table: dict[str, Any], where: str) -> None:
    hints = get_type_hints(kind)
    known = [field.name for field in fields(kind)]
    for name, value in table.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {where}{near[0]}?" if near else f"known here: {', '.join(known)}"
            raise UsageError(f"recipe: unknown key {where}{name}; {hint}")
        if is_dataclass(hints[name]):
            if not isinstance(value, dict):
                raise UsageError(f"recipe: {where}{name} is a section with keys, not a value")
            _check_names(hints[name], value, f"{where}{name}.")


def _override(table: dict[str, Any], text: str) -> None:
    path, equals, value = text.partition("=")
    if not equals or not path.strip():
        raise UsageError(f"--set takes section.key=value, not {text!r}")
    *sections, key = path.strip().split(".")
    for section in sections:
        table = table.setdefault(section, {})
        if not isinstance(table, dict):
            raise UsageError(f"--set {text}: {section} is a value, not a section")
    table[key] = _value(value.strip())


def _value(text: str) -> Any:
    """`text` as a TOML value, or as the plain string it is."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
