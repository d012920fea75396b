# SPDX-License-Identifier: Apache-2.0
"""Images as OpenVLA-OFT was trained on them: JPEG artefacts, Lanczos resize, and a centre crop of 90 % of the area.

The training used TensorFlow. These functions give its pixels to within a few grey levels, without TensorFlow.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

JPEG_QUALITY = 95
CROP_AREA = 0.9
"""Share of the area that the centre crop keeps."""

Image = NDArray[np.uint8]


def prepare(image: Image, size: int, *, rotate: bool, crop: bool) -> Image:
    """Return an image as the model takes it, uint8 [size, size, 3].

    Args:
        image: RGB, uint8 [H, W, 3].
        size: height and width of the result [px].
        rotate: whether to turn it by 180 degrees, as for images of LIBERO.
        crop: whether to crop the centre, for a model that was trained with random crops.
    """
    turned = image[::-1, ::-1] if rotate else image
    resized = resize(np.ascontiguousarray(turned), size) if turned.shape != (size, size, 3) else turned
    return crop_centre(np.ascontiguousarray(resized)) if crop else np.ascontiguousarray(resized)


def resize(image: Image, size: int) -> Image:
    """Return an image after JPEG and an antialiased Lanczos resize, uint8 [size, size, 3]."""
    from PIL import Image as Pillow

    _, data = cv2.imencode('.jpg', image[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))
    decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))[..., ::-1]
    resized = Pillow.fromarray(np.ascontiguousarray(decoded)).resize((size, size), Pillow.Resampling.LANCZOS)
    return np.asarray(resized)


def crop_centre(image: Image) -> Image:
    """Return the centre of an image with CROP_AREA of its area, scaled to the whole size, uint8."""
    side = math.sqrt(CROP_AREA)
    height, width = image.shape[:2]
    # The first and the last pixel of the result lie on the edges of the box.
    rows = np.linspace((1 - side) / 2, (1 + side) / 2, height, dtype=np.float32) * (height - 1)
    columns = np.linspace((1 - side) / 2, (1 + side) / 2, width, dtype=np.float32) * (width - 1)
    x, y = np.meshgrid(columns, rows)
    scaled = cv2.remap(image.astype(np.float32) / 255, x, y, cv2.INTER_LINEAR)
    return (np.clip(scaled, 0, 1) * 255.5).astype(np.uint8)
