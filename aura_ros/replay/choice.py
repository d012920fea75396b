# SPDX-License-Identifier: Apache-2.0
"""Which policies take part in a replay, and why the others do not."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from aura_ros.common.arguments import wrong_name
from aura_ros.common.errors import ConfigError
from aura_ros.memory.weights import default_path
from aura_ros.replay.policies import CONTROL, KIND, TITLES, Budget, PolicyOptions, make_policy, needs_budget

MOST_OWN = 4
"""Most policies with a name and weights of the user's in one report; it has no more colours for them."""


def choose(names: Sequence[str], weights: Mapping[str, Path]) -> tuple[list[str], dict[str, str]]:
    """Choose the policies to run, in the order of the report.

    Without `names` these are all known policies and those with the user's weights. `base` always takes part, because
    the others are compared with it.

    Returns:
        The names, and for each policy that is left out the reason.

    Raises:
        ConfigError: a policy is unknown, or one of `names` has no weights.
    """
    own = [name for name in weights if name not in TITLES]
    if len(own) > MOST_OWN:
        raise ConfigError(f'--weights: {len(own)} policies with names of your own: at most {MOST_OWN} fit in a report')
    known = [*TITLES, *own]
    for name in (*names, *weights):
        if name not in known:
            own_name = f'or give a name of your own with its weights: --weights {name}=FILE'
            raise ConfigError(f'--policies: {wrong_name(name, known)}; {own_name}')
    wanted = [name for name in known if name == 'base' or not names or name in names]
    missing = {
        name: _no_weights(name)
        for name in wanted
        if name not in weights and name != 'base' and not default_path(KIND.get(name, name)).is_file()
    }
    for name in names:
        if name in missing:
            raise ConfigError(f'--policies: {missing[name]}')
    return [name for name in wanted if name not in missing], missing


def fitting(names: Sequence[str], options: PolicyOptions, named: Collection[str]) -> tuple[list[str], dict[str, str]]:
    """Make all policies once, before anything takes time, and leave out those whose weights belong to another backbone.

    Args:
        names: policies, see `choose`.
        options: what they are made with.
        named: policies that the user named, by themselves or by their weights. They are never left out.

    Returns:
        The names that fit, and for each policy that is left out the reason.

    Raises:
        ConfigError: a policy of `named` cannot be made.
    """
    fit: list[str] = []
    left_out: dict[str, str] = {}
    for name in names:
        try:
            make_policy(name, options, Budget(0, 1))
            if needs_budget(name):
                make_policy('aura', options)
        except ConfigError as error:
            if name in named:
                raise
            left_out[name] = f'{name} is left out: {str(error).removeprefix(f"policy {name}: ")}'
        else:
            fit.append(name)
    return fit, left_out


def _no_weights(name: str) -> str:
    kind = KIND.get(name, name)
    why = ', and without it the part of the memory in a gain is unknown' if name == CONTROL else ''
    return (
        f'{name} is left out: this package has no weights for it{why}; train them with '
        f'`aura train memory --from-bags BAG... --memory {kind}`, or give weights with --weights {name}=FILE'
    )
