# SPDX-License-Identifier: Apache-2.0
"""Limits on everything that is decompressed, parsed or looped over: messages, and files and images from outside.

docs/security.md lists them. What is beyond a limit is refused with one sentence that names the limit.
"""

import os

IMAGE_SIDE = 8192
"""Largest width or height of an image [px]."""
IMAGE_PIXELS = 1 << 25
"""Largest number of pixels of an image [1]: 100 MB of RGB, enough for 7680 x 4320."""
JPEG_SCANS = 100
"""Largest number of scans in a JPEG [1]; a decoder works through the whole image for each scan."""

INSTRUCTION_CHARS = 4096
"""Largest instruction that is used [characters]; the rest of a longer one is cut off."""

STEP_BYTES = 65_536
"""Largest serialized VlaStep or ActionChunk [B]; a full VlaStep has 50 kB."""
JOINTS_BYTES = 131_072
"""Largest serialized JointState or JointTrajectory [B]; 1024 joints with names of 64 characters have 100 kB."""
INSTRUCTION_BYTES = 65_536
"""Largest serialized instruction [B]."""
IMAGE_BYTES = 4 * IMAGE_PIXELS + 65_536
"""Largest serialized image [B]: four bytes for each pixel."""

TEXT_BYTES = 4 << 20
"""Largest YAML or JSON file, and largest line of a list of JSON values [B]."""
TEXT_NESTING = 50
"""Largest nesting of lists and mappings in YAML [1]; Python limits JSON to about 1,000."""
TEXT_INTEGER = 64
"""Largest number of characters of an integer in YAML [1]."""
TEXT_VALUES = 200_000
"""Largest number of values in a YAML file [1]; an alias counts as everything that it stands for."""
XML_TAGS = 200_000
"""Largest number of XML tags in a URDF [1]."""
URDF_JOINTS = 1000
"""Largest number of joints in a URDF [1]."""

REMOTE_BYTES = 64 << 20
"""Largest message from or to a policy server [B]: ten uncompressed images of 1920 x 1080."""

DATASET_FPS = (0.01, 1e4)
"""Range of the frame rate of a LeRobot dataset [Hz]."""
DATASET_FEATURES = 1000
"""Largest number of features of a LeRobot dataset [1]."""
VECTOR_VALUES = 10_000
"""Largest number of values of a vector in a LeRobot dataset [1]."""
DATASET_EPISODES = 1_000_000
"""Largest number of episodes of a LeRobot dataset [1]."""
EPISODE_FRAMES = 10_000_000
"""Largest number of frames of an episode [1]: 55 hours at 50 Hz."""
TABLE_ROWS = 10_000_000
"""Largest number of rows of a Parquet file [1]."""
TABLE_VALUES = 100_000_000
"""Largest number of values in one column of a Parquet file [1]."""
TABLE_BYTES = 2 << 30
"""Largest size of a decompressed Parquet file [B]."""
CHUNK_BYTES = 256 << 20
"""Largest decompressed MCAP chunk, and largest record outside chunks [B]."""
PARTS_BYTES = 4 << 30
"""Size to which the chunks of any MCAP file, or the arrays of any .npz file, may unpack together [B]; FILE_RATIO times
the file, if that is more."""
WEIGHTS_BYTES = 1 << 30
"""Largest file of weights [B]."""
OVERLAP_BYTES = 1 << 30
"""Largest size of the unpacked chunks that have messages of the same time [B]."""
MESSAGE_BYTES = 256 << 20
"""Largest message [B], decompressed; also the largest value in an SQLite file."""
FILE_RATIO = 1000
"""Largest ratio of a decompressed to a compressed file [1], from FILE_SMALL_BYTES on."""
FILE_SMALL_BYTES = 64 << 20
"""Size to which any compressed file may unpack [B]."""
FILE_FREE_BYTES = 1 << 30
"""Space that unpacking a file leaves in the temporary folder [B]."""
SQL_STEPS = 20_000_000
"""Largest number of steps of the SQLite machine for one open file [1], besides SQL_STEPS_PER_BYTE."""
SQL_STEPS_PER_BYTE = 20
"""Further steps for each byte of an SQLite file [1]."""
DEFINITION_BYTES = 1 << 20
"""Largest definition of a message type [B]."""
DEFINITION_CALLS = 20_000_000
"""Largest number of function calls for parsing a definition [1], a minute at most."""
DEFINITION_NESTING = 50
"""Largest nesting of message types [1]."""
MESSAGE_VALUES = 100_000
"""Largest number of values that a message type always has [1]; an array of numbers counts as one."""
ARRAY_BYTES = MESSAGE_BYTES
"""Largest fixed or bounded size in a message definition [1]."""
RECORDING_NS = (2**31 - 1) * 1_000_000_000
"""Largest time in a recording [ns]: the seconds of a ROS stamp have 32 bits."""


def limit_image_decoder() -> None:
    """Set OpenCV's own size limits, which it reads once, when cv2 is first imported.

    A value that is already in the environment has precedence.
    """
    os.environ.setdefault('OPENCV_IO_MAX_IMAGE_WIDTH', str(IMAGE_SIDE))
    os.environ.setdefault('OPENCV_IO_MAX_IMAGE_HEIGHT', str(IMAGE_SIDE))
    os.environ.setdefault('OPENCV_IO_MAX_IMAGE_PIXELS', str(IMAGE_PIXELS))
