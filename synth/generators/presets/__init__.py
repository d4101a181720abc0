"""Recipe fragments for models that are known to do the job: what each is shown, and what it takes to serve it."""

from __future__ import annotations

from importlib.resources import files


def presets() -> dict[str, str]:
    """The TOML text of every preset by its name."""
    found = (path for path in files(__name__).iterdir() if path.name.endswith(".toml"))
    return {path.name.removesuffix(".toml"): path.read_text() for path in found}
