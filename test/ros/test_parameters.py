# SPDX-License-Identifier: Apache-2.0
"""Parameters: described, checked, refused in one sentence, and locked while in use."""

from dataclasses import dataclass

import pytest
from rclpy.node import Node
from rclpy.parameter import Parameter

from aura_ros.common.errors import ConfigError
from aura_ros.ros.parameters import ParameterSet, numbers, parameter, strings


@dataclass(frozen=True)
class Config:
    rate: float = parameter(20.0, 'Control rate', unit='Hz', low=1.0, high=1000.0)
    steps: int = parameter(4, 'Steps', unit='1', low=1, high=10)
    policy: str = parameter('aura', 'Policy', choices=('base', 'aura'))
    on: bool = parameter(False, 'On', live=True)
    code: str = parameter('built_in', 'module:attribute', at_start=True)
    names: tuple[str, ...] = strings('Names')
    limits: tuple[float, ...] = numbers('Limits', unit='rad')
    policies: tuple[str, ...] = strings('Policies', ('a', 'b'))


@pytest.fixture
def make(graph):
    nodes = []

    def build(locked=lambda: False, **values):
        overrides = [Parameter(f'p.{name}', value=value) for name, value in values.items()]
        node = Node('subject', context=graph.context, parameter_overrides=overrides)
        nodes.append(node)
        return node, ParameterSet(node, Config, locked, prefix='p.')

    yield build
    for node in nodes:
        node.destroy_node()


def test_defaults(make):
    assert make()[1].read() == Config()


def test_overrides_are_taken_and_whole_numbers_made_real(make):
    _, declared = make(rate=5, names=['x'], limits=[1.5, 2.5], on=True, steps=10)
    config = declared.read()
    assert config.rate == 5.0 and isinstance(config.rate, float)
    assert config.names == ('x',) and config.limits == (1.5, 2.5) and config.on


@pytest.mark.parametrize(
    ('values', 'texts'),
    [
        ({'rate': 0.5}, ('p.rate', '0.5', '1..1000 [Hz]')),
        ({'rate': float('nan')}, ('p.rate', 'nan')),
        ({'rate': 'fast'}, ('p.rate', "'fast'", 'a number')),
        ({'steps': 11}, ('p.steps', '11', '1..10')),
        ({'steps': 2.5}, ('p.steps', 'an integer')),
        ({'policy': 'both'}, ('p.policy', "'both'", "'base', 'aura'")),
        ({'limits': ['x']}, ('p.limits', 'a list of numbers')),
        ({'rate': 0.0, 'steps': 0}, ('p.rate', 'p.steps')),
    ],
)
def test_a_bad_override_is_reported_when_read(make, values, texts):
    with pytest.raises(ConfigError) as error:
        make(**values)[1].read()
    for text in texts:
        assert text in str(error.value)


def test_a_bad_override_can_be_corrected(make):
    node, declared = make(steps=11)
    assert not node.set_parameters([Parameter('p.steps', value=12)])[0].successful
    assert node.set_parameters([Parameter('p.steps', value=9)])[0].successful
    assert declared.read().steps == 9


def test_parameters_in_use_cannot_be_changed_except_live_ones(make):
    node, declared = make(locked=lambda: True)
    refused = node.set_parameters([Parameter('p.steps', value=5)])[0]
    assert not refused.successful and 'in use' in refused.reason
    assert node.set_parameters([Parameter('p.on', value=True)])[0].successful
    assert declared.read().on


def test_descriptors_have_unit_and_range(make):
    node, _ = make()
    rate = node.describe_parameter('p.rate')
    assert rate.description == 'Control rate [Hz]'
    limits = rate.floating_point_range[0]
    assert (limits.from_value, limits.to_value) == (1.0, 1000.0)
    assert node.describe_parameter('p.steps').integer_range[0].to_value == 10
    assert "'base', 'aura'" in node.describe_parameter('p.policy').additional_constraints


def test_parameters_that_name_code_are_set_at_start_only(make):
    node, declared = make(code='mine:Memory')
    assert not node.set_parameters([Parameter('p.code', value='os:system')])[0].successful
    assert declared.read().code == 'mine:Memory'
    assert node.describe_parameter('p.code').read_only
