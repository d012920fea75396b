# SPDX-License-Identifier: Apache-2.0
"""Sentence embeddings of instructions by WordLlama, whose wheel contains the weights."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.errors import ConfigError

TEXT_DIM = 256


@lru_cache(maxsize=1)
def _model() -> Any:
    try:
        import wordllama
    except ImportError as error:
        raise ConfigError('the embedded VLA needs WordLlama to embed instructions: pip install wordllama') from error
    # without these two arguments it downloads the weights from a model hub
    return wordllama.WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)


@lru_cache(maxsize=256)
def _embed(text: str) -> NDArray[np.float32]:
    vector: NDArray[np.float32] = np.asarray(_model().embed([text], norm=True)[0], dtype=np.float32)
    vector.setflags(write=False)
    return vector


def embed(text: str) -> NDArray[np.float32]:
    """Return the embedding of a sentence: float32 [256], unit length, read-only.

    Raises:
        ConfigError: WordLlama is not installed or the text is empty.
    """
    cleaned = ' '.join(text.lower().split())
    if not cleaned:
        raise ConfigError('the instruction is empty: must describe the task in words')
    return _embed(cleaned)
