"""One dataset of UVRB from its three tables, checked against each other, its query format and its media."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from eval.uvrb.datasets import Dataset
from eval.uvrb.media import DatasetFiles
from eval.uvrb.records import Benchmark, Query
from eval.uvrb.rows import Problem, Row, Rows, lost, read_rows
from infra.errors import RowError

QUERIES, CORPUS, INSTANCES = (f"jsonl/{name}.jsonl" for name in ("queries", "corpus", "instances"))
SIDES: Final = {"T": "text", "I": "image", "V": "video"}  # by the letters of a query format


class _Answers(NamedTuple):
    """The videos that one line of instances names."""

    positives: tuple[str, ...]
    candidates: tuple[str, ...]  # those that are right and those that are said to be wrong, sorted


def assemble(dataset: Dataset, files: DatasetFiles) -> Benchmark | list[Problem]:
    """The dataset, or everything that is wrong with its tables and the media that they name."""
    queries, corpus, instances = (
        _read(dataset, files, file, key) for file, key in ((QUERIES, "id"), (CORPUS, "id"), (INSTANCES, "qid"))
    )
    media = _Media(files)
    asked = [query for row in queries.rows.values() if (query := _query(dataset, queries, row, media))]
    videos = {row.id: video for row in corpus.rows.values() if (video := _video(corpus, row, media))}
    answers = {row.id: found for row in instances.rows.values() if (found := _answers(dataset, instances, row))}
    _note_unknown(queries, corpus, instances, answers)
    if problems := [*queries.problems, *corpus.problems, *instances.problems]:
        return problems
    return Benchmark(
        dataset,
        queries=tuple(sorted(asked, key=lambda query: query.query_id)),
        corpus=dict(sorted(videos.items())),
        positives={name: found.positives for name, found in sorted(answers.items())},
        candidates={name: found.candidates for name, found in sorted(answers.items()) if dataset.candidates},
        files=files,
    )


class _Media:
    """Names in tables to media of a dataset; each is looked at once, however many rows name it."""

    def __init__(self, files: DatasetFiles) -> None:
        self._find = {"image": files.find_image, "video": files.find_video}
        self._seen: dict[tuple[str, str], str | None] = {}

    def find(self, rows: Rows, row: Row, side: str) -> str | None:
        """Where the medium of a row is; None where the row has none, or it is no good, which is noted once."""
        given = row.text(side)
        if given is None:
            return None
        if (side, given) not in self._seen:
            self._seen[side, given] = self._look(rows, row, side, given)
        return self._seen[side, given]

    def _look(self, rows: Rows, row: Row, side: str, given: str) -> str | None:
        try:
            return self._find[side](given)
        except RowError as error:
            rows.note(row, error.message)
        except OSError as error:
            rows.note(row, f"{given!r} cannot be read ({error.strerror}): let this user read it")
        return None


def _read(dataset: Dataset, files: DatasetFiles, file: str, key: str) -> Rows:
    try:
        return read_rows(files.read(file), dataset.name, file, key)
    except RowError as error:
        what = "is not there: add it" if error.reason == "missing_file" else error.message
    except OSError as error:
        what = f"cannot be read ({error.strerror}): let this user read it"
    return lost(dataset.name, file, what)


def _query(dataset: Dataset, queries: Rows, row: Row, media: _Media) -> Query | None:
    """A query whose sides are those of the dataset's format; None after a note."""
    try:
        given = {letter: row.text(side) for letter, side in SIDES.items()}
    except RowError as error:
        queries.note(row, error.message)
        return None
    if wrong := [side for letter, side in SIDES.items() if (given[letter] is not None) != (letter in dataset.query)]:
        wanted = " and ".join(SIDES[letter] for letter in dataset.query)
        queries.note(row, f"a query of {dataset.name} is {wanted}: {_to_change(wrong, row)}")
        return None
    found = {side: media.find(queries, row, side) for side in ("image", "video")}
    if any(found[SIDES[letter]] is None for letter in dataset.query if letter != "T"):
        return None
    return Query(row.id, given["T"], **found)


def _to_change(wrong: list[str], row: Row) -> str:
    """What to do with the sides that a query has and must not have, or lacks."""
    return ", ".join(f"take its {side} out" if row.text(side) else f"give it its {side}" for side in wrong)


def _video(corpus: Rows, row: Row, media: _Media) -> str | None:
    """Where a video of the corpus is; None after a note."""
    try:
        if row.text("video") is None:
            corpus.note(row, "has no `video`: name its file")
        return media.find(corpus, row, "video")
    except RowError as error:
        corpus.note(row, error.message)
        return None


def _answers(dataset: Dataset, instances: Rows, row: Row) -> _Answers | None:
    """What answers a query; None after a note."""
    try:
        positives, negatives = row.ids("pos"), row.ids("neg")
    except RowError as error:
        instances.note(row, error.message)
        return None
    if not positives:
        instances.note(row, "has no `pos`: name at least one video that is right")
    elif both := set(positives) & set(negatives):
        instances.note(row, f"{min(both)!r} is right and wrong: leave it in `pos` or in `neg`")
    elif dataset.candidates and not negatives:
        instances.note(row, f"has no `neg`: {dataset.metric} chooses among a query's own candidates, `pos` and `neg`")
    else:
        # Sorted, so that where a candidate stands tells nothing of whether it is right.
        return _Answers(positives, tuple(sorted((*positives, *negatives))))
    return None


def _note_unknown(queries: Rows, corpus: Rows, instances: Rows, answers: Mapping[str, _Answers]) -> None:
    """Note ids that one table names and another has not, unless a line of that one is lost, which may have had them."""
    for row in instances.rows.values():
        if queries.whole and row.id not in queries.rows:
            instances.note(row, f"is no query's: take the line out, or add the query to {QUERIES}")
        if corpus.whole and row.id in answers:
            for unknown in (name for name in answers[row.id].candidates if name not in corpus.rows):
                instances.note(row, f"names the video {unknown!r}, which {CORPUS} has not: remove it, or add it there")
    if instances.whole:
        for row in queries.rows.values():
            if row.id not in instances.rows:
                queries.note(row, f"has no answer: add its line to {INSTANCES}")
