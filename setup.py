# SPDX-License-Identifier: Apache-2.0
"""Packs what CMake installs into a wheel, so that pip installs the same files as `colcon build`.

pyproject.toml lists names, dependencies and programs, package.xml has the version, and CMakeLists.txt lists the files.

- The modules and the generated messages become the Python package of the wheel.
- The typesupport libraries, executables and share/ become data files. pip installs these below sys.prefix, so that a
  virtual environment looks like a ROS prefix. C++ headers are left out.

An editable install leaves the modules in this folder and installs only the generated ones; `extend_path` in
aura_ros/__init__.py joins the two. It still copies the files of launch/, config/ and scripts/.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from setuptools import Distribution, find_packages, setup
from setuptools.command.build_ext import build_ext

HERE = Path(__file__).parent.resolve()
NAME = 'aura_ros'


def ros_prefixes() -> str:
    """Return the prefixes of ROS: that of the installed ros-* wheels, then those of all sourced workspaces.

    Raises:
        SystemExit: no ROS 2 is installed or sourced.
    """
    try:
        import rosidl_adapter  # in PREFIX/lib/pythonX.Y/site-packages
    except ImportError:
        raise SystemExit(
            'aura_ros: no ROS 2 found for the build. Build without --no-build-isolation, or install the'
            ' packages that [build-system] in pyproject.toml requires, or source a ROS 2 workspace.'
        ) from None
    wheels = str(Path(rosidl_adapter.__file__).resolve().parents[4])
    sourced = os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)
    return os.pathsep.join(dict.fromkeys(filter(None, [wheels, *sourced])))


class CMakeBuild(build_ext):
    """Runs CMake instead of compiling extensions, and adds the files that it installs to the wheel."""

    def run(self) -> None:
        tag = sys.implementation.cache_tag
        build, root = HERE / 'build' / f'cmake-{tag}', HERE / 'build' / f'root-{tag}'
        self.run_cmake(build, root)
        python = next(root.glob(f'**/*-packages/{NAME}'))
        data = self.shared_files(root, python.parent)
        if self.editable_mode:
            data.update(self.generated_modules(python))
        else:
            target = Path(self.build_lib) / NAME
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(python, target, ignore=shutil.ignore_patterns('*.c', '__pycache__'))
        # Changed in place, because the install_data command may already refer to this list.
        self.distribution.data_files[:] = sorted(data.items())

    def run_cmake(self, build: Path, root: Path) -> None:
        """Configure and build in `build`, and install into `root`."""
        prefixes = ros_prefixes()
        # CMake caches the path of each ROS package, but pip uses a new isolated folder for each build.
        made_with = f'{sys.executable}\n{prefixes}\n'
        stamp = build / 'made_with.txt'
        if build.exists() and not (stamp.exists() and stamp.read_text() == made_with):
            shutil.rmtree(build)
        build.mkdir(parents=True, exist_ok=True)
        stamp.write_text(made_with)
        shutil.rmtree(root, ignore_errors=True)
        env = dict(os.environ, AMENT_PREFIX_PATH=prefixes, CMAKE_PREFIX_PATH=prefixes)
        configure = [
            'cmake',
            '-S',
            HERE,
            '-B',
            build,
            '-DCMAKE_BUILD_TYPE=Release',
            '-DBUILD_TESTING=OFF',
            f'-DCMAKE_INSTALL_PREFIX={root}',
            # Libraries are in lib/, extension modules in lib/pythonX.Y/site-packages/aura_ros.
            '-DCMAKE_INSTALL_RPATH=$ORIGIN:$ORIGIN/../../..',
            f'-DPython3_EXECUTABLE={sys.executable}',
        ]
        install = ['cmake', '--build', build, '--target', 'install']
        install += ['--parallel', str(os.cpu_count() or 1)]
        for command in (configure, install):
            subprocess.check_call(command, env=env)

    @staticmethod
    def shared_files(root: Path, site_packages: Path) -> dict[str, list[str]]:
        """Return all files except Python modules and C++ headers, as {folder below sys.prefix: files}."""
        data: dict[str, list[str]] = {}
        for file in sorted(root.rglob('*')):
            if file.is_dir() or {site_packages, root / 'include'} & set(file.parents):
                continue
            folder = str(file.parent.relative_to(root))
            data.setdefault(folder, []).append(str(file.relative_to(HERE)))
        return data

    @staticmethod
    def generated_modules(python: Path) -> dict[str, list[str]]:
        """Return the generated messages, without an __init__.py that would hide the source folder."""
        version = f'python{sys.version_info.major}.{sys.version_info.minor}'
        site_packages = Path('lib') / version / 'site-packages'
        data: dict[str, list[str]] = {}
        for file in sorted(python.rglob('*')):
            inside = file.relative_to(python)
            if file.suffix in ('.py', '.so') and not (HERE / NAME / inside).exists():
                folder = str(site_packages / NAME / inside.parent)
                data.setdefault(folder, []).append(str(file.relative_to(HERE)))
        return data

    def get_outputs(self) -> list[str]:
        return []

    def get_output_mapping(self) -> dict[str, str]:
        return {}


class BinaryDistribution(Distribution):
    """A distribution with compiled parts, whose wheel is for one version of Python and one platform."""

    def has_ext_modules(self) -> bool:
        return True

    def has_data(self) -> bool:
        """Return True; otherwise the editable_wheel command of setuptools leaves the data files out."""
        return True


setup(
    version=ElementTree.parse(HERE / 'package.xml').findtext('version'),
    packages=find_packages(include=[NAME, f'{NAME}.*']),
    package_dir={'': '.'},
    data_files=[],
    distclass=BinaryDistribution,
    cmdclass={'build_ext': CMakeBuild},
)
