# SPDX-License-Identifier: Apache-2.0
"""Writes oft_images.npz beside this file: an image, and what TensorFlow 2.21 makes of it as in OpenVLA-OFT's training.

It runs by hand, in an environment with TensorFlow, which no test needs.
"""

from pathlib import Path

import numpy as np
import tensorflow as tf

SIDE, SIZE = 96, 84  # the ratio of 256 px to the 224 px of the model


def picture() -> np.ndarray:
    """Return a smooth pattern with edges and noise, uint8 [SIDE, SIDE, 3]."""
    y, x = np.mgrid[:SIDE, :SIDE]
    channels = [127 + 100 * np.sin(x / 17) * np.cos(y / 23), 40 + y * 1.5, 255 * ((x // 20 + y // 20) % 2)]
    noise = np.random.default_rng(0).normal(0, 4, (SIDE, SIDE, 3))
    return np.clip(np.stack(channels, -1) + noise, 0, 255).astype(np.uint8)


def resize(image: np.ndarray) -> np.ndarray:
    """Return the image after JPEG and a Lanczos resize."""
    decoded = tf.io.decode_image(tf.image.encode_jpeg(image), expand_animations=False, dtype=tf.uint8)
    resized = tf.image.resize(decoded, (SIZE, SIZE), method='lanczos3', antialias=True)
    return tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8).numpy()


def crop(image: np.ndarray) -> np.ndarray:
    """Return the centre with 90 % of the area, scaled to the whole size."""
    scaled = tf.image.convert_image_dtype(tf.convert_to_tensor(image), tf.float32)[None]
    side = np.sqrt(np.float32(0.9))
    low = (1 - side) / 2
    cropped = tf.image.crop_and_resize(scaled, [[low, low, low + side, low + side]], [0], (SIZE, SIZE))[0]
    return tf.image.convert_image_dtype(tf.clip_by_value(cropped, 0, 1), tf.uint8, saturate=True).numpy()


if __name__ == '__main__':
    image = picture()
    resized = resize(image)
    np.savez_compressed(Path(__file__).with_suffix('.npz'), image=image, resized=resized, cropped=crop(resized))
