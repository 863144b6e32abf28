"""What a candidate beside the stable model costs: ``make bench-predictor ARGS=--shadow``.

Servers without and with a candidate run at the same time and are loaded in turn, a little each, so
that what else the machine does falls on all of them alike.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from contextlib import ExitStack

from bench.predictor.measure import median, running
from bench.predictor.subjects import Subject, beside
from unit.predictor.support import artifact

LIMIT = 1.25
"""Times the CPU of a server without a candidate."""
PERCENTS = (0, 10)
PATIENTS = 2000
"""Distinct records, so that the pods count pairs as they do of real patients."""
TURNS = 5
"""Of each server in a round."""


def shadow(python: str, rounds: int, seconds: int, former: tuple[Subject, ...] = ()) -> int:
    """Print CPU and memory without and with a candidate. Returns 0, or 1 if a limit is missed.

    ``former`` is the product as it was, to be compared with the one without a candidate.
    """
    bodies = _bodies()
    cpu: dict[str, list[float]] = defaultdict(list)
    pss: dict[str, list[float]] = defaultdict(list)
    for _ in range(rounds):
        with ExitStack() as stack:
            servers = [
                stack.enter_context(running(subject, artifact()))
                for subject in (*beside(python, artifact("v2"), PERCENTS), *former)
            ]
            for _ in range(TURNS):
                for server in servers:
                    load = server.load(16, seconds, *bodies)
                    if load.failed:
                        raise RuntimeError(f"{server.subject.name}: {load.failed} failed requests")
                    cpu[server.subject.name].append(load.cpu_per_1000)
            for server in servers:
                pss[server.subject.name].append(server.pss_mib())
    return _report(cpu, pss, {subject.name for subject in former})


def _bodies() -> list[str]:
    chance = random.Random(1)
    return [
        json.dumps(
            {
                "heart_rate": chance.randint(45, 160),
                "blood_pressure": chance.randint(80, 200),
                "temperature": round(chance.uniform(95, 105), 1),
                "oxygen_level": chance.randint(80, 100),
            }
        )
        for _ in range(PATIENTS)
    ]


def _report(cpu: dict[str, list[float]], pss: dict[str, list[float]], unlimited: set[str]) -> int:
    alone, *others = cpu
    print("\n| server | CPU-s per 1,000 | times | PSS MiB | more |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name in cpu:
        ratio, memory = median(cpu[name]) / median(cpu[alone]), median(pss[name])
        more = memory - median(pss[alone])
        print(f"| {name} | {median(cpu[name]):.4f} | {ratio:.2f} | {memory:.1f} | {more:+.1f} |")
    print()
    missed = 0
    for name in others:
        if name in unlimited:
            continue
        # Of turns that followed each other: the machine changes less between them.
        ratio = median([one / other for one, other in zip(cpu[name], cpu[alone], strict=True)])
        missed += ratio > LIMIT
        verdict = "MISSED" if ratio > LIMIT else "met"
        print(f"{verdict:<7} {name}: times the CPU of a server without: {ratio:.2f} (<= {LIMIT})")
    return 1 if missed else 0
