# SPDX-License-Identifier: Apache-2.0
"""Replay one recording: map its topics, make its steps, run every policy, compare with the live run."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from aura_ros.common.errors import BagError
from aura_ros.common.progress import Bar
from aura_ros.common.provenance import versions
from aura_ros.common.text import printable
from aura_ros.control.robot_file import CheckedFile
from aura_ros.recordings.bags import Bag
from aura_ros.recordings.metadata import recorder_warnings
from aura_ros.replay.choice import fitting
from aura_ros.replay.disk_arrays import DiskArrays
from aura_ros.replay.drivers import drivers
from aura_ros.replay.evaluate import PolicyRun, run_policies
from aura_ros.replay.evaluated import FRAMES_BYTES, About, Evaluated, StepTable
from aura_ros.replay.live import compare, recorded_writes
from aura_ros.replay.policies import PolicyOptions, needs_budget
from aura_ros.replay.steps.arrays import Row, StepSource
from aura_ros.replay.steps.cache import BLOCK_BYTES, FirstSteps, StepCache, content_digest, fill, key_of
from aura_ros.replay.steps.candidates import Notes
from aura_ros.replay.steps.clocks import first_ns
from aura_ros.replay.steps.episodes import EpisodeNames
from aura_ros.replay.steps.features import BackboneSteps
from aura_ros.replay.steps.guess import guess, prompts
from aura_ros.replay.steps.mapping import Instruction, Mapping
from aura_ros.replay.steps.mapping_file import as_yaml
from aura_ros.replay.steps.recorded import RecordedSteps, recorded_backbone
from aura_ros.replay.steps.robot import completed
from aura_ros.replay.steps.stream import StepStream
from aura_ros.vla.protocol import Backbone, BackboneSpec

_NS = 1e9
_DIGEST_BAR = 256_000_000
"""Size above which the digest takes long enough for a progress bar [B]."""


@dataclass(frozen=True)
class Settings:
    """Options of a replay."""

    policies: Sequence[str]
    """Names of the policies, see `choose`."""
    weights: dict[str, Path] = field(default_factory=dict)
    """Weights files by policy."""
    window: int = 512
    """Steps that the policy 'kv-window' keeps."""
    mapping: Mapping | None = None
    """Which topic is what; None guesses."""
    instruction: str = ''
    """Replaces the instruction of the mapping, unless empty."""
    robot: CheckedFile | None = None
    """Robot file; None takes that of the mapping, or the recorded one."""
    begin_s: float = 0.0
    """Start, from the beginning of the recording [s]."""
    end_s: float | None = None
    """End, from the beginning of the recording [s]; None reads to the end."""
    limit: int | None = None
    """Most steps; None takes all."""
    cache: Path = Path()
    """Folder of cached steps."""
    fresh: bool = False
    """Discard the cached steps of the recording."""
    run_backbone: bool = False
    """Run the backbone even if its steps were recorded."""
    frames_bytes: int = FRAMES_BYTES
    """Most bytes of the pictures of a recording in the report."""


def evaluate_bag(path: Path, settings: Settings, backbone: Backbone, console: Console) -> Evaluated:
    """Run all policies on a recording.

    Raises:
        AuraError: the recording cannot be read, or a policy cannot run on it.
    """
    name = printable(path.name or str(path))
    with Bag(path) as bag:
        mapping, notes = mapping_of(bag, settings.mapping, settings.instruction, backbone.spec, settings.robot)
        digest, span = _digest(bag, console), _span(bag, mapping, settings)
        recorded = None if settings.run_backbone else recorded_backbone(bag, mapping)
        use_recorded = recorded == backbone.spec.backbone_hash
        notes = (*notes, *_recorded_notes(recorded, use_recorded), *recorder_warnings(bag.metadata))
        for note in notes:
            console.print(f'{name}: {note}', style='dim', markup=False, soft_wrap=True)
        stream: StepStream = (
            RecordedSteps(bag, mapping, backbone.spec, *span)
            if use_recorded
            else BackboneSteps(bag, mapping, backbone, digest, *span)
        )
        key = key_of(
            content=digest,
            backbone=backbone.spec.backbone_hash,
            actions=backbone.spec.action_spec.to_dict(),  # the file of a model may change its timing
            mapping=as_yaml(mapping),
            span=span,
            recorded=use_recorded,
            package=versions().get('aura_ros', ''),
        )
        with StepCache(settings.cache, key, settings.fresh) as cache:
            _fill(cache, stream, bag, first_ns(bag, mapping), settings.limit, console)
            source = FirstSteps(cache, settings.limit) if settings.limit is not None else cache
            arrays = DiskArrays(settings.cache)
            runs = _run(f'{name}: policies', source, arrays, settings, backbone.spec, console)
            steps = StepTable.collect(source, runs, arrays, settings.frames_bytes)
        warnings = (*cache.facts.warnings, *_trained_on(runs, digest))
        for note in warnings:
            console.print(f'{name}: {note}', style='yellow', markup=False, soft_wrap=True)
        if _starts_inside_an_episode(bag, mapping, int(steps.stamps_ns[0]), settings.begin_s):
            console.print(f'{name}: {_INSIDE_AN_EPISODE}', style='yellow', markup=False, soft_wrap=True)
            notes = (_INSIDE_AN_EPISODE, *notes)
        # Damage is looked for each time the recording is opened. The cache adds what reading it found.
        partial = '; '.join(filter(None, (bag.partial, '' if bag.damage else cache.facts.partial)))
        if partial:
            notes = (*notes, f'the recording is partial: {partial}')
        about = About(
            name,
            str(path.resolve()),
            digest,
            as_yaml(mapping),
            partial,
            cache.facts.inputs,
            (*notes, *warnings, *cache.facts.notes),
            _compared(bag, runs, steps.stamps_ns),
            drivers(bag, steps.stamps_ns),
        )
        return Evaluated(about, steps, runs)


_INSIDE_AN_EPISODE = (
    'it begins in the middle of an episode with an empty memory: what the memories held before is missing, and the '
    'first writes differ from those of the complete recording'
)


def fitting_policies(settings: Settings, backbone: Backbone, named: Collection[str]) -> tuple[Settings, dict[str, str]]:
    """Return the settings with the policies that fit the backbone, and the reason for each that is left out.

    Raises:
        ConfigError: a policy of `named` cannot be made.
    """
    policies, left_out = fitting(settings.policies, _options(settings, backbone.spec), named)
    return replace(settings, policies=policies), left_out


def _options(settings: Settings, spec: BackboneSpec) -> PolicyOptions:
    chunk = (spec.chunk_size, spec.action_dim)
    return PolicyOptions(
        spec.feature_dim, chunk, spec.backbone_hash, settings.weights, settings.window, actions=spec.action_spec
    )


def mapping_of(
    bag: Bag, mapping: Mapping | None, instruction: str, spec: BackboneSpec, robot: CheckedFile | None = None
) -> tuple[Mapping, tuple[str, ...]]:
    """Return the mapping to read a recording with, and notes on it for the report.

    None for the mapping guesses it. An instruction that is not empty replaces that of the mapping. A prompt in the
    notes of the recording completes a mapping without one. A robot file completes joints, actions and units; None
    takes that of the mapping or the recorded one.

    Raises:
        BagError: no mapping can be guessed.
        ConfigError: the robot file does not fit the backbone.
    """
    notes: tuple[str, ...] = ()
    if mapping is None:
        found = guess(bag, spec, robot)
        mapping, notes = found.mapping, ('the mapping was guessed from the types and names of the topics', *found.notes)
    else:
        added = Notes()
        mapping = completed(bag, mapping, spec, robot, added)
        notes = (*added.chosen, *added.rejected)
    if not instruction and mapping.instruction == Instruction():
        key, instruction = next(iter(prompts(bag).items()), ('', ''))
        notes += (f'the mapping has no instruction: that of the note {key} is used',) if key else ()
    if instruction:
        mapping = replace(mapping, instruction=Instruction(text=instruction))
    return mapping, notes


def _span(bag: Bag, mapping: Mapping, settings: Settings) -> tuple[int | None, int | None]:
    if not settings.begin_s and settings.end_s is None:
        return None, None
    first = first_ns(bag, mapping)
    length_s = (bag.end_ns - first) / _NS
    if settings.begin_s >= length_s:
        raise BagError(f'--from {settings.begin_s:g} s is after the end: {bag.path} is {length_s:.1f} s long')
    begin = first + round(settings.begin_s * _NS) if settings.begin_s else None
    return begin, None if settings.end_s is None else first + round(settings.end_s * _NS)


def _trained_on(runs: dict[str, PolicyRun], digest: str) -> tuple[str, ...]:
    """Return a note if weights were trained on this recording."""
    seen = [name for name, run in runs.items() if digest in run.policy.trained_on]
    return (
        (f'the weights of {", ".join(seen)} were trained on this recording: use another one as evidence',)
        if seen
        else ()
    )


def _recorded_notes(recorded: str | None, used: bool) -> tuple[str, ...]:
    """Return what a reader should know of recorded steps; `recorded` is the hash of their backbone."""
    if used:
        return (
            'recorded steps are used; cameras, joints and instruction of the mapping are not '
            '(--run-backbone uses them)',
        )
    if recorded is not None:
        return (f'the recorded steps are of another backbone ({recorded[:12]}): the chosen backbone was run',)
    return ()


def _digest(bag: Bag, console: Console) -> str:
    sizes = [file.stat().st_size for file in bag.files]
    if sum(sizes) < _DIGEST_BAR:
        return content_digest(bag.files)
    with Bar(console, f'{bag.path.name}: digest [MiB]', sum(-(-size // BLOCK_BYTES) for size in sizes)) as bar:
        return content_digest(bag.files, lambda _: bar.advance())


def _fill(cache: StepCache, stream: StepStream, bag: Bag, begin_ns: int, limit: int | None, console: Console) -> None:
    """Fill the cache. The progress bar counts seconds of the recording, or steps if they are limited."""
    if cache.complete or (limit is not None and len(cache) >= limit):
        console.print(f'{bag.path.name}: {len(cache):,} steps are in the cache', markup=False)
        return
    seconds = max(1, round((bag.end_ns - begin_ns) / _NS))
    title, total, done = f'{bag.path.name}: steps [s]', seconds, 0
    if limit is not None:
        title, total, done = f'{bag.path.name}: steps', limit, len(cache)
    first_stamp_ns: int | None = None
    with Bar(console, title, total, done) as bar:

        def advance(row: Row) -> None:
            nonlocal done, first_stamp_ns
            # The stamps can be of another clock than the log times.
            first_stamp_ns = row.stamp_ns if first_stamp_ns is None else first_stamp_ns
            reached = done + 1 if limit is not None else round((row.stamp_ns - first_stamp_ns) / _NS)
            if done < reached <= total:
                bar.advance(reached - done)
                done = reached

        fill(cache, stream, limit, advance)


def _run(
    title: str, source: StepSource, arrays: DiskArrays, settings: Settings, spec: BackboneSpec, console: Console
) -> dict[str, PolicyRun]:
    hidden = any(map(needs_budget, settings.policies)) and 'aura' not in settings.policies
    count = len(source) * (len(settings.policies) + hidden)
    with Bar(console, title, count) as bar:
        options = _options(settings, spec)
        return run_policies(settings.policies, options, source, arrays, lambda name, steps: bar.advance(steps, name))


def _starts_inside_an_episode(bag: Bag, mapping: Mapping, first_ns: int, begin_s: float) -> bool:
    starts = [stamp_ns for stamp_ns, _ in EpisodeNames(bag, mapping).starts]
    if starts:
        return first_ns > starts[0] and first_ns not in starts
    return begin_s > 0.0 and len(bag.episodes) == 1


def _compared(bag: Bag, runs: dict[str, PolicyRun], stamps_ns: NDArray[np.int64]) -> str:
    """Compare the writes of AURA with those of the live run, in a sentence; '' if there are none to compare."""
    live = recorded_writes(bag)
    if live is None or 'aura' not in runs:
        return ''
    return compare(live, runs['aura'].writes, stamps_ns.tolist())
