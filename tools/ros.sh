# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # ./run and tools/setup.sh use and define some of the variables
#
# The ROS 2 of ./run, which sources this file: a sourced ROS 2, else the wheels of a distribution. Each has a virtual
# environment of its own.

supported_ros='jazzy kilted'

# Sets
#   ros          sourced, or the distribution of the wheels
#   ros_prefix   the folder with the sourced rclpy; empty for wheels
#   ros_python   the Python version of the sourced rclpy, such as 3.12; empty for wheels
#   venv, stamps, log
choose_ros() {
    inherited=${AMENT_PREFIX_PATH:-}${_ROS_WHEELS_BOOTSTRAP_COMPLETE:-}
    unset PYTHONHOME _ROS_WHEELS_BOOTSTRAP_COMPLETE # else ros-wheels-bootstrapper does not set its LD_LIBRARY_PATH
    drop_own_prefixes
    ros_prefix='' ros_python=''
    if [ -n "${AURA_ROS:-}" ]; then
        use_wheels "$AURA_ROS"
    elif [ -n "${ROS_DISTRO:-}" ] && [ -n "$AMENT_PREFIX_PATH" ]; then
        use_sourced_ros
    else
        use_wheels kilted
    fi
    stamps=$venv/stamps log=$venv/run.log
}

# Removes the environments of this folder from AMENT_PREFIX_PATH. `./run shell` puts them there.
drop_own_prefixes() {
    kept='' rest=${AMENT_PREFIX_PATH:-}:
    while [ -n "$rest" ]; do
        case ${rest%%:*} in
        "$root"/.venv* | '') ;;
        *) kept=$kept${kept:+:}${rest%%:*} ;;
        esac
        rest=${rest#*:}
    done
    AMENT_PREFIX_PATH=$kept
}

use_sourced_ros() {
    ros=sourced venv=$root/.venv-sourced-$ROS_DISTRO
    or_wheels='or set AURA_ROS=kilted to use the wheels of Kilted'
    case " $supported_ros " in
    *" $ROS_DISTRO "*) ;;
    *) die "the sourced ROS 2 is '$ROS_DISTRO', must be one of: $supported_ros; source one of these, $or_wheels." ;;
    esac
    rest=$AMENT_PREFIX_PATH:
    while [ -n "$rest" ]; do
        prefix=${rest%%:*} rest=${rest#*:}
        [ ! -f "$prefix/share/ament_index/resource_index/packages/aura_ros" ] ||
            die "the sourced workspace $prefix contains aura_ros itself: use ros2 launch, or source ROS 2 without it."
        for found in "$prefix"/lib/python3.*/site-packages/rclpy; do
            if [ -z "$ros_prefix" ] && [ -d "$found" ]; then
                version=${found%/site-packages/rclpy}
                ros_prefix=$prefix ros_python=${version##*/lib/python}
            fi
        done
    done
    [ -n "$ros_prefix" ] || die "the sourced ROS 2 has no rclpy: install ros-$ROS_DISTRO-ros-base, $or_wheels."
}

# use_wheels DISTRIBUTION: the environment has a ROS of its own, and a sourced ROS must not mix with it
use_wheels() {
    ros=$1
    case $ros in
    kilted) venv=$root/.venv ;;
    jazzy) venv=$root/.venv-jazzy ;;
    *) die "AURA_ROS is '$ros', must be one of: $supported_ros." ;;
    esac
    [ "$(uname -sm)" = 'Linux x86_64' ] ||
        die "there are no ROS 2 wheels for $(uname -sm): install ROS 2 Jazzy or Kilted (ros-jazzy-ros-base or \
ros-kilted-ros-base, see https://docs.ros.org), source its setup.bash, and try again."
    [ -z "$inherited" ] || unset LD_LIBRARY_PATH
    unset AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH PYTHONPATH RMW_IMPLEMENTATION ROS_DISTRO
}

# Sets the variables of ROS for the chosen environment. The wheels set their library path by themselves.
enter_ros() {
    export VIRTUAL_ENV="$venv" PATH="$venv/bin:$PATH"
    export AMENT_PREFIX_PATH="$venv${AMENT_PREFIX_PATH:+:$AMENT_PREFIX_PATH}"
    [ "$ros" != sourced ] || export LD_LIBRARY_PATH="$venv/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
}
