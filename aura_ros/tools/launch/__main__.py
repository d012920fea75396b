# SPDX-License-Identifier: Apache-2.0
"""`python -m aura_ros.tools.launch` is `aura launch`."""

import sys

from aura_ros.tools.launch.main import main

sys.exit(main())
