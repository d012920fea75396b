# SPDX-License-Identifier: Apache-2.0
"""Observations and outputs as messages of the wire, checked on both sides."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.errors import InputError
from aura_ros.common.limits import IMAGE_PIXELS, IMAGE_SIDE, INSTRUCTION_CHARS
from aura_ros.vla.protocol import Observation, VlaOutput
from aura_ros.vla.remote.contract import Contract


def observation_to_message(observation: Observation, contract: Contract) -> dict[str, Any]:
    """Return the message of an observation.

    Raises:
        InputError: an input is missing, has the wrong shape or is not finite.
    """
    message: dict[str, Any] = {contract.key('prompt'): observation.instruction}
    for camera in contract.cameras:
        message[contract.key(camera)] = _image(camera, observation.images.get(camera))
    values = {'joints': observation.joint_positions} if contract.state is None else observation.state
    parts = {part.name: _vector(part.name, values.get(part.name), part.dims) for part in contract.parts}
    if 'state' in contract.keys:
        message[contract.key('state')] = np.concatenate(list(parts.values()))
    else:
        message |= {contract.key(name): part for name, part in parts.items()}
    if 'joint_positions' in contract.keys:
        measured = _vector('joint_positions', observation.joint_positions, len(contract.joint_names))
        message[contract.key('joint_positions')] = measured
    return message


def message_to_observation(message: Mapping[Any, Any], contract: Contract) -> Observation:
    """Return the observation of a message; further keys are ignored.

    Raises:
        InputError: an input is missing, has the wrong type or shape, or is not finite.
    """
    instruction = message.get(contract.key('prompt'))
    if not isinstance(instruction, str) or len(instruction) > INSTRUCTION_CHARS:
        raise InputError(
            f'{contract.key("prompt")} = {instruction!r:.60}: must be text of at most {INSTRUCTION_CHARS} characters'
        )
    images = {camera: _image(camera, message.get(contract.key(camera))) for camera in contract.cameras}
    parts = {part.name: part.dims for part in contract.parts}
    if 'state' in contract.keys:
        joined = _vector('state', message.get(contract.key('state')), sum(parts.values()))
        ends = np.cumsum(list(parts.values()))[:-1]
        state = dict(zip(parts, np.split(joined, ends), strict=True))
    else:
        state = {name: _vector(name, message.get(contract.key(name)), dims) for name, dims in parts.items()}
    if contract.state is None:
        return Observation(images, state['joints'], instruction)
    if 'joint_positions' in contract.keys:
        found = message.get(contract.key('joint_positions'))
        measured = _vector('joint_positions', found, len(contract.joint_names))
    else:
        measured = np.concatenate(list(state.values()))
    return Observation(images, measured, instruction, state)


def output_to_answer(output: VlaOutput, contract: Contract) -> dict[str, Any]:
    """Return the answer of a server.

    Raises:
        InputError: the output does not fit the contract or is not finite.
    """
    checked = answer_to_output({'actions': output.actions, 'features': output.features}, contract)
    answer: dict[str, Any] = {'actions': checked.actions}
    if contract.features is not None:
        answer['features'] = checked.features
    return answer


def answer_to_output(answer: Mapping[Any, Any], contract: Contract) -> VlaOutput:
    """Return the output in the answer of a server; further keys are ignored.

    Raises:
        InputError: actions or features are missing, have another shape or are not finite.
    """
    wanted = (contract.actions.chunk_size, contract.actions.dims)
    actions = _finite('actions', answer.get('actions'))
    if actions.shape != wanted:
        raise InputError(f'actions have the shape {actions.shape}: must be {wanted}')
    if contract.features is None:
        return VlaOutput(np.empty(0, np.float32), actions)
    features = _finite('features', answer.get('features'))
    if features.shape != (contract.features.dim,):
        raise InputError(f'features have the shape {features.shape}: must be {(contract.features.dim,)}')
    return VlaOutput(features, actions)


def _image(camera: str, image: object) -> NDArray[np.uint8]:
    if not isinstance(image, np.ndarray):
        raise InputError(f'image {camera!r} is missing: must be uint8 [H, W, 3]')
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InputError(f'image {camera!r} is {image.dtype} {image.shape}: must be uint8 [H, W, 3]')
    height, width = image.shape[:2]
    if not (1 <= height <= IMAGE_SIDE and 1 <= width <= IMAGE_SIDE and height * width <= IMAGE_PIXELS):
        raise InputError(f'image {camera!r} has {height} x {width} px: must be at most {IMAGE_SIDE} a side')
    return image


def _vector(name: str, values: object, length: int) -> NDArray[np.float32]:
    vector = _finite(name, values)
    if vector.shape != (length,):
        raise InputError(f'{name} has the shape {vector.shape}: must be {(length,)}')
    return vector


def _finite(name: str, values: object) -> NDArray[np.float32]:
    if not isinstance(values, np.ndarray):
        raise InputError(f'{name} is {type(values).__name__}: must be an array of numbers')
    # A float64 beyond the range of float32 becomes infinite here, and is refused below.
    with np.errstate(over='ignore'):
        found = np.ascontiguousarray(values, dtype=np.float32)
    if not (finite := np.isfinite(found)).all():
        raise InputError(f'{name}: {int((~finite).sum())} of {found.size} values are not finite')
    return found
