# SPDX-License-Identifier: Apache-2.0
"""Actions relative to the observed state become absolute, because only the backbone's side has that state.

Memories, switch and recordings therefore see absolute targets, and a chunk that is late means the same as one in time.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.action_spec import ActionComponent, columns_of
from aura_ros.common.errors import ConfigError
from aura_ros.common.rotations import from_matrix, to_matrix
from aura_ros.common.state_spec import StatePart
from aura_ros.vla.protocol import Backbone, BackboneSpec, Observation, VlaOutput

RELATIVE = 'state_relative'


class AbsoluteBackbone:
    """A backbone whose state-relative components are absolute; implements `Backbone`.

    Raises:
        ConfigError: the state has no part that a relative component refers to.
    """

    def __init__(self, backbone: Backbone) -> None:
        self._backbone = backbone
        relative = backbone.spec
        self._parts = {
            component.name: _part_of(component, relative)
            for component in relative.components
            if component.mode == RELATIVE
        }
        self._turn = next((part.name for part in relative.state_spec.parts if part.kind == 'ee_rotation'), '')
        for component in relative.components:
            if component.name in self._parts and component.frame == 'end_effector' and not self._turn:
                raise ConfigError(f'{component.name} is in the frame of the end effector: the state needs its rotation')
        self.spec = replace(relative, components=tuple(map(_absolute, relative.components)))

    def infer(self, observation: Observation) -> VlaOutput:
        """Run the backbone once, and add the observed state; see `Backbone.infer`."""
        output = self._backbone.infer(observation)
        actions = np.array(output.actions, np.float32)
        for component, columns in columns_of(self._backbone.spec.components):
            if component.name in self._parts:
                actions[:, columns] = self._added(component, observation, actions[:, columns])
        return VlaOutput(output.features, actions)

    def close(self) -> None:
        """End the connection of a backbone in another process."""
        close = getattr(self._backbone, 'close', None)
        if callable(close):
            close()

    def _added(
        self, component: ActionComponent, observation: Observation, values: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        """Return targets, float64 [chunk_size, dims]."""
        part = self._parts[component.name]
        state = np.asarray(observation.state[part.name], np.float64)
        tool = component.frame == 'end_effector'
        if component.kind == 'ee_rotation':
            base = to_matrix(part.rotation, state)
            turns = [to_matrix(component.rotation, row) for row in values]
            return np.array([from_matrix(component.rotation, base @ turn if tool else turn @ base) for turn in turns])
        if tool:
            turn = next(part for part in self._backbone.spec.state_spec.parts if part.name == self._turn)
            values = (values @ to_matrix(turn.rotation, observation.state[self._turn]).T).astype(np.float32)
        return np.asarray(state + values)


def absolute(backbone: Backbone) -> Backbone:
    """Return a backbone whose actions do not depend on the observed state; the same one if they do not already.

    Raises:
        ConfigError: the state has no part that a relative component refers to.
    """
    relative = any(component.mode == RELATIVE for component in backbone.spec.components)
    return AbsoluteBackbone(backbone) if relative else backbone


def _absolute(component: ActionComponent) -> ActionComponent:
    if component.mode != RELATIVE:
        return component
    return replace(component, mode='absolute', frame='base' if component.frame else '', range=None)


def _part_of(component: ActionComponent, spec: BackboneSpec) -> StatePart:
    """Return the part of the state that a component is relative to: the first of its kind with as many values."""
    for part in spec.state_spec.parts:
        same = part.kind == 'ee_rotation' or (part.dims == component.dims and part.unit == component.unit)
        if part.kind == component.kind and same:
            return part
    raise ConfigError(
        f'component {component.name!r} is relative to the state, and the state {spec.state_spec.text} has no part '
        f'{component.kind} of {component.dims} values in {component.unit or "the unit of the robot file"}: add one'
    )
