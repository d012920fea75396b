# SPDX-License-Identifier: Apache-2.0
"""Lists of names, of learning rates and of seeds on the command line."""

import argparse
import math
from collections.abc import Sequence

from aura_ros.common.arguments import names_of, wrong_name
from aura_ros.common.errors import ConfigError


def add_memories(
    parser: argparse.ArgumentParser, unmatched: Sequence[str], matched: Sequence[str], tried: Sequence[str] = ()
) -> None:
    """Add --memories; the memories of `matched` match the writes of aura. Those of `tried` do not run by default."""
    parser.add_argument(
        '--memories',
        type=names_of((*unmatched, *matched, *tried)),
        default=','.join((*unmatched, *matched)),
        metavar='LIST',
        help=f'memories to run; {", ".join(matched)} need aura (default: %(default)s)',
    )


def check_matched(args: argparse.Namespace, matched: Sequence[str]) -> None:
    """Check that aura runs too, if memories of --memories match its writes and --tune does not give them.

    Raises:
        ConfigError: it does not.
    """
    chosen = [memory for memory in args.memories if memory in matched]
    if chosen and 'aura' not in args.memories and not args.tune:
        raise ConfigError(f'--memories: {", ".join(chosen)} match the writes of aura; add aura')


def add_augment(parser: argparse.ArgumentParser) -> None:
    """Add --augment."""
    parser.add_argument(
        '--augment',
        type=parse_augment,
        default='',
        metavar='NAME=VALUE,...',
        help='largest changes of the training streams: noise (a factor), gain (a factor) and offset, for example '
        'noise=2,gain=1.3,offset=0.1 (default: none)',
    )


def parse_augment(text: str) -> dict[str, float]:
    """Return the values in `text` by name. For argparse."""
    found: dict[str, float] = {}
    for word in filter(None, (part.strip() for part in text.split(','))):
        name, _, value = (part.strip() for part in word.partition('='))
        try:
            found[name] = float(value)
        except ValueError:
            raise argparse.ArgumentTypeError(f'{word!r}: expected for example noise=2,gain=1.3') from None
        if name not in ('noise', 'gain', 'offset'):
            raise argparse.ArgumentTypeError(wrong_name(name, ('noise', 'gain', 'offset')))
    return found


def parse_rates(text: str) -> tuple[float, ...]:
    """Return the learning rates in `text`, which are separated by commas, each once. For argparse."""
    rates: list[float] = []
    for word in text.split(','):
        try:
            rate = float(word)
        except ValueError:
            rate = math.nan
        if not 0.0 < rate < math.inf:
            raise argparse.ArgumentTypeError(f'{word.strip()!r}: must be numbers > 0, for example 0.003,0.006')
        rates.append(rate)
    return tuple(dict.fromkeys(rates))


def parse_seeds(text: str) -> tuple[int, ...]:
    """Return the seeds in '0,1,2', '0..4' or a mix of both, each once, in the given order. For argparse."""
    seeds: list[int] = []
    for part in text.split(','):
        first, dots, last = part.partition('..')
        try:
            found = range(int(first), int(last) + 1) if dots else (int(first),)
        except ValueError:
            raise argparse.ArgumentTypeError(f'{part!r} is not a seed: expected for example 0,1,2 or 0..4') from None
        if not found or min(found) < 0:
            raise argparse.ArgumentTypeError(f'{part!r}: seeds must be >= 0, and a range must ascend')
        seeds += found
    return tuple(dict.fromkeys(seeds))
