"""From everything quantized to the cheapest candidate that keeps the gates.

Component by component, and only where its gates are broken:

1. repairs that need not read more weights are adopted, one after the other, the best first, as
   long as they lower the violation;
2. layers are ordered by what they lose for each byte that a better form costs, and by bisection the
   shortest prefix is found that, in the next form of its ladder (blocks, then float), keeps all;
3. each layer of the prefix, the least harmful first, is put back where the gates stay kept, and
   a repair that costs nodes is taken back where it was not needed.

Every decision rests on a measurement.  Bisection takes for granted that more exact layers do not
break gates; where they do, the result still keeps them, since it was measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from pipeline.quantization.config import Int8Config
from pipeline.search.effect import computed_noise, measured_effects
from pipeline.search.evaluate import BudgetSpentError, Evaluator, Measured
from pipeline.search.space import (  # fmt: skip
    BYTES,
    REPAIRS,
    LayerInfo,
    everything_quantized,
    form_of,
    with_form,
    with_repair,
)

GAIN = 0.02
"""A repair must lower the violation by this share to be worth having."""


@dataclass
class Outcome:
    """What a search found.

    Attributes:
        start: everything quantized.
        config: the cheapest candidate known to keep all gates, or the best one.
        passed: components whose gates are kept, by name.
        effects: loss of a component with one layer quantized, by component and layer.
        spent: why the search ended early, or None.
    """

    start: Int8Config
    config: Int8Config
    passed: dict[str, bool] = field(default_factory=dict)
    effects: dict[str, dict[str, float]] = field(default_factory=dict)
    spent: str | None = None


class Greedy:
    """One search.

    Args:
        evaluator: measures candidates.
        base: parameters of the int8 stage; its own exclusions by name and repairs are not used.
        components: in the order in which they are taken.
        ranking: see :class:`pipeline.search.config.SearchConfig`.
    """

    def __init__(
        self, evaluator: Evaluator, base: Int8Config, components: Sequence[str], ranking: str
    ) -> None:
        self._evaluator = evaluator
        self._components = components
        self._ranking = ranking
        start = everything_quantized(base)
        self.outcome = Outcome(start, start)

    def run(self) -> Outcome:
        """Search until all gates are kept or the budget is spent."""
        try:
            for component in self._components:
                config = self._improve(component, self.outcome.config)
                self.outcome.config = config
            for component in self._components:
                # what one component needed may have changed a graph that another one shares
                final = self._measure(self.outcome.config, component, "result")
                self.outcome.passed[component] = final.passed
        except BudgetSpentError as error:
            self.outcome.spent = str(error)
        return self.outcome

    def _measure(self, config: Int8Config, component: str, step: str) -> Measured:
        return self._evaluator.measure(config, component, step)

    def _improve(self, component: str, config: Int8Config) -> Int8Config:
        first = self._measure(config, component, "start")
        if first.passed:
            return config
        current = first
        # repairs concern all graphs: the first component decides on them
        if component == self._components[0]:
            current = self._repair(component, current)
            self.outcome.config = current.config
        if not current.passed:
            current = self._fall_back(component, current)
            self.outcome.config = current.config
        if current.passed:
            current = self._prune(component, first.config, current)
        return current.config

    def _repair(self, component: str, current: Measured) -> Measured:
        open_repairs = dict(REPAIRS)
        while open_repairs and not current.passed:
            tried = {
                name: self._measure(with_repair(current.config, changes), component, f"+ {name}")
                for name, changes in open_repairs.items()
            }
            best = min(tried, key=lambda name: (tried[name].violation, name))
            if tried[best].violation > current.violation * (1 - GAIN):
                break
            current = tried[best]
            group = best.split()[0]
            open_repairs = {n: c for n, c in open_repairs.items() if n.split()[0] != group}
        return current

    def _fall_back(self, component: str, current: Measured) -> Measured:
        order = self._order(component, current.config)
        best, below = current, current.config
        for rung in range(1, max(len(layer.ladder) for layer in order)):
            climbers = [layer for layer in order if rung < len(layer.ladder)]
            climbed = partial(_climbed, below, climbers, rung)
            whole = self._measure(climbed(len(climbers)), component, f"all on rung {rung}")
            best = min(best, whole, key=lambda measured: measured.violation)
            if whole.passed:
                return self._bisect(component, climbed, len(climbers), whole)
            below = whole.config
        return best

    def _bisect(
        self, component: str, climbed: Callable[[int], Int8Config], count: int, whole: Measured
    ) -> Measured:
        """The shortest prefix that passes; ``count`` layers do."""
        fails, passes, best = 0, count, whole
        while passes - fails > 1:
            middle = (fails + passes) // 2
            found = self._measure(climbed(middle), component, f"first {middle} of {count}")
            if found.passed:
                passes, best = middle, found
            else:
                fails = middle
        return best

    def _prune(self, component: str, before: Int8Config, current: Measured) -> Measured:
        """Put back what was raised since ``before`` and is not needed; what was raised earlier
        another component needs."""
        layers = self._evaluator.component_layers(component)
        raised = [
            layer for layer in layers if form_of(current.config, layer) != form_of(before, layer)
        ]
        effects = self.outcome.effects.get(component, {})
        # what is expensive and harmless first
        raised.sort(key=lambda layer: (effects.get(layer.path, 0.0) / layer.weights, layer.path))
        for layer in raised:
            lowest = layer.ladder.index(form_of(before, layer))
            for form in layer.ladder[lowest : layer.ladder.index(form_of(current.config, layer))]:
                trial = with_form(current.config, layer, form)
                found = self._measure(trial, component, f"{layer.path} back to {form}")
                if found.passed:
                    current = found
                    self.outcome.config = current.config
                    break
        if component == self._components[0] and current.config.repairs.bias_correction:
            without = with_repair(current.config, {"bias_correction": []})
            found = self._measure(without, component, "without bias correction")
            current = found if found.passed else current
        return current

    def _order(self, component: str, config: Int8Config) -> list[LayerInfo]:
        """Layers by loss for each byte that the next form costs, most harmful first."""
        # a chain's graphs were ranked alone, where that was needed; measuring all again is dear
        measured = self._ranking == "effect" and "+" not in component
        rank = measured_effects if measured else computed_noise
        lasting = {"bias_correction": config.repairs.bias_correction}
        plain = with_repair(everything_quantized(config), lasting)
        effects = rank(self._evaluator, plain, component)
        self.outcome.effects[component] = effects
        layers = self._evaluator.component_layers(component)

        def worth(layer: LayerInfo) -> float:
            more = BYTES[layer.ladder[1]] - BYTES[layer.ladder[0]]
            return effects.get(layer.path, 0.0) / (more * layer.weights)

        return sorted(layers, key=lambda layer: (-worth(layer), layer.path))


def _climbed(config: Int8Config, layers: Sequence[LayerInfo], rung: int, count: int) -> Int8Config:
    """``config`` with the first ``count`` layers on ``rung`` of their ladders."""
    for layer in layers[:count]:
        config = with_form(config, layer, layer.ladder[rung])
    return config
