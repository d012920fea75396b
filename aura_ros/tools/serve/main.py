# SPDX-License-Identifier: Apache-2.0
"""`aura serve`: a policy server for any backbone, which `backbone: remote` uses."""

import argparse
import json
import logging
import threading

from aura_ros.common.arguments import integer_in, make_parser, positive_integer
from aura_ros.common.limits import REMOTE_BYTES
from aura_ros.common.program import end_on_signals, program
from aura_ros.common.text import printable
from aura_ros.vla import Backbone, backbone_name, load_backbone
from aura_ros.vla.remote import Contract, Features, PolicyServer, ServerOptions
from aura_ros.vla.remote.server import HEALTH

_DESCRIPTION = """\
Serves a frozen backbone to vla_node in openpi's websocket protocol: observations in, actions and features out. The
server needs no ROS, so a model can run in an environment of its own, or on a machine with a GPU. The memory stays on
the robot's side, because it needs each step exactly once."""
_EPILOG = """\
backbones:
  embedded       the small model of the package, to try it out
  lerobot        SmolVLA, pi0, pi0.5, ACT and GR00T of LeRobot; --path is a file such as
                 config/vla/so101_smolvla.yaml
  openvla_oft    OpenVLA-OFT; --path is a file such as config/vla/libero_oft.yaml
  module:factory your own; the factory takes --path

examples:
  aura serve             the embedded backbone on ws://127.0.0.1:8000
  aura serve --describe  print what the server would promise, as JSON
  aura serve --backbone lerobot --path config/vla/so101_smolvla.yaml \\
      --checkpoint ~/my_smolvla
  aura serve --backbone openvla_oft --path config/vla/libero_oft.yaml \\
      --checkpoint ~/my_oft

In the parameter file of vla_node: `backbone: remote` and `backbone_path: ws://127.0.0.1:8000`.
http://127.0.0.1:8000/healthz answers OK once the model is loaded.

The protocol has no login and no encryption. The server listens on this computer only. For another machine, use a
tunnel: ssh -N -L 8000:127.0.0.1:8000 USER@GPU_MACHINE. --host 0.0.0.0 opens it to everyone on the network.
docs/vla.md describes the families of models and the environments that they need."""


@program('aura serve', interrupted='stopped')
def main(arguments: list[str] | None = None) -> int:
    """Run the program and return its exit code."""
    end_on_signals()
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format='%(name)s: %(message)s')
    # One line for each connection is enough; websockets logs each handshake as well.
    logging.getLogger('websockets').setLevel(logging.WARNING)
    backbone = load_backbone(options.backbone, options.path or None, options.checkpoint or None)
    contract = contract_of(backbone)
    if options.describe:
        print(json.dumps(contract.to_metadata(), indent=2))
        return 0
    where = ServerOptions(options.host, options.port, options.max_message_mib << 20, options.max_clients)
    server = PolicyServer(backbone, contract, where)
    _announce(contract, options.host, server.port)
    try:
        server.serve_forever()
    finally:
        # In a thread, because a signal that arrives meanwhile raises here, and the listener still has to close.
        closing = threading.Thread(target=server.shutdown)
        closing.start()
        closing.join()
    return 0


def contract_of(backbone: Backbone) -> Contract:
    """Return what a server for a backbone promises.

    An adapter has the attribute `features`, which names its tap. Other backbones follow the protocol of the package:
    they are deterministic, and `features` are one vector.
    """
    features = getattr(backbone, 'features', Features('VlaOutput.features', 'none'))
    if not backbone.spec.feature_dim:
        features = None
    return Contract.of(backbone.spec, features)


def _announce(contract: Contract, host: str, port: int) -> None:
    features = contract.features
    tap = f'{features.dim} features of {features.tap} ({features.pool})' if features else 'no features: base only'
    print(f'backbone {printable(contract.name)} {contract.backbone_hash[:12]}: {tap}')
    print(f'actions {contract.actions.text}')
    print(f'serving on ws://{host}:{port}, health on http://{host}:{port}{HEALTH}', flush=True)


def _mebibytes(text: str) -> int:
    number = positive_integer(text)
    if number > REMOTE_BYTES >> 20:
        raise argparse.ArgumentTypeError(f'{text}: must be 1..{REMOTE_BYTES >> 20}')
    return number


def _parser() -> argparse.ArgumentParser:
    parser = make_parser('aura serve', _DESCRIPTION, _EPILOG)
    parser.add_argument(
        '--backbone', type=backbone_name, default='embedded', metavar='NAME', help='backbone, see below'
    )
    parser.add_argument(
        '--path', default='', metavar='FILE', help='weights, or a file with settings (default: those that ship)'
    )
    parser.add_argument(
        '--checkpoint', default='', metavar='DIR', help='folder of the weights (default: that in the file)'
    )
    parser.add_argument(
        '--host', default='127.0.0.1', metavar='ADDRESS', help='address to listen on (default: %(default)s)'
    )
    parser.add_argument(
        '--port', type=integer_in(0, 65535), default=8000, metavar='N', help='TCP port, 0 takes a free one'
    )
    parser.add_argument(
        '--max-clients', type=positive_integer, default=4, metavar='N', help='connections at a time (default: 4)'
    )
    parser.add_argument(
        '--max-message-mib',
        type=_mebibytes,
        default=REMOTE_BYTES >> 20,
        metavar='N',
        help='largest request [MiB] (default: %(default)s)',
    )
    parser.add_argument('--describe', action='store_true', help='print the contract as JSON and exit')
    return parser
