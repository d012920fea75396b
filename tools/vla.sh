# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # ./run defines root, and tools/setup.sh uses and defines some of the variables
#
# The environments of VLAs, for ./run, which sources this file. Each has the Python and the packages of a family of models,
# and no ROS. They are in .venv-lerobot and .venv-openvla_oft.

vla_names='lerobot openvla_oft'

# vla_facts NAME: sets the Python version and the sizes of an environment
vla_facts() {
    case $1 in
    lerobot) vla_python='3.12' vla_size='0.5 GB, and 2.7 GB if torch comes with CUDA' vla_disk='5.6 GB' ;;
    openvla_oft) vla_python='3.11' vla_size='0.1 GB and torch: 0.2 GB for the CPU build' vla_disk='1.2 GB' ;;
    *) wrong "there is no environment '$1'; name one of: $vla_names." ;;
    esac
}

# Sets $python to a CPython of version $vla_python with venv.
find_vla_python() {
    python=''
    for candidate in ${AURA_VLA_PYTHON:-} "python$vla_python" python3; do
        found=$("$candidate" -c 'import sys, ensurepip; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
        [ "$found" != "$vla_python" ] || python=$candidate
        [ -z "$python" ] || return 0
    done
    die "the environment $1 needs CPython $vla_python with venv; set AURA_VLA_PYTHON to one."
}

install_vla() {
    lock=$root/requirements-$1.lock
    if [ "${AURA_LOCK:-yes}" = no ]; then
        pip_quiet --no-deps -r "$root/tools/vla/$1.txt"
    else
        pip_quiet --require-hashes --no-deps -r "$lock"
    fi || return
    # the plugin for LeRobot's own programs
    [ "$1" != lerobot ] || pip_quiet --no-deps --no-build-isolation -e "$root/lerobot_policy_aura"
}

# vla_env NAME: sets up an environment and leaves $venv on it
vla_env() {
    vla_facts "$1"
    venv=$root/.venv-$1 stamps=$root/.venv-$1/stamps log=$root/.venv-$1/run.log
    key="$(digest "requirements-$1.lock" lerobot_policy_aura/pyproject.toml) $(grep '^torch==' "$root/constraints.txt")"
    ! is_done vla "$key" || return 0
    find_vla_python "$1"
    echo "The environment $1 downloads about $vla_size. It needs $vla_disk on disk, in $venv."
    echo "It has programs only. Weights are not downloaded: name your folder of them with --checkpoint."
    mkdir -p "$stamps"
    ros_python='' stage "virtual environment ($("$python" -V 2>&1))" "cannot create a virtual environment." \
        "$python" -m venv "$venv"
    ensure_torch
    stage "packages of $1" "cannot install the packages of $1." install_vla "$1"
    # The package itself is imported from this folder, without its messages.
    for packages in "$venv"/lib/python3.*/site-packages; do printf '%s\n' "$root" >"$packages/aura_ros.pth"; done
    mark_done vla "$key"
}

# run_in_vla_env VERB [ARGUMENT...]: runs `aura VERB` in the environment of the backbone that the arguments name; returns
# if it has none
run_in_vla_env() {
    name=''
    previous=''
    for word in "$@"; do
        case $word in
        --backbone=*) name=${word#*=} ;;
        --random | --random=*) name=openvla_oft ;;
        esac
        [ "$previous" != --backbone ] || name=$word
        previous=$word
    done
    case " $vla_names " in
    *" ${name:-none} "*)
        vla_env "$name"
        exec "$venv/bin/python" -m aura_ros.cli "$@"
        ;;
    esac
}

# test_vla [PYTEST_ARGUMENT...]: the tests of the adapters, each in its environment, and of the graph with served models
test_vla() (
    verdict=0
    cd "$root" || exit
    for name in $vla_names; do
        vla_env "$name"
        more='test/vla/remote'
        [ "$name" != lerobot ] || more='test/lerobot_policy_aura'
        printf '\n--- in the environment %s\n' "$name"
        OMP_NUM_THREADS=1 "$venv/bin/python" -m pytest "$@" "test/vla/adapters/test_$name.py" $more || verdict=1
    done
    printf '\n--- served to the graph\n'
    (set_up_test dev replay train && run_pytest -m '' "$@" test/vla/served) || verdict=1
    exit $verdict
)
