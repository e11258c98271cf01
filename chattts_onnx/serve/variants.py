"""The bundles that are served: opened, warmed up, lent to requests, and exchanged while in use."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..bundle import Bundle, open_bundle
from ..format.manifest import MANIFEST_NAME
from ..speech.engine import Engine
from ..speech.turns import Turns
from ..speech.windows import StreamOptions
from .errors import StoppingError, UnknownVariantError
from .settings import ServeSettings

log = logging.getLogger("chattts_onnx.serve")


class Variant:
    """One opened bundle with its engine.  ``revision`` names the content of its manifest."""

    def __init__(self, name: str, path: Path, bundle: Bundle, engine: Engine, revision: str):
        self.name = name
        self.path = path
        self.bundle = bundle
        self.engine = engine
        self.revision = revision
        self.users = 0
        self.retired = False


def revision_of(path: Path) -> str:
    """What tells one bundle in this folder from the next: a hash of its manifest ('' if none)."""
    try:
        return hashlib.sha256((path / MANIFEST_NAME).read_bytes()).hexdigest()[:12]
    except OSError:
        return ""


class VariantRoom:
    """Variants by name.  ``exchange`` puts a new one in place: requests under way keep the old one,
    which is closed when the last of them is done."""

    def __init__(self, settings: ServeSettings) -> None:
        self._settings = settings
        self._variants: dict[str, Variant] = {}
        self._lock = threading.Lock()
        self._exchanging = threading.Lock()
        self._closed = False
        self._step_turns = Turns()
        self._audio_turns = Turns(settings.audio_workers)

    @property
    def current(self) -> list[Variant]:
        """Those that new requests get."""
        with self._lock:
            return list(self._variants.values())

    def default(self) -> Variant:
        """The first bundle's."""
        return self.find(None)

    def find(self, name: str | None) -> Variant:
        """The variant of this name, None for the default; :class:`UnknownVariantError`."""
        with self._lock:
            if not self._variants:
                raise StoppingError("no bundle is open yet; ask again soon.")
            wanted = next(iter(self._settings.bundles)) if name is None else name
            if wanted not in self._variants:
                known = ", ".join(self._variants)
                raise UnknownVariantError(f"no such variant; this server has {known}.")
            return self._variants[wanted]

    @contextmanager
    def lend(self, name: str | None) -> Iterator[Variant]:
        """Keep a variant open while it is used."""
        while True:
            variant = self.find(name)
            with self._lock:
                if variant.retired:
                    continue  # exchanged between the two lines above
                variant.users += 1
                break
        try:
            yield variant
        finally:
            with self._lock:
                variant.users -= 1
                idle = variant.retired and variant.users == 0
            if idle:
                self._close(variant)

    def open_all(self) -> None:
        """Open and warm up every bundle; raises what :func:`open_bundle` does."""
        for name in self._settings.bundles:
            self.exchange(name)

    def exchange(self, name: str) -> Variant:
        """Open the bundle of ``name`` anew and give it to all requests from now on.

        When it cannot be opened, or does not speak, the old one goes on serving and the error is
        raised.
        """
        if name not in self._settings.bundles:
            known = ", ".join(self._settings.bundles)
            raise UnknownVariantError(f"no such variant; this server has {known}.")
        with self._exchanging:
            fresh = self._open(name, self._settings.bundles[name])
            with self._lock:
                if self._closed:
                    unwanted: Variant | None = fresh
                else:
                    unwanted = self._variants.get(name)
                    self._variants[name] = fresh
                if unwanted is not None:
                    unwanted.retired = True
                idle = unwanted is not None and unwanted.users == 0
            if unwanted is not None and idle:
                self._close(unwanted)
        log.info("serving bundle %s revision %s", name, fresh.revision)
        return fresh

    def changed(self) -> list[str]:
        """Names whose folder now holds another bundle than the one that is served."""
        found = [(v.name, v.revision, revision_of(v.path)) for v in self.current]
        return [name for name, old, new in found if new and new != old]

    def close(self) -> None:
        """End everything at once; what is left of the requests fails."""
        with self._lock:
            self._closed = True
            variants = list(self._variants.values())
            self._variants.clear()
        for variant in variants:
            self._close(variant)

    def _open(self, name: str, path: Path) -> Variant:
        settings = self._settings
        # Resolved, so that a link that is pointed elsewhere does not mix two bundles' files.
        folder, revision = path.resolve(), revision_of(path)
        bundle = open_bundle(
            folder,
            threads=settings.threads or None,
            audio_threads=settings.audio_threads,
            verify=not settings.no_verify,
            huge_pages=True,
            step=settings.step or None,
        )
        engine = Engine(
            bundle,
            slots=1 if settings.naive else settings.slots,
            # Admission is the service's; each of its requests has one ticket that is not done.
            queue_size=settings.limit + settings.batch_workers + 1,
            max_length=settings.max_length or None,
            step_turns=self._step_turns,
            audio_turns=self._audio_turns,
        )
        try:
            _warm_up(bundle, engine)
        except BaseException:
            engine.close()
            raise
        return Variant(name, path, bundle, engine, revision)

    def _close(self, variant: Variant) -> None:
        variant.engine.close()
        log.info("closed bundle %s revision %s", variant.name, variant.revision)


def _warm_up(bundle: Bundle, engine: Engine) -> None:
    """Load every graph and the text rules, and see that it speaks."""
    params = bundle.default_params("code").but(max_new_tokens=4, min_new_tokens=4)
    ticket = engine.submit("1 + 1 = 2.", 0, params=params, seed=0)
    for _ in ticket.chunks(StreamOptions(first_chunk=1)):
        pass
