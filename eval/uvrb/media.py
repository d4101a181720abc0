"""The files of one dataset of UVRB, and its media by the names that its tables give them.

A dataset is a folder or an archive; in a folder, a folder of media may be an archive too. A video is a file, or the
folder of the frames that were taken from it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from infra.errors import RowError
from infra.file_tree import ARCHIVES, Archive, FileTree, Folder, safe_name
from infra.media.frames import pack_frames
from infra.media.magic import HEAD_BYTES, begins_like_frame, begins_like_image, begins_like_video

VIDEOS, FRAMES, IMAGES = "videos", "videos_frames", "images"
FRAME_SUFFIXES: Final = (".jpg", ".jpeg", ".png")
COMPRESSED: Final = (".tar.gz", ".tgz", ".tar.zst", ".7z", ".rar")  # what is packed so must be unpacked to be read


class DatasetFiles:
    """Files by their names relative to the dataset; implements `eval.uvrb.records.Files`.

    May be pickled: no file stays open.
    """

    def __init__(self, base: FileTree, mounted: dict[str, Archive]) -> None:
        """`mounted` are archives by the folder that they stand for, asked where `base` has no such file."""
        self._trees: list[tuple[str, FileTree]] = [("", base)]
        self._trees += [(folder + "/", archive) for folder, archive in mounted.items()]

    def size(self, name: str) -> int | None:
        """Bytes of a file; None where there is none."""
        return next((size for tree, inner in self._at(name) if (size := tree.size(inner)) is not None), None)

    def head(self, name: str) -> bytes:
        """The first bytes of a file that is there."""
        return self._tree(name, lambda tree, inner: tree.head(inner, HEAD_BYTES))

    def read(self, name: str) -> bytes:
        """The bytes of a file; of a folder of frames, the frames packed by `infra.media.frames`.

        Raises RowError `missing_file`, or `damaged` when an archive holds other bytes than were put into it.
        """
        if name.startswith(FRAMES + "/") and (frames := self.frames(name)):
            return pack_frames([self._read(f"{name}/{frame}") for frame in frames])
        return self._read(name)

    def local_path(self, name: str) -> Path | None:
        """Where a file lies by itself; None for one in an archive, and for a folder of frames."""
        trees = ((tree, inner) for tree, inner in self._at(name) if tree.size(inner) is not None)
        tree, inner = next(trees, (None, ""))
        return tree.path / inner if isinstance(tree, Folder) else None

    def frames(self, folder: str) -> list[str]:
        """The names of the frames in a folder of frames, in the order of time: numbers in names count as numbers."""
        found = {name for tree, inner in self._at(folder) for name in tree.names(inner)}
        return sorted((name for name in found if _is_frame(name)), key=_by_numbers)

    def find_image(self, given: str) -> str:
        """The file that an image's name in a table means, relative to the dataset.

        Raises RowError when the name leads out of the dataset, or the file is missing, empty or no picture by its
        first bytes; OSError when it cannot be looked at.
        """
        name = _inside(given, IMAGES)
        self._check(name, begins_like_image, "a picture")
        return name

    def find_video(self, given: str) -> str:
        """The file, or the folder of frames, that a video's name in a table means, relative to the dataset.

        A file comes before frames. Raises RowError as `find_image` does.
        """
        name = _inside(given, VIDEOS)
        folder = name if name.startswith(FRAMES + "/") else _frames_folder(name)
        if folder != name and self.size(name) is not None:
            self._check(name, begins_like_video, "a video")
            return name
        frames = self.frames(folder)
        if not frames:
            there = f"{name} and {folder}/*.jpg are" if folder != name else f"{folder}/*.jpg are"
            raise RowError("missing_file", f"{there} not there: add the video or its frames")
        for frame in frames:
            self._check(f"{folder}/{frame}", begins_like_frame, "a JPEG or PNG")
        return folder

    def _check(self, name: str, plausible: Callable[[bytes], bool], kind: str) -> None:
        size = self.size(name)
        if size is None:
            raise RowError("missing_file", f"{name} is not there: add it")
        if not size:
            raise RowError("empty_file", f"{name} is empty: fetch it again")
        head = self.head(name)
        if not plausible(head):
            raise RowError("not_media", f"{name} does not begin as {kind} does ({head[:8]!r}): fetch it again")

    def _read(self, name: str) -> bytes:
        return self._tree(name, lambda tree, inner: tree.read(inner))

    def _tree(self, name: str, do: Callable[[FileTree, str], bytes]) -> bytes:
        """What `do` gives for the tree that has a file and the file's name in it."""
        for tree, inner in self._at(name):
            if tree.size(inner) is not None:
                return do(tree, inner)
        raise RowError("missing_file", f"{name} is not there (any more)")

    def _at(self, name: str) -> Iterator[tuple[FileTree, str]]:
        for folder, tree in self._trees:
            if name.startswith(folder):
                yield tree, name.removeprefix(folder)


def open_dataset(root: Path, name: str) -> tuple[DatasetFiles, dict[str, Archive]] | None:
    """The files of a dataset below `root`, and by their names the archives they are in; None where it is absent.

    A folder comes before archives. Raises UsageError for an archive that cannot be read.
    """
    if (root / name).is_dir():
        mounted = {folder: opened for folder in (VIDEOS, FRAMES, IMAGES) if (opened := _archive(root / name, folder))}
        return DatasetFiles(Folder(root / name), mounted), {opened.path.name: opened for opened in mounted.values()}
    archive = _archive(root, name)
    if archive is None:
        return None
    for inner in (folder + suffix for folder in (VIDEOS, FRAMES, IMAGES) for suffix in (*ARCHIVES, *COMPRESSED)):
        if archive.size(inner) is not None:
            archive.refused[inner] = "is an archive in an archive: unpack one of them"
    return DatasetFiles(archive, {}), {archive.path.name: archive}


def unread_archives(root: Path, name: str) -> list[str]:
    """Archives of a dataset or of its media that are there in a form that is not read, relative to `root`."""
    stems = (name, *(f"{name}/{folder}" for folder in (VIDEOS, FRAMES, IMAGES)))
    names = (stem + suffix for stem in stems for suffix in COMPRESSED)
    return [unread for unread in names if (root / unread).is_file()]


def _archive(folder: Path, name: str) -> Archive | None:
    paths = [folder / (name + suffix) for suffix in ARCHIVES]
    return next((Archive(path) for path in paths if path.is_file()), None)


def _inside(given: str, folder: str) -> str:
    """A name in a table as a name relative to the dataset; a bare one is of a file in `folder`."""
    name = safe_name(given)
    if name is None:
        raise RowError("unsafe_name", f"{given!r} is no name inside the dataset: no '..', '\\' or '/' at its start")
    first, _, rest = name.partition("/")
    return name if rest and first in (VIDEOS, FRAMES, IMAGES) else f"{folder}/{name}"


def _frames_folder(name: str) -> str:
    """Where the frames of a video lie that is itself at `name`."""
    return str(PurePosixPath(FRAMES, *PurePosixPath(name).with_suffix("").parts[1:]))


def _is_frame(name: str) -> bool:
    return name.lower().endswith(FRAME_SUFFIXES) and not name.startswith(".")


def _by_numbers(name: str) -> tuple[list[str | int], str]:
    """A key that sorts frame_2 before frame_10: text and numbers of a name by turns, text first."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"([0-9]+)", name)], name
