"""Lets torchvision be imported beside a torch without CUDA; copied into `.venv-vllm` by dev.sh, used nowhere else.

vLLM imports torchvision through transformers. A package index has it built for CUDA only, whose library
does not load beside the CPU torch, and then the import fails at the two operators declared here. They stay
without code: no model that writes captions suppresses overlapping boxes.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
kept: list[Any] = []  # torch forgets what a library declared when the library's object goes


class DeclareOperators(MetaPathFinder):
    """Finds nothing; is asked when torchvision is first imported, and not before: torch is slow to import."""

    def find_spec(self, name: str, path: object = None, target: ModuleType | None = None) -> None:
        """Declare the operators unless torchvision's own library can do so."""
        if name == "torchvision":
            sys.meta_path.remove(self)
            declare_operators()


def declare_operators() -> None:
    """Declare OPERATORS to torch, unless the library of the installed torchvision loads."""
    torch: Any = import_module("torch")
    found = find_spec("torchvision")
    if found is None or found.origin is None:
        return
    try:
        torch.ops.load_library(Path(found.origin).with_name("_C.so"))
    except OSError:
        library = torch.library.Library("torchvision", "DEF")
        for operator in OPERATORS:
            library.define(operator)
        kept.append(library)


sys.meta_path.insert(0, DeclareOperators())
