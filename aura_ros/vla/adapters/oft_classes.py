# SPDX-License-Identifier: Apache-2.0
"""The classes of OpenVLA-OFT, from the package vla-arena, which is the one on PyPI that has them.

Three obstacles are removed here. The package files import everything, TensorFlow among it, so only the modules with the
classes are imported. The size of a chunk is a constant that the modules choose from the words of the command line. One
module imports the scheduler of diffusers, which the L1 head does not use.
"""

import contextlib
import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from aura_ros.common.errors import ConfigError
from aura_ros.common.spec_fields import one_of

_BASE = 'vla_arena.models.openvla_oft'
_PACKAGES = (
    'vla_arena',
    'vla_arena.models',
    _BASE,
    f'{_BASE}.prismatic',
    f'{_BASE}.prismatic.extern',
    f'{_BASE}.prismatic.extern.hf',
    f'{_BASE}.prismatic.models',
    f'{_BASE}.prismatic.training',
    f'{_BASE}.prismatic.vla',
)
PLATFORMS = ('libero', 'aloha', 'bridge')
"""Names of the sets of constants: size of a chunk, columns of an action and of the state, normalisation."""


@dataclass(frozen=True)
class OftClasses:
    """The classes, and the constants that they were imported with."""

    config: Any
    model: Any
    image_processor: Any
    action_head: Any
    proprio_projector: Any
    chunk_size: int
    action_dim: int
    state_dim: int
    uses_quantiles: bool
    """Whether q01 and q99 bound the normalised values, or min and max."""


def import_classes(platform: str) -> OftClasses:
    """Return the classes with the constants of a platform.

    Raises:
        ConfigError: the package is missing, or was imported for another platform in this process.
    """
    root = _package_folder()
    allow_plain_torchvision()
    _skip_package_files(root)
    constants = _constants(platform)
    from vla_arena.models.openvla_oft.prismatic.extern.hf import modeling_prismatic, processing_prismatic
    from vla_arena.models.openvla_oft.prismatic.models.action_heads import L1RegressionActionHead
    from vla_arena.models.openvla_oft.prismatic.models.projectors import ProprioProjector

    # The class computes it from a part that it does not have yet when newer versions of transformers ask.
    modeling_prismatic.PrismaticPreTrainedModel._supports_sdpa = True
    return OftClasses(
        config=modeling_prismatic.OpenVLAConfig,
        model=modeling_prismatic.OpenVLAForActionPrediction,
        image_processor=processing_prismatic.PrismaticImageProcessor,
        action_head=L1RegressionActionHead,
        proprio_projector=ProprioProjector,
        chunk_size=constants.NUM_ACTIONS_CHUNK,
        action_dim=constants.ACTION_DIM,
        state_dim=constants.PROPRIO_DIM,
        uses_quantiles=constants.ACTION_PROPRIO_NORMALIZATION_TYPE.value == 'bounds_q99',
    )


def allow_plain_torchvision() -> None:
    """Let torchvision's CUDA build, the only one on PyPI, run on a CPU build of torch.

    It registers two operators that its missing library would have declared.
    """
    from importlib.metadata import version

    import torch

    if torch.version.cuda is not None or '+' in version('torchvision') or 'torchvision' in sys.modules:
        return
    library = torch.library.Library('torchvision', 'DEF')
    library.define('nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')
    library.define('qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')
    _kept.append(library)


_kept: list[Any] = []
"""Libraries of operators, which vanish when they are no longer referred to."""


def _package_folder() -> str:
    if loaded := sys.modules.get('vla_arena'):
        return loaded.__path__[0]
    spec = importlib.util.find_spec('vla_arena')
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(
            "backbone 'openvla_oft' needs vla-arena, which has an environment of its own: "
            './run serve --backbone openvla_oft sets it up and serves it'
        )
    return spec.submodule_search_locations[0]


def _skip_package_files(root: str) -> None:
    """Register the packages without running their files."""
    for name in _PACKAGES:
        if name not in sys.modules:
            package = ModuleType(name)
            package.__path__ = [str(Path(root, *name.split('.')[1:]))]
            sys.modules[name] = package
    if 'diffusers' not in sys.modules and importlib.util.find_spec('diffusers') is None:
        for name in ('diffusers', 'diffusers.schedulers', 'diffusers.schedulers.scheduling_ddim'):
            sys.modules[name] = ModuleType(name)
        sys.modules[name].DDIMScheduler = None  # type: ignore[attr-defined]


def _constants(platform: str) -> Any:
    """Import the constants of a platform; the module looks for its name in the words of the command line."""
    one_of('openvla_oft.platform', platform, PLATFORMS, 'name the set of constants')
    words = sys.argv
    sys.argv = ['aura', platform]
    try:
        with contextlib.redirect_stdout(sys.stderr):
            from vla_arena.models.openvla_oft.prismatic.vla import constants
    finally:
        sys.argv = words
    if platform.upper() != constants.ROBOT_PLATFORM:
        raise ConfigError(
            f'openvla_oft.platform = {platform!r}: must be {constants.ROBOT_PLATFORM.lower()}, because this process '
            'has loaded such a model already; use another process'
        )
    return constants
