"""Bundles that were installed with pip: a data wheel names its package in an entry point.

A distribution lists ``NAME = package`` under the group :data:`GROUP`; the bundle is the folder
``bundle`` of that package.  The package is found, not imported.
"""

from __future__ import annotations

import importlib.util
import os
from importlib.metadata import entry_points
from pathlib import Path

from ..errors import InputError
from ..untrusted import brief

GROUP = "chattts_onnx.bundles"
FOLDER = "bundle"
VARIABLE = "CHATTTS_BUNDLE"


def installed_bundles() -> dict[str, Path]:
    """Name -> folder of every installed bundle, by name."""
    found: dict[str, Path] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        spec = importlib.util.find_spec(entry.module)
        for place in (spec.submodule_search_locations or ()) if spec else ():
            found.setdefault(entry.name, Path(place) / FOLDER)
    return found


def find_bundle(named: Path | str | None = None) -> Path:
    """The bundle's folder: ``named`` (a folder, or the name of an installed bundle), else
    ``$CHATTTS_BUNDLE``, else the one that is installed.

    Raises:
        InputError: nothing was named and none, or more than one, is installed.
    """
    if (found := known_bundle(named)) is not None:
        return found
    installed = installed_bundles()
    known = f"; installed are {', '.join(installed)}" if installed else ""
    raise InputError(
        f"no bundle; name its folder with -b or in ${VARIABLE}, or install one, for example with "
        f"pip install chattts-onnx-mini{known}."
    )


def known_bundle(named: Path | str | None = None) -> Path | None:
    """As :func:`find_bundle`, and None where that would raise: for what works without a bundle."""
    if not isinstance(named, str | os.PathLike | None):
        raise InputError(f"the bundle is {brief(named)}; expected a folder or a name.")
    named = named if named and str(named) else os.environ.get(VARIABLE) or None
    installed = installed_bundles()
    if named is not None:
        return Path(named) if Path(named).exists() else installed.get(str(named), Path(named))
    return next(iter(installed.values())) if len(installed) == 1 else None
