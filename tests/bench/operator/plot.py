"""The picture of docs/SCALE.md from the benchmark's figures.

``PYTHONPATH=tests python -m bench.operator.plot figures.json [soak.json] --out scale.png``
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

Figures = dict[str, Any]


def draw(results: list[Figures], soak: Figures | None) -> Figure:
    """Times of the bursts, memory by size and, where it was measured, memory over time."""
    figure = Figure(figsize=(11, 4), layout="constrained")
    axes: list[Axes] = list(figure.subplots(1, 3 if soak else 2))
    _distribution(axes[0], [result for result in results if result["size"] > 1])
    sizes = [result["size"] for result in results]
    axes[1].plot(sizes, [result["rss_mib"] for result in results], "o-", color="#0f5f66")
    axes[1].set(title="operator's memory", xlabel="RiskPredictors", ylabel="MiB")
    axes[1].set_xscale("log")
    if soak:
        axes[2].plot(soak["minutes"], soak["rss_mib"], color="#0f5f66")
        axes[2].set(title="memory under churn", xlabel="minutes", ylabel="MiB")
    for axis in axes[1:]:
        axis.set_ylim(bottom=0)
    for axis in axes:
        axis.grid(alpha=0.3)
    return figure


def _distribution(axis: Axes, results: list[Figures]) -> None:
    """Time to Ready divided by the size: equal curves mean that no size costs more for each."""
    for result in results:
        ordered = sorted(1000 * seconds / result["size"] for seconds in result["ready"])
        share = [100 * (n + 1) / len(ordered) for n in range(len(ordered))]
        axis.plot(ordered, share, label=f"{result['size']:,} at once")
    axis.set(title="create to Ready / size", xlabel="ms per RiskPredictor", ylabel="% are Ready")
    axis.legend(loc="center left")


def main() -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("figures", type=Path, help="written by the benchmark's --json")
    parser.add_argument("soak", type=Path, nargs="?", help="written by the soak's --json")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    soak = json.loads(options.soak.read_text()) if options.soak else None
    draw(json.loads(options.figures.read_text()), soak).savefig(options.out, dpi=90)
    return 0


if __name__ == "__main__":
    sys.exit(main())
