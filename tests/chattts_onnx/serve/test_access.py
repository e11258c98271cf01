"""Keys are compared in constant time, all of them."""

from __future__ import annotations

import hmac

import pytest

from chattts_onnx.errors import AccessError
from chattts_onnx.serve import access

KEYS = ("first", "second", "third")


def test_every_key_is_compared_by_digests_of_one_length(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []
    compare = hmac.compare_digest

    def watched(left: bytes, right: bytes) -> bool:
        compared.append((left, right))
        return compare(left, right)

    ring = access.KeyRing(KEYS)
    monkeypatch.setattr(access.hmac, "compare_digest", watched)  # type: ignore[attr-defined]
    for given in ("first", "third", "x", "firs", "first" * 100):
        compared.clear()
        if given in KEYS:
            assert ring.owner(None, given)
        else:
            with pytest.raises(AccessError):
                ring.owner(None, given)
        # As many comparisons of as many bytes, whether it is the first key, the last, or none.
        assert [(len(left), len(right)) for left, right in compared] == [(32, 32)] * 3
        assert {right for _, right in compared} == {access.digest(key) for key in KEYS}


def test_an_owner_s_name_does_not_hold_the_key() -> None:
    owner = access.KeyRing(KEYS).owner("Bearer second", None)
    assert "second" not in owner and owner != access.KeyRing(KEYS).owner("Bearer first", None)
