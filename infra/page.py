"""What our HTML pages share: each is one file that needs no server, asks nobody, and runs only its own script."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from infra.errors import UsageError
from infra.store import Store

BASE_STYLE = "page_base.css"  # of every page, before its own; page_base.html is what their templates extend


@dataclass(frozen=True)
class Asset:
    """A part of a page that the page's security policy allows by its hash, and no other."""

    text: Markup
    hash: str


@cache
def stylesheet(package: str, name: str) -> Asset:
    """The style of all pages, and after it the file `name` of `package`."""
    return _asset("\n".join([_text("infra", BASE_STYLE), _text(package, name)]))


@cache
def script(package: str, name: str) -> Asset:
    """The script in the file `name` of `package`."""
    return _asset(_text(package, name))


def _text(package: str, name: str) -> str:
    return (files(package) / name).read_text(encoding="utf-8")


def _asset(text: str) -> Asset:
    return Asset(Markup(text), "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode())


@cache
def templates(package: str) -> Environment:
    """The templates of `package` and what they extend; all that is filled in is escaped unless it is Markup."""
    loader = ChoiceLoader([PackageLoader(package, "."), PackageLoader("infra", ".")])
    return Environment(loader=loader, undefined=StrictUndefined, autoescape=True)


def data_uri(data: bytes, kind: str) -> str:
    """A URI that holds the data; `kind` is its media type."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def html_file(path: str) -> tuple[Store, str]:
    """The store and name of a page at the file or URL `path`.

    Raises UsageError when `path` is not that of an HTML file.
    """
    if not path.endswith(".html") or Path(path).is_dir():
        raise UsageError(f"{path} is not an HTML file: give a name that ends in .html")
    folder, slash, name = path.rpartition("/")
    return Store(folder + slash or "."), name
