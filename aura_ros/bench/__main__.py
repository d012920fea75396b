# SPDX-License-Identifier: Apache-2.0
"""python -m aura_ros.bench: see `aura_ros.bench.cli`."""

import sys

from aura_ros.bench.cli import main

if __name__ == '__main__':  # processes that are started for jobs read this file again
    sys.exit(main())
