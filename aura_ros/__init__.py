# SPDX-License-Identifier: Apache-2.0
"""A robot policy with a memory it can leave on: AURA-Mem around a frozen VLA, on ROS 2."""

from pkgutil import extend_path

# The build puts the generated message modules into another folder of the same package.
__path__ = extend_path(__path__, __name__)

from aura_ros.common.limits import limit_image_decoder

# Before any import of cv2, which reads its limits once.
limit_image_decoder()
