"""Records the demonstrations for the guides: ``make recordings`` writes docs/images/*.svg.

    python tools/demo/make_recordings.py [complete] [manual-scaling] [model-change] ...

Each runs as people start it, on the cluster that CLUSTER and CONTEXT choose
(tools/cluster/README.md); rich draws its output as SVG. The monitor is recorded in the middle of
the load test, so these two come together; the web page is shown by Chromium. (asciinema with
termtosvg makes animations of one screen; the guides show parts of an output of many.)
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from riskdemo import report
from riskdemo.install import DEMO_NAMESPACE
from riskdemo.run import Run
from riskdemo.shell import DemoCluster
from riskdemo.stage import PREDICTOR

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs" / "images"
COLUMNS = 128
MAX_BYTES = 150_000
"""Of one picture: they stay in Git for ever."""
NODE_PORT = 30090
KUBE_PROXY_SECONDS = 3
"""Until kube-proxy serves a new NodePort, with time to spare."""
MONITOR_AFTER_SECONDS = 95
"""Into the load test: the spike has begun, and the autoscaler has reacted."""


@dataclass(frozen=True)
class Picture:
    """Part of a recording: from the heading that holds ``start`` to the one that holds ``end``.

    Empty: from the beginning, to the end.
    """

    name: str
    start: str = ""
    end: str = ""


def record(command: Sequence[str]) -> list[str]:
    """The coloured lines that a command leaves in a terminal; of live displays the last state.

    Raises:
        RuntimeError: it failed.
    """
    # Instead of a terminal: rich is told to use colours, and to leave animations out.
    terminal = {"FORCE_COLOR": "1", "COLORTERM": "truecolor", "TERM": "xterm-256color",
                "TTY_INTERACTIVE": "0", "COLUMNS": str(COLUMNS)}  # fmt: skip
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **terminal}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    lines = done.stdout.decode(errors="replace").split("\n")
    if done.returncode != 0:
        raise RuntimeError("\n".join([f"{command} failed:", *lines[-30:]]))
    return [_without_this_machine(line) for line in lines]


def _without_this_machine(line: str) -> str:
    return line.replace(f"{ROOT}/", "").replace(str(Path.home()), "~")


def draw(title: str, lines: Sequence[str], picture: Picture) -> None:
    """Write one picture that downloads no font."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), highlight=False)
    for line in _part(lines, picture):
        console.print(Text.from_ansi(line))
    svg = console.export_svg(title=title, theme=MONOKAI, unique_id=picture.name)
    svg = re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    _keep(
        f"{picture.name}.svg", "".join(f"{line.rstrip()}\n" for line in svg.splitlines()).encode()
    )


def _part(lines: Sequence[str], picture: Picture) -> list[str]:
    headings = [number for number, line in enumerate(lines) if "──" in line and "━" not in line]

    def at(words: str, otherwise: int) -> int:
        if not words:
            return otherwise
        return next(number for number in headings if words in _plain(lines[number]))

    part = list(lines[at(picture.start, 0) : at(picture.end, len(lines))])
    while part and not _plain(part[-1]).strip():
        part.pop()
    return part


def _plain(line: str) -> str:
    return Text.from_ansi(line).plain


def _keep(name: str, content: bytes) -> None:
    if len(content) > MAX_BYTES:
        raise ValueError(f"{name} has {len(content)} bytes, more than {MAX_BYTES}")
    IMAGES.mkdir(exist_ok=True)
    (IMAGES / name).write_bytes(content)
    print(f"{name}: {len(content) / 1000:.0f} kB", flush=True)


class Recorder:
    """Knows each demonstration's command line and pictures."""

    def __init__(self, cluster: str) -> None:
        self._cluster = cluster

    def complete(self) -> None:
        """The story in parts."""
        lines = record(self._command("complete.py"))
        for picture in (
            Picture("demo-declare", "A RiskPredictor", "Load:"),
            Picture("demo-load", "Load:", "A new model"),
            Picture("demo-roll-out", "A new model", "A RiskPredictor that tries"),
        ):
            draw("make demo", lines, picture)

    def manual_scaling(self) -> None:
        """From the automatic size to the end."""
        lines = record(self._command("manual_scaling.py"))
        draw("make demo-scaling", lines, Picture("demo-scaling", "Automatic:"))

    def model_change(self) -> None:
        """A good model and a bad one."""
        lines = record(self._command("model_change.py"))
        for picture in (
            Picture("demo-model-promoted", "A good model", "A bad model"),
            Picture("demo-model-stopped", "A bad model", "git revert"),
        ):
            draw("make demo-model-change", lines, picture)

    def load_test(self) -> None:
        """The load test with its report, and the monitor in the middle of it."""
        monitor = threading.Thread(target=self._monitor)
        with tempfile.TemporaryDirectory() as folder:
            arguments = "--users 100 --duration 3m --profile spike --think 0.05"
            report_options = ("--title", "100 users as a spike", "--out", folder)
            monitor.start()
            lines = record(self._command("load_test.py", *arguments.split(), *report_options))
            monitor.join()
            shown = [line.replace(folder, "build/load-test") for line in lines]
            title = f'make demo-load ARGS="{arguments}"'
            draw(title, shown, Picture("demo-load-test"))
            run = Run.load(Path(folder) / "report.json")
            _keep("load-report.png", report.picture(run, dpi=80))

    def _monitor(self) -> None:
        time.sleep(MONITOR_AFTER_SECONDS)
        lines = record(self._command("monitor.py", "--once"))
        draw("make demo-monitor", lines, Picture("demo-monitor"))

    def web_page(self) -> None:
        """Peak Load on the page, which a NodePort reaches; a port-forward would reach one pod."""
        kubectl = DemoCluster(self._cluster).kubectl(DEMO_NAMESPACE)
        predictor = f"riskpredictor/{PREDICTOR}"

        def serve(service: dict[str, object] | None) -> None:
            patch = json.dumps({"spec": {"service": service}})
            kubectl("patch", predictor, "--type=merge", f"--patch={patch}")

        serve({"type": "NodePort", "nodePort": NODE_PORT})
        try:
            changed = "--for=jsonpath={.spec.type}=NodePort"
            kubectl("wait", changed, f"service/{PREDICTOR}", "--timeout=60s")
            time.sleep(KUBE_PROXY_SECONDS)
            node = kubectl.json("get", "nodes")["items"][0]
            addresses = {each["type"]: each["address"] for each in node["status"]["addresses"]}
            url = f"http://{addresses['InternalIP']}:{NODE_PORT}"
            environment = {**os.environ, "PYTHONPATH": "tests:predictor"}
            command = [sys.executable, "-m", "browser.screenshots", "--peak", url]
            subprocess.run(command, cwd=ROOT, env=environment, check=True)
        finally:
            serve(None)

    def _command(self, script: str, *arguments: str) -> list[str]:
        path = str(ROOT / "tools" / "demo" / script)
        return [sys.executable, path, "--name", self._cluster, *arguments]


def main() -> int:
    """Record what is asked for, or all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    names = ("complete", "manual-scaling", "model-change", "load-test", "web-page")
    parser.add_argument("demo", nargs="*", help=f"{', '.join(names)}; all by default")
    parser.add_argument("--name", default="demo", help="name of the local cluster")
    options = parser.parse_args()
    if unknown := set(options.demo) - set(names):
        parser.error(f"{', '.join(sorted(unknown))}: there are {', '.join(names)}")
    recorder = Recorder(options.name)
    # The first one brings up what the others need.
    for name in options.demo or names:
        print(f"recording {name} ...", flush=True)
        getattr(recorder, name.replace("-", "_"))()
    return 0


if __name__ == "__main__":
    sys.exit(main())
