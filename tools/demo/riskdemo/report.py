"""Writes the report of a load test: a picture, a page with the picture and figures, and data."""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from riskdemo.run import Run, figures

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { margin: 2rem auto; max-width: 64rem; padding: 0 1rem }
img { background: #fff; max-width: 100% }
table { border-collapse: collapse }
th, td { border-bottom: 1px solid #8886; padding: .3rem .8rem; text-align: right }
th:first-child, td:first-child { text-align: left }
.better { color: #18794e } .worse { color: #cd2b31 }
"""


def picture(run: Run, other: Run | None = None, *, dpi: int = 110) -> bytes:
    """A PNG: requests, latency, errors, CPU and pods over one time axis; the other run is faint."""
    figure = Figure(figsize=(10, 11), layout="constrained")
    axes: list[Axes] = list(figure.subplots(5, 1, sharex=True))
    for each, alpha, suffix in ((other, 0.35, f" ({other.name})" if other else ""), (run, 1.0, "")):
        if each is not None:
            _draw(axes, each, alpha, suffix)
    for axis, title in zip(axes, ("requests/s", "latency, ms", "failed requests/s",
                                  "CPU, % of the request", "pods"), strict=True):  # fmt: skip
        axis.set_title(title, loc="left", fontsize=10)
        axis.grid(alpha=0.3)
        axis.set_ylim(bottom=0)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(fontsize=8, loc="upper left")
    axes[-1].set_xlabel("seconds")
    figure.suptitle(run.name)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=dpi)
    return out.getvalue()


def _draw(axes: list[Axes], run: Run, alpha: float, suffix: str) -> None:
    requests, latency, errors, cpu, pods = axes
    requests.plot(*run.series("per_second"), color="C0", alpha=alpha)
    for name, color in (("p50_ms", "C0"), ("p95_ms", "C1"), ("p99_ms", "C3")):
        latency.plot(*run.series(name), color=color, alpha=alpha, label=name[:3] + suffix)
    errors.plot(*run.series("failed"), color="C3", alpha=alpha)
    cpu.plot(*run.series("cpu_percent"), color="C2", alpha=alpha)
    if alpha == 1.0 and run.asked.get("cpu_target"):
        cpu.axhline(run.asked["cpu_target"], color="grey", linestyle="--", label="target")
    pods.step(
        *run.series("desired"), color="C1", alpha=alpha, where="post", label="desired" + suffix
    )
    pods.step(*run.series("ready"), color="C2", alpha=alpha, where="post", label="ready" + suffix)


def page(run: Run, png: bytes, other: Run | None = None) -> str:
    """An HTML page that needs no other file."""
    asked = ", ".join(f"{name} {value}" for name, value in run.asked.items() if value)
    image = base64.b64encode(png).decode()
    failures = "".join(
        f"<tr><td>{html.escape(name)}<td>{count:,}" for name, count in run.total["failures"].items()
    )
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        f"<title>{html.escape(run.name)}</title><style>{_STYLE}</style>"
        f"<h1>{html.escape(run.name)}</h1><p>{html.escape(asked)}</p>"
        f"{_table(run, other)}"
        + (f"<h2>Failures</h2><table>{failures}</table>" if failures else "")
        + f'<h2>Over time</h2><img src="data:image/png;base64,{image}" alt="requests, latency, '
        'failures, CPU and pods over time"></html>\n'
    )


def _table(run: Run, other: Run | None) -> str:
    head = "<tr><th>measure<th>this run"
    if other is not None:
        head += f"<th>{html.escape(other.name)}<th>change"
    rows = []
    before = {name: value for name, value, _, _ in figures(other)} if other else {}
    for name, value, unit, more_is_better in figures(run):
        row = f"<tr><td>{name}<td>{value:,.10g} {unit}"
        if name in before:
            row += f"<td>{before[name]:,.10g} {unit}{_change(before[name], value, more_is_better)}"
        rows.append(row)
    return f"<table>{head}{''.join(rows)}</table>"


def _change(before: float, now: float, more_is_better: bool) -> str:
    if before == now or not before:
        return "<td>"
    verdict = "better" if (now > before) == more_is_better else "worse"
    return f"<td class={verdict}>{100 * (now - before) / before:+.0f} % ({verdict})"


def write(run: Run, folder: Path, other: Run | None = None) -> list[Path]:
    """``report.html``, ``report.png`` and ``report.json`` in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    png = picture(run, other)
    paths = [folder / f"report.{kind}" for kind in ("html", "png", "json")]
    paths[0].write_text(page(run, png, other))
    paths[1].write_bytes(png)
    run.save(paths[2])
    return paths
