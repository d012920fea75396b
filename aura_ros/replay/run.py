# SPDX-License-Identifier: Apache-2.0
"""One recording from its file to its figures: map, digest, steps, policies; with a bar for what takes time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.console import Console

from aura_ros.common.errors import BagError
from aura_ros.common.progress import Bar
from aura_ros.recordings.bags import Bag
from aura_ros.replay.columns import Columns
from aura_ros.replay.drivers import drivers
from aura_ros.replay.evaluate import run_policies
from aura_ros.replay.evaluated import About, Evaluated, collect
from aura_ros.replay.live import compare, recorded_writes
from aura_ros.replay.policies import Budget, PolicyOptions, make_policy, needs_budget
from aura_ros.replay.steps.align import episode_starts
from aura_ros.replay.steps.arrays import Row
from aura_ros.replay.steps.cache import FirstSteps, StepCache, content_digest, fill, key_of
from aura_ros.replay.steps.features import BackboneSteps
from aura_ros.replay.steps.guess import guess
from aura_ros.replay.steps.mapping import Instruction, Mapping, as_yaml
from aura_ros.replay.steps.recorded import RecordedSteps, recorded_backbone
from aura_ros.replay.steps.stream import StepStream
from aura_ros.vla.protocol import Backbone

_NS = 1e9
_MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Settings:
    """What a user asked for.

    policies: names, see `choose`.
    weights: files by name of the policy.
    window: steps that 'kv-window' keeps.
    mapping: which topic is what; None guesses.
    instruction: in place of the mapping's; empty takes the mapping's.
    begin_s: seconds of the recording to leave out at its beginning.
    end_s: seconds after its beginning at which to stop; None goes to its end.
    limit: most steps; None takes all.
    cache: folder of the steps.
    fresh: work the steps out anew.
    run_backbone: run it also where its steps were recorded.
    """

    policies: Sequence[str]
    weights: dict[str, Path] = field(default_factory=dict)
    window: int = 512
    mapping: Mapping | None = None
    instruction: str = ''
    begin_s: float = 0.0
    end_s: float | None = None
    limit: int | None = None
    cache: Path = Path()
    fresh: bool = False
    run_backbone: bool = False


def evaluate_bag(path: Path, settings: Settings, backbone: Backbone, console: Console) -> Evaluated:
    """Run all policies on a recording.

    Raises:
        AuraError: it cannot be read, or a policy cannot be run on it; the text says why.

    """
    with Bag(path) as bag:
        mapping, notes = mapping_of(bag, settings, backbone)
        span = _span(bag, settings)
        digest = _digest(bag, console)
        recorded = None if settings.run_backbone else recorded_backbone(bag, mapping)
        fits = recorded == backbone.spec.backbone_hash
        if recorded is not None and not fits:
            notes = (*notes, f'the recorded steps are of another VLA ({recorded[:12]}): the chosen one was run')
        if fits:
            notes = (
                *notes,
                'recorded steps are used; cameras, joints and instruction of the mapping are not '
                '(--run-backbone uses them)',
            )
        for note in notes:
            console.print(f'{path.name}: {note}', style='dim', markup=False, soft_wrap=True)
        stream: StepStream = (
            RecordedSteps(bag, mapping, backbone.spec, *span)
            if fits
            else BackboneSteps(bag, mapping, backbone, digest, *span)
        )
        key = key_of(
            content=digest,
            backbone=backbone.spec.backbone_hash,
            mapping=as_yaml(mapping),
            span=span,
            recorded=fits,
            package=_version(),
        )

        with StepCache(settings.cache, key, settings.fresh) as cache:
            _fill(cache, stream, bag, settings.limit, console)
            source = FirstSteps(cache, settings.limit) if settings.limit is not None else cache
            known = About(
                path.name or str(path),
                str(path.resolve()),
                digest,
                as_yaml(mapping),
                cache.facts.partial,
                cache.facts.inputs,
                (*notes, *cache.facts.notes),
            )
            found = _run(known, source, Columns(settings.cache), settings, console)
            if middle := _begins_in_the_middle(bag, found, settings.begin_s):
                console.print(f'{known.name}: {middle}', style='yellow', markup=False, soft_wrap=True)
                found = replace(found, about=replace(found.about, notes=(middle, *found.about.notes)))
            found = replace(found, about=replace(found.about, drivers=drivers(bag, found.stamps_ns)))
            return _compared(bag, found)


def check_policies(settings: Settings, backbone: Backbone) -> None:
    """Make all policies once, before anything takes time.

    Raises:
        ConfigError: one cannot be made; the text says why.

    """
    spec = backbone.spec
    options = PolicyOptions(
        spec.feature_dim, (spec.chunk_size, spec.action_dim), spec.backbone_hash, settings.weights, settings.window
    )
    for name in settings.policies:
        make_policy(name, options, Budget(0, 1))


def mapping_of(bag: Bag, settings: Settings, backbone: Backbone) -> tuple[Mapping, tuple[str, ...]]:
    """The mapping to read a recording with, and what a reader should know of it.

    Raises:
        BagError: none can be guessed.

    """
    notes: tuple[str, ...] = ()
    mapping = settings.mapping
    if mapping is None:
        found = guess(bag, backbone.spec)
        mapping, notes = found.mapping, ('the mapping was guessed from the types and names of the topics', *found.notes)
    if settings.instruction:
        mapping = replace(mapping, instruction=Instruction(text=settings.instruction))
    return mapping, notes


def _span(bag: Bag, settings: Settings) -> tuple[int | None, int | None]:
    length_s = (bag.end_ns - bag.begin_ns) / _NS
    if settings.begin_s >= length_s:
        raise BagError(f'--from {settings.begin_s:g} s begins after the end: {bag.path} is {length_s:.1f} s long')
    begin = bag.begin_ns + round(settings.begin_s * _NS) if settings.begin_s else None
    return begin, None if settings.end_s is None else bag.begin_ns + round(settings.end_s * _NS)


def _digest(bag: Bag, console: Console) -> str:
    total = sum(file.stat().st_size for file in bag.files)
    if total < 256 * _MEGABYTE:
        return content_digest(bag.files)
    with Bar(console, f'{bag.path.name}: digest [MB]', max(1, total // _MEGABYTE)) as bar:
        left = 0

        def advance(count: int) -> None:
            nonlocal left
            whole, left = divmod(left + count, _MEGABYTE)
            bar.advance(whole)

        return content_digest(bag.files, advance)


def _fill(cache: StepCache, stream: StepStream, bag: Bag, limit: int | None, console: Console) -> None:
    """Bring the cache up to date, with a bar in seconds of the recording, or in steps where they are limited."""
    if cache.complete or (limit is not None and len(cache) >= limit):
        console.print(f'{bag.path.name}: {len(cache):,} steps are in the cache', markup=False)
        return
    seconds = max(1, round((bag.end_ns - bag.begin_ns) / _NS))
    title, total, done = f'{bag.path.name}: steps [s]', seconds, 0
    if limit is not None:
        title, total, done = f'{bag.path.name}: steps', limit, len(cache)
    with Bar(console, title, total, done) as bar:

        def advance(row: Row) -> None:
            nonlocal done
            reached = done + 1 if limit is not None else round((row.stamp_ns - bag.begin_ns) / _NS)
            if done < reached <= total:
                bar.advance(reached - done)
                done = reached

        fill(cache, stream, limit, advance)


def _run(
    about: About, source: StepCache | FirstSteps, columns: Columns, settings: Settings, console: Console
) -> Evaluated:
    part = next(iter(source.parts()))
    options = PolicyOptions(
        part.features.shape[1],
        (part.base_actions.shape[1], part.base_actions.shape[2]),
        part.info.backbone_hash,
        settings.weights,
        settings.window,
    )
    hidden = any(map(needs_budget, settings.policies)) and 'aura' not in settings.policies
    count = len(source) * (len(settings.policies) + hidden)
    with Bar(console, f'{about.name}: memories', count) as bar:
        runs = run_policies(settings.policies, options, source, columns, lambda name, steps: bar.advance(steps, name))
    return collect(about, source, runs, columns)


def _begins_in_the_middle(bag: Bag, found: Evaluated, begin_s: float) -> str:
    """Say that the first episode is not read from its beginning, so that memory lacks what came before; else ''."""
    stamp_ns = int(found.stamps_ns[0])
    starts = [at_ns for at_ns, _ in episode_starts(bag)]
    if starts:
        in_the_middle = stamp_ns > starts[0] and stamp_ns not in starts
    else:
        in_the_middle = begin_s > 0.0 and len(bag.episodes) == 1
    return (
        (
            'it begins in the middle of an episode with an empty memory: what the memories knew from before is '
            'missing, and the first writes differ from those of the whole recording'
        )
        if in_the_middle
        else ''
    )


def _compared(bag: Bag, found: Evaluated) -> Evaluated:
    """Say whether the live run wrote as AURA does here."""
    live = recorded_writes(bag)
    if live is None or 'aura' not in found.runs:
        return found
    sentence = compare(live, found.runs['aura'].writes, found.stamps_ns.tolist())
    return replace(found, about=replace(found.about, live=sentence))


def _version() -> str:
    try:
        return version('aura_ros')
    except PackageNotFoundError:
        return ''
