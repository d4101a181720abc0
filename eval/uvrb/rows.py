"""The tables of a dataset of UVRB: JSON objects, one a line, each with its own id; and what is wrong with them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from infra.errors import RowError


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a dataset; as text, one line that says where it is and what to do."""

    dataset: str
    what: str
    file: str | None = None
    line: int | None = None  # from 1
    id: str | None = None

    def __str__(self) -> str:
        line = None if self.line is None else f"line {self.line}"
        about = None if self.id is None else f"id {self.id!r}"
        where = ", ".join(part for part in (self.file, line, about) if part)
        return ": ".join(part for part in (self.dataset, where, self.what) if part)


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    line: int
    id: str
    values: Mapping[str, Any]

    def text(self, name: str) -> str | None:
        """A value that is text; None where it is absent, null or blank. Raises RowError for another kind of value."""
        value = self.values.get(name)
        if value is None:
            return None
        if not isinstance(value, str):
            raise RowError("not_text", f"`{name}` is no text: {json.dumps(value)[:40]}")
        return _encodable(name, value) if value.strip() else None

    def ids(self, name: str) -> tuple[str, ...]:
        """A value that is a list of ids; empty where it is absent or null.

        Raises RowError for another kind of value, and for an id that stands twice.
        """
        value = self.values.get(name)
        if value is None:
            return ()
        if not isinstance(value, list):
            raise RowError("not_ids", f"`{name}` is no list of ids")
        found = tuple(_id(name, item) for item in value)
        if len(set(found)) < len(found):
            twice = next(item for item in found if found.count(item) > 1)
            raise RowError("id_twice", f"`{name}` holds {twice!r} twice: leave one")
        return found


@dataclass
class Rows:
    """A table that was read: its rows by their ids, and the problems of the lines that are none."""

    dataset: str
    file: str
    rows: dict[str, Row] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    whole: bool = True  # no line is lost: only then is an id that is not here unknown

    def note(self, row: Row, what: str) -> None:
        """Add a problem of a row."""
        self.problems.append(Problem(self.dataset, what, self.file, row.line, row.id))


def read_rows(data: bytes, dataset: str, file: str, key: str) -> Rows:
    """The rows of a table whose ids stand under `key`; blank lines are no rows."""
    found = Rows(dataset, file)
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            values = _object(line)
            row = Row(number, _id(key, values.get(key)), values)
        except RowError as error:
            found.problems.append(Problem(dataset, error.message, file, number))
            found.whole = False
            continue
        if earlier := found.rows.get(row.id):
            found.note(row, f"stands in line {earlier.line} already: give every `{key}` one line")
        else:
            found.rows[row.id] = row
    if not found.rows and found.whole:
        return lost(dataset, file, "is empty: fetch it again")
    return found


def lost(dataset: str, file: str, what: str) -> Rows:
    """A table of which nothing can be read."""
    return Rows(dataset, file, problems=[Problem(dataset, what, file)], whole=False)


def _object(line: bytes) -> dict[str, Any]:
    try:
        values = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise RowError("not_utf8", f"is not UTF-8 (byte {error.start + 1}): write the file as UTF-8") from error
    except json.JSONDecodeError as error:
        what = f"is not JSON ({error.msg}, column {error.colno}): a line must be one JSON object"
        raise RowError("not_json", what) from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, thousands of brackets
        raise RowError("not_json", f"is JSON that cannot be read ({error})") from error
    if not isinstance(values, dict):
        raise RowError("not_an_object", "is JSON, but no object: a line must be as {...}")
    return values


def _id(key: str, value: object) -> str:
    """An id as text; whole numbers are ids too."""
    if isinstance(value, str) and value:
        return _encodable(key, value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    what = f"has no `{key}`" if value is None else f"`{key}` holds {json.dumps(value)[:40]}, which is no id"
    raise RowError("no_id", f"{what}: ids are text or whole numbers")


def _encodable(name: str, value: str) -> str:
    """The value itself; raises RowError for half a surrogate pair, which JSON can write and nothing can encode."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise RowError("not_unicode", f"`{name}` has half a character at {error.start + 1}: write it whole") from error
    return value
