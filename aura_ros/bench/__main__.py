# SPDX-License-Identifier: Apache-2.0
"""Run `aura_ros.bench.cli` as python -m aura_ros.bench."""

import sys

from aura_ros.bench.cli import main

if __name__ == '__main__':  # Worker processes import this file again.
    sys.exit(main())
