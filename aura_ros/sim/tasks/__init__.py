# SPDX-License-Identifier: Apache-2.0
"""The tasks of the embedded robot: one long, non-resetting episode of many rounds.

recall     The beacon shows a colour for half a second and goes dark for 2-20 s, while the lamp flashes other
           colours and the blocks may change places. When the go sign appears, the robot has to touch the block
           of the beacon's colour. The cue may appear a second time.
put_back   A parcel stands on one of three pads and is moved away. 2-20 s later the robot has to put it back.
visible    Needs no memory: the beacon stays lit until the touch, or the instruction names the colour.
place      Needs no memory: the instruction names the pad. Only for training the VLA.
sequence   The beacon shows two to four colours one after another. The blocks have to be touched in that order.
both       The beacon shows a colour, and a parcel stands on a pad and is moved away. The robot is asked for one of
           them, and after a wait for the other.
many       Three lamps show colours now and then. What a lamp showed last holds in later rounds too. The instruction
           says at the go sign which lamp counts, and the robot has to touch the block of its colour.
visible_sequence, visible_both, visible_many
           Need no memory: the beacon, lamps that stay lit, or the instruction show the answers until they have been
           used. Only for training the VLA.

A round is a generator that runs once per control tick, so a task reads from top to bottom in the order of time.
Task, split, seed and number decide a round, whatever the robot did before it (`simulation.py`).
"""

from aura_ros.sim.tasks.simulation import SPLITS, Simulation
from aura_ros.sim.tasks.stage import GRASP_TASKS, Event, Goal, ticks

__all__ = ['GRASP_TASKS', 'SPLITS', 'Event', 'Goal', 'Simulation', 'ticks']
