"""Release archives: checked, fetched, unpacked."""

from .._moved import attributes

__getattr__ = attributes(__name__, f"{__name__}.folder")
