"""Schemathesis: requests made from the OpenAPI description, answers checked against it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from tools.drills.record import Promise
from tools.drills.server.privacy import KEY, KEYS
from tools.drills.server.target import promised, serving


def described(bundle: Path, examples: int) -> Promise:
    """``examples`` requests for every operation, half of them against its description."""
    options = {"max-new-tokens": 4, "slots": 8, "queue": 64, "batch-jobs": 4}
    with serving(bundle, options, KEYS) as target:
        asked, found = _attack(target.process.address, examples)
        spoke = target.speaks(KEY)
        logged = "Traceback" in target.process.log
    broken = sum(found.values())
    told = "; ".join(f"{kind} ({count})" for kind, count in found.most_common(3))
    return promised(
        "The server does what its OpenAPI description says, for requests that keep to it and for "
        "those that do not",
        "schemathesis over `/openapi.json` of the running server",
        asked,
        "requests",
        broken if spoke and not logged else asked,
        told or "every answer had a declared status, type and form; no 5xx",
    )


def _attack(address: str, examples: int) -> tuple[int, Counter[str]]:
    """Requests made, and the failures by operation and kind."""
    import hypothesis
    import schemathesis
    from schemathesis.core.failures import FailureGroup
    from schemathesis.generation import GenerationMode
    from schemathesis.specs.openapi.checks import positive_data_acceptance

    # Which voices, variants and files there are depends on the bundle; they are refused with 422.
    excluded = [positive_data_acceptance]
    headers = {"Authorization": f"Bearer {KEY}"}
    schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
    # Parameters that it does not name are neither declared nor refused: they are not read.
    schema.config.generation.update(allow_extra_parameters=False)
    asked = 0
    found: Counter[str] = Counter()
    quiet = hypothesis.settings(
        max_examples=max(1, examples // 2),
        database=None,
        deadline=None,
        derandomize=True,
        phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    for result in schema.get_all_operations():
        operation: Any = result.ok()  # type: ignore[union-attr]
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):

            @quiet
            @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
            def attack(case: Any) -> None:
                nonlocal asked
                asked += 1
                try:
                    case.call_and_validate(headers=headers, excluded_checks=excluded)
                except FailureGroup as group:
                    for failure in group.exceptions:
                        name = f"{case.method} {case.path}: {type(failure).__name__}"
                        found[f"{name} {str(failure)[:200]!r}"] += 1

            try:
                attack()
            except hypothesis.errors.Unsatisfiable:
                continue
    return asked, found
