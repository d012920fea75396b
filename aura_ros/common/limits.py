# SPDX-License-Identifier: Apache-2.0
"""Limits on everything that is decompressed, parsed or looped over while a file or an image from outside is read.

docs/security.md lists them. A file beyond a limit is refused with one sentence that names the limit.
"""

import os

IMAGE_SIDE = 8192
"""Largest width or height of an image [px]."""
IMAGE_PIXELS = 1 << 25
"""Largest number of pixels of an image [1]: 100 MB of RGB, enough for 7680 x 4320."""
JPEG_SCANS = 100
"""Largest number of scans in a JPEG [1]; a decoder works through the whole image for each scan."""


def limit_image_decoder() -> None:
    """Set OpenCV's own size limits, which it reads once, when cv2 is first imported.

    A value that is already in the environment has precedence.
    """
    os.environ.setdefault('OPENCV_IO_MAX_IMAGE_WIDTH', str(IMAGE_SIDE))
    os.environ.setdefault('OPENCV_IO_MAX_IMAGE_HEIGHT', str(IMAGE_SIDE))
    os.environ.setdefault('OPENCV_IO_MAX_IMAGE_PIXELS', str(IMAGE_PIXELS))
