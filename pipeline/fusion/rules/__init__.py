"""One rewrite rule a file: each defines ``RULE``, and is found by lying here."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable
from graphlib import TopologicalSorter
from importlib import import_module

from pipeline.fusion.rules._rule import Rule


def all_rules() -> list[Rule]:
    """The rules that lie here, in the order in which they run."""
    names = [entry.name for entry in pkgutil.iter_modules(__path__)]
    modules = (import_module(f"{__name__}.{name}") for name in names if not name.startswith("_"))
    return in_order(module.RULE for module in modules)


def in_order(found: Iterable[Rule]) -> list[Rule]:
    """Each rule after those that it names, by name where that leaves a choice."""
    known = {rule.name: rule for rule in sorted(found, key=lambda rule: rule.name)}
    sorter = TopologicalSorter({name: rule.after for name, rule in known.items()})
    sorter.prepare()
    order: list[Rule] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        order += [known[name] for name in ready]
        sorter.done(*ready)
    return order
