#!/usr/bin/env python3
"""A real Kubernetes on one machine: `python3 tools/cluster/cluster.py --help`."""

import sys

from localcluster.cli import main

if __name__ == "__main__":
    sys.exit(main())
