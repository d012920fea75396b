# SPDX-License-Identifier: Apache-2.0
"""The modules load with the rclpy of Jazzy: its classes take no type parameters, and some names do not exist there."""

import subprocess
import sys

# Makes the installed rclpy look like that of Jazzy, then imports every module whose libraries are installed.
PROGRAM = """
import importlib, pkgutil
import aura_ros, rclpy

for found in pkgutil.walk_packages(rclpy.__path__, 'rclpy.'):
    if '._' not in found.name:
        importlib.import_module(found.name)

def refuse(cls, _):
    raise TypeError(f"type '{cls.__name__}' is not subscriptable")

classes = [rclpy.action.ActionClient, rclpy.action.ActionServer]
classes += [rclpy.action.client.ClientGoalHandle, rclpy.action.server.ServerGoalHandle]
for name in ('Client', 'Parameter', 'Publisher', 'Service', 'Subscription'):
    classes.append(getattr(rclpy.node, name))
classes.append(rclpy.task.Future)
for kind in classes:
    kind.__class_getitem__ = classmethod(refuse)
for module in (rclpy.subscription, rclpy.event_handler, rclpy.type_support):
    for name in ('MessageInfo', 'QoSLivelinessChangedInfo', 'MsgT', 'SrvRequestT', 'SrvResponseT'):
        module.__dict__.pop(name, None)
loaded = 0
for found in pkgutil.walk_packages(aura_ros.__path__, 'aura_ros.', onerror=lambda _: None):
    if found.name.endswith('__main__'):
        continue
    try:
        importlib.import_module(found.name)
        loaded += 1
    except ModuleNotFoundError as error:
        assert error.name.partition('.')[0] not in ('aura_ros', 'rclpy'), error
    except Exception as error:
        assert type(error).__name__ == 'ConfigError', (found.name, repr(error))  # no Qt binding
print(loaded)
"""


def test_every_module_loads_with_the_names_of_jazzy() -> None:
    done = subprocess.run([sys.executable, '-c', PROGRAM], capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 200
