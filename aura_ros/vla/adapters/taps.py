# SPDX-License-Identifier: Apache-2.0
"""Features from inside a torch model: the last input or output of one of its modules."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.errors import InputError


class Tap(Protocol):
    """Holds the features of the last inference."""

    tokens: Any
    """Tensor [1, T, D]; None before the first inference."""


class InputTap:
    """The last input of a module. A flow policy calls its output layer at each denoising step; the last one counts."""

    def __init__(self, module: Any) -> None:
        """Watch a torch module."""
        self.tokens: Any = None
        module.register_forward_pre_hook(self._take)

    def _take(self, module: Any, inputs: tuple[Any, ...]) -> None:
        self.tokens = inputs[0].detach()


class PrefixTap:
    """The output of the vision-language model of a flow policy for images, words and state. It is free of noise.

    The module returns two streams, prefix and actions, and the prefix is None while the actions are denoised. Padding
    tokens, which nothing attends to, are left out. The policies call `forward` by name, which a hook would not see.
    """

    def __init__(self, module: Any) -> None:
        """Watch a torch module by replacing its `forward`."""
        self.tokens: Any = None
        self._forward = module.forward
        module.forward = self._watch

    def _watch(self, *args: Any, **kwargs: Any) -> Any:
        found = self._forward(*args, **kwargs)
        prefix = found[0][0]
        if prefix is not None:
            self.tokens = prefix.detach()[:, _attended(kwargs['attention_mask'])]
        return found


def _attended(mask: Any) -> Any:
    """Return which tokens attend to themselves, bool [T].

    Args:
        mask: bool [1, T, T], or [1, 1, T, T] with 0 for attention and a large negative number otherwise.
    """
    square = mask.reshape(mask.shape[-2:])
    diagonal = square.diagonal()
    return diagonal >= 0 if diagonal.dtype.is_floating_point else diagonal.bool()


def pooled(tokens: Any) -> NDArray[np.float32]:
    """Return the mean of features over the tokens, float32 [D].

    Args:
        tokens: tensor [1, T, D].

    Raises:
        InputError: there are no features, or they are not finite.
    """
    if tokens is None:
        raise InputError('the tap saw no features: the model did not call the module')
    features: NDArray[np.float32] = tokens[0].float().mean(0).cpu().numpy()
    if not np.isfinite(features).all():
        raise InputError(f'{int((~np.isfinite(features)).sum())} of {features.size} features are not finite')
    return features
