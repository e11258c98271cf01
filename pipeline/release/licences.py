"""What the licence of the weights lets others do with a bundle."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CODE_LICENCE = "Apache-2.0"
# "CC BY-NC 4.0", "cc-by-nc-sa-4.0", "Non-Commercial", "for research use only"
_NON_COMMERCIAL = re.compile(r"\bnc\b|non[- ]?commercial|research[- ]use|research only", re.I)
_OPEN = re.compile(
    r"^(none \(random weights\)|apache([- ]license)?[- ]?2\.0|mit|bsd-[23]-clause|isc|unlicense|"
    r"cc0([- ]1\.0)?|cc[- ]by([- ]sa)?[- ](2\.0|2\.5|3\.0|4\.0))$",
    re.I,
)


@dataclass(frozen=True)
class Weights:
    """The licence of a bundle's weights.

    Attributes:
        licence: as the checkpoint states it.
        non_commercial: it forbids commercial use.
        known: it is an open licence that this module knows, or a non-commercial one.
    """

    licence: str
    non_commercial: bool
    known: bool

    @property
    def refusal(self) -> str | None:
        """Why a bundle is not published without being told to; None where it may be."""
        if self.non_commercial:
            return f"the weights' licence, {self.licence}, forbids commercial use"
        if not self.known:
            return f"the weights' licence, {self.licence or 'none stated'}, is not known to be open"
        return None


def weights_licence(checkpoint: Mapping[str, Any]) -> Weights:
    """Read the licence out of a manifest's ``checkpoint`` record."""
    licence = str(checkpoint.get("license") or "").strip()
    non_commercial = bool(_NON_COMMERCIAL.search(licence))
    return Weights(licence, non_commercial, non_commercial or bool(_OPEN.match(licence)))
