# SPDX-License-Identifier: Apache-2.0
"""`python -m aura_ros.launching` is `aura-launch`."""

import sys

from aura_ros.launching.main import main

sys.exit(main())
