"""The house itself: our packages are the ones imported, the layers hold, stages reach Ray workers."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from ray import cloudpickle

from flows.recipe import Recipe

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("flows", "synth", "filters", "shards", "train", "eval", "infra")
TOP_LEVEL = {*PACKAGES, "tests", "pyproject.toml", "README.md", "LICENSE"}


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_are_ours_and_say_their_job(package: str) -> None:
    module = importlib.import_module(package)
    assert Path(str(module.__file__)).parent == ROOT / package
    assert module.__doc__


def test_the_top_level_is_fixed() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = {line.split("/")[0] for line in listed.splitlines()}
    assert {name for name in names if not name.startswith(".")} <= TOP_LEVEL


def test_every_package_is_listed_for_installation() -> None:
    import tomllib

    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = [path.parent for package in PACKAGES for path in (ROOT / package).rglob("__init__.py")]
    assert sorted(listed) == sorted(".".join(path.relative_to(ROOT).parts) for path in found)


LOAD_EACH_ALONE = """
import os, sys
from ray import cloudpickle
for sent in cloudpickle.load(sys.stdin.buffer):
    if os.fork() == 0:
        try:
            stage = cloudpickle.loads(sent)
            print(type(stage).__module__, stage.fingerprint([]), flush=True)
        finally:
            os._exit(0)
    os.wait()
"""


def test_stages_survive_the_way_to_a_worker() -> None:
    """A stage unpickled in a process that has imported nothing of ours is the same stage."""
    stages = Recipe().chain()
    sent = cloudpickle.dumps([cloudpickle.dumps(stage) for stage in stages])
    answer = subprocess.run([sys.executable, "-c", LOAD_EACH_ALONE], input=sent, capture_output=True, check=True)
    came = [line.split() for line in answer.stdout.decode().splitlines()]
    assert came == [[type(stage).__module__, stage.fingerprint([])] for stage in stages]


def test_help_needs_no_heavy_import() -> None:
    heavy = ("torch", "ray", "prefect", "cv2", "duckdb")
    script = f"import sys; import flows.cli; print([m for m in {heavy} if m in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_files_and_functions_stay_small() -> None:
    """No file of the product over 300 lines, no function over 60."""
    import ast

    for path in (path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        source = path.read_text()
        assert source.count("\n") <= 300, f"{path} is too long"
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert (node.end_lineno or 0) - node.lineno <= 60, f"{path}: {node.name} is too long"
