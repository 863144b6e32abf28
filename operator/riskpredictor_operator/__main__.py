"""``python -m riskpredictor_operator``: obeys signals, then runs program.py."""

from __future__ import annotations

import sys

from riskpredictor_operator.runtime.stopping import StopSignals


def main() -> int:
    """Run the operator; returns the exit status."""
    signals = StopSignals()
    signals.install()
    # This import takes a second, during which a signal may come.
    from riskpredictor_operator import program

    status = program.main(signals)
    signals.ignore()
    return status


if __name__ == "__main__":
    sys.exit(main())
