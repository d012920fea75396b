# SPDX-License-Identifier: Apache-2.0
"""Training streams that go on: their bindings, the states of memories on them, and their changes."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip('torch')
torch.set_num_threads(1)

from aura_ros.bench.lanes import Lanes  # noqa: E402
from aura_ros.bench.perturbation import Augmentation  # noqa: E402
from aura_ros.bench.streams import Kind, Streams, StreamSetting, generator  # noqa: E402
from aura_ros.bench.synthetic import MATCHED, UNMATCHED  # noqa: E402
from aura_ros.bench.synthetic_training import Budget, Task, make, train  # noqa: E402
from aura_ros.train.learner import GateTraining, Learner  # noqa: E402

OPEN = GateTraining(open_until=0.0)
BUDGET = Budget(steps=3, batch=2, used=1.0, gate=OPEN, content_gate=OPEN)
SETTING = StreamSetting(4, event=0.1, repeat=0.2, query=0.3, train_length=40, length=80)


def drawn(used: float, pieces: int, augmentation: Augmentation | None = None) -> list[tuple[Streams, NDArray[Any]]]:
    lanes = Lanes(SETTING, 8, generator('train', 0), augmentation)
    return [lanes.next_piece(used) for _ in range(pieces)]


def test_answers_follow_from_all_pieces_of_a_lane() -> None:
    classes: list[dict[int, int]] = [{} for _ in range(8)]
    carried = rebound = 0
    for streams, going_on in drawn(0.7, 12):
        for lane in range(8):
            known = classes[lane] = classes[lane] if going_on[lane] else {}
            since: set[int] = set()
            for kind, key, target in zip(streams.kind[lane], streams.key[lane], streams.target[lane], strict=True):
                if kind in (Kind.BINDING, Kind.REBINDING):
                    assert (kind == Kind.REBINDING) == (key in known)
                    rebound += kind == Kind.REBINDING and key not in since
                    known[key] = -1  # unknown until a query shows it
                    since.add(key)
                elif kind == Kind.QUERY:
                    assert key in known and known[key] in (-1, target)
                    carried += key not in since
                    known[key] = target
    assert carried > 50 and rebound > 20, 'queries and rebindings of what an earlier piece has bound'


def test_share_of_pieces_that_go_on() -> None:
    going_on = np.array([found[1] for found in drawn(0.7, 200)])
    assert not going_on[0].any(), 'the first pieces begin'
    assert going_on[1:].mean() == pytest.approx(0.7, abs=0.04)
    assert not np.array([found[1] for found in drawn(0.0, 5)]).any()


def test_changes_stay_for_the_life_of_a_lane() -> None:
    plain = drawn(0.5, 8)
    gains: list[list[float]] = [[] for _ in range(8)]
    for streams, going_on in drawn(0.5, 8, Augmentation(gain=2.0)):
        query = np.linalg.norm(streams.z[:, :, :32], axis=-1).mean(1)  # the norm of a key code is about 1
        for lane in range(8):
            if going_on[lane]:
                assert query[lane] == pytest.approx(gains[lane][-1], rel=0.05)
            gains[lane].append(float(query[lane]))
    found = np.array(gains).ravel()
    assert found.min() < 0.75 and found.max() > 1.5 and len(np.unique(found.round(1))) > 5
    base = np.array([np.linalg.norm(streams.z[:, :, :32], axis=-1).mean() for streams, _ in plain])
    assert base == pytest.approx(1.04, abs=0.05)


@pytest.mark.parametrize('memory', [name for name in (*UNMATCHED, *MATCHED) if not name.startswith('oracle')])
def test_every_memory_trains_from_the_states_of_its_lanes(memory: str) -> None:
    """The module that is trained answers a lane as it answers the whole stream, in its pieces with a state."""
    seen: list[Any] = []

    class Recorder(Learner):
        def step(self, z: Any, base: Any, *args: Any, **options: Any) -> tuple[float, float]:
            schedule, _, state = args[2:]
            with torch.no_grad():
                scan = module.eval()(z, base, state, schedule=schedule).scan
            seen.append((z, schedule, scan))
            self.state = scan.state
            return 0.0, 0.0

    torch.manual_seed(0)
    module = make(memory, 0.1)
    train(module, Task(memory, SETTING, BUDGET, 1e-3, 0, 0.1), Recorder)
    z, schedules = torch.cat([part[0] for part in seen], 1), [part[1] for part in seen]
    schedule = None if schedules[0] is None else torch.cat(schedules, 1)
    with torch.no_grad():
        whole = module(z, torch.zeros(2, 120, 1, 8), schedule=schedule).scan
    joined = torch.cat([part[2].readout for part in seen], 1)
    assert torch.allclose(joined, whole.readout, atol=1e-4)
    assert not torch.allclose(joined, torch.zeros(())), 'the read-outs depend on something'
