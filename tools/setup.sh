# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2154 # ./run defines root and started, and tools/ros.sh ros, ros_*, venv, stamps and log
#
# The set-up part of ./run, which sources this file: system packages, the virtual environment, Python packages, torch,
# messages, OpenGL.
#
# Set-up runs in stages. Each finished stage leaves a stamp in $venv/stamps with a digest of the files it depends on.
# A stage with an unchanged digest is skipped. An interrupted stage has no stamp and runs again.

ticker=''

die() {
    printf 'run: %s\n' "$1" >&2
    exit 1
}

# --- stages ---------------------------------------------------------------------------------------------------------

stop_ticker() {
    [ -z "$ticker" ] || kill "$ticker" 2>/dev/null
    ticker=''
}

# stage TITLE ERROR COMMAND...: runs the command, prints one line with the time it took, and logs its output.
stage() {
    title=$1 error=$2 begun=$(date +%s)
    shift 2
    printf '\n=== %s: %s\n' "$(date '+%F %T')" "$title" >>"$log"
    printf '%-44s' "$title"
    if [ -t 1 ]; then
        (while sleep 1; do printf '\r%-44s%4d s' "$title" $(($(date +%s) - begun)); done) &
        ticker=$!
    fi
    "$@" >>"$log" 2>&1 </dev/null
    status=$?
    stop_ticker
    [ ! -t 1 ] || printf '\r%-44s' "$title"
    if [ $status -ne 0 ]; then
        printf 'failed\n'
        tail -n 15 "$log" | sed 's/^/    /' >&2
        die "$error The full log is $log."
    fi
    printf '%4d s\n' $(($(date +%s) - begun))
}

# digest PATH...: a hash over the names and contents of all files below the paths, which start at the repository
digest() {
    (cd "$root" && find "$@" -type f ! -name '*.pyc' -exec sha256sum {} + 2>/dev/null) |
        LC_ALL=C sort | sha256sum | cut -d ' ' -f 1
}

is_done() { # STAMP DIGEST
    [ -f "$stamps/$1" ] && [ "$(cat "$stamps/$1")" = "$2" ]
}

mark_done() { # STAMP DIGEST
    printf '%s\n' "$2" >"$stamps/$1.new" && mv "$stamps/$1.new" "$stamps/$1"
}

# --- system packages ------------------------------------------------------------------------------------------------

apt_install() {
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" && return
    apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
}

# need PACKAGE...: installs system packages as root; for other users it prints the command and stops
need() {
    command -v apt-get >/dev/null ||
        die "system packages are missing; install the equivalents of these Debian packages: $*"
    [ "$(id -u)" -eq 0 ] ||
        die "system packages are missing; run this and try again: sudo apt-get install -y --no-install-recommends $*"
    stage "system packages" "cannot install the system packages $*." apt_install "$@"
}

# Checks the Python that runs it; the argument is the version that a sourced ROS 2 needs, or empty. Prints nothing if it
# is suitable, the missing system packages if they are all that it lacks, else "no".
python_check='
import importlib.util, os, sys, sysconfig
name = "python%d.%d" % sys.version_info[:2]
wanted = sys.argv[1] and "python" + sys.argv[1]
if sys.implementation.name != "cpython" or not (3, 11) <= sys.version_info[:2] <= (3, 13) or wanted not in ("", name):
    raise SystemExit(print("no"))
missing = [] if importlib.util.find_spec("ensurepip") else [name + "-venv"]
if not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")):
    missing.append(name + "-dev")
print("no" if missing and sys.base_prefix != "/usr" else " ".join(missing))
'

# Sets $python, or $python_packages if a Python becomes suitable once these packages are installed.
find_python() {
    python='' python_packages=''
    for candidate in ${AURA_PYTHON:-python3 python3.13 python3.12 python3.11}; do
        missing=$("$candidate" -c "$python_check" "$ros_python" 2>/dev/null) || continue
        [ "$missing" != no ] || continue
        if [ -z "$missing" ]; then
            python=$candidate python_packages=''
            return
        fi
        [ -n "$python_packages" ] || python_packages=$missing
    done
    [ -n "$python_packages" ] || [ -n "${AURA_PYTHON:-}" ] || python_packages='python3 python3-dev python3-venv'
}

no_python() {
    [ -z "$ros_python" ] ||
        die "found no CPython $ros_python with headers and venv, which the sourced ROS 2 needs; set AURA_PYTHON to one (3.11 to 3.13)."
    die "found no CPython 3.11 to 3.13 with headers and venv; set AURA_PYTHON to one."
}

has_library() {
    "$python" -c 'import ctypes, sys; ctypes.CDLL(sys.argv[1])' "$1" 2>/dev/null
}

system_packages() {
    find_python
    [ -n "$python$python_packages" ] || no_python
    wanted=$python_packages
    command -v cmake >/dev/null || wanted="$wanted cmake"
    command -v c++ >/dev/null || wanted="$wanted g++"
    command -v make >/dev/null || wanted="$wanted make"
    # without a Python the libraries cannot be checked, so they are installed
    { has_library libEGL.so.1 && has_library libGL.so.1; } || wanted="$wanted libegl1 libegl-mesa0 libgl1"
    # shellcheck disable=SC2086 # a list of words
    [ -z "${wanted# }" ] || need $wanted
    [ -n "$python" ] || find_python
    [ -n "$python" ] || no_python
}

# --- the virtual environment ----------------------------------------------------------------------------------------

# With a sourced ROS 2 it also has the packages of the system, such as the PyQt5 and the torch that a robot came with.
make_venv() {
    "$python" -m venv ${ros_python:+--system-site-packages} "$venv" && "$venv/bin/python" -m pip --version
}

ensure_venv() {
    key=$root${ros_python:+ $ros_python}
    if is_done venv "$key" && [ -x "$venv/bin/python" ]; then
        return
    fi
    [ ! -e "$venv" ] || [ -d "$stamps" ] ||
        die "$venv exists and was not made by ./run; move it away and try again."
    rm -rf "$venv"
    mkdir -p "$stamps" # first, because this folder marks an interrupted set-up as made by ./run
    system_packages
    stage "virtual environment ($("$python" -V 2>&1))" "cannot create a virtual environment." make_venv
    mark_done venv "$key"
}

pip_quiet() {
    "$venv/bin/python" -m pip --no-input --disable-pip-version-check install --progress-bar off "$@"
}

pip_install() {
    pip_quiet -c "$root/constraints.txt" ${AURA_TORCH_INDEX:+--extra-index-url "$AURA_TORCH_INDEX"} "$@"
}

# install_locked FILE: the lock names all dependencies, so pip resolves nothing, and it checks the hash of each file
install_locked() {
    if [ "${AURA_LOCK:-yes}" = no ]; then
        sed 's/ *--hash=.*//; s/ *\\$//' "$1" >"$1.versions" && pip_install -r "$1.versions"
    else
        pip_quiet --require-hashes --no-deps -r "$1"
    fi
}

# packages STAMP TITLE GROUP...
packages() {
    name=$1 title=$2 list=$venv/requirements-$1.txt
    shift 2
    "$venv/bin/python" -S "$root/tools/lock.py" "$ros" "$@" >"$list" || die "cannot read requirements.lock."
    key=$(sha256sum <"$list")
    if is_done "$name" "$key"; then
        return
    fi
    stage "$title" "cannot install $title. Is the package index reachable? If its files differ from those that were tested \
(THESE PACKAGES DO NOT MATCH THE HASHES), AURA_LOCK=no checks the versions only." install_locked "$list"
    mark_done "$name" "$key"
}

# --- torch ----------------------------------------------------------------------------------------------------------

# is_installed PACKAGE VERSION: with any local version label, such as +cpu
is_installed() {
    find "$venv"/lib/python3*/site-packages -maxdepth 1 \( -name "$1-$2.dist-info" -o -name "$1-$2+*.dist-info" \) |
        grep -q .
}

# Resolves without an installation. fast-deps reads the metadata from within a wheel where the index has no copy of it.
pip_dry_run() {
    pip_install --dry-run --use-feature=fast-deps "$@"
}

# choose_torch VERSION: sets $torch to a requirement that pip can install. $torch_size is empty for the CPU build.
choose_torch() {
    torch=torch==$1+cpu torch_size='' report=$venv/torch.json
    pip_install pip || return # older versions download every wheel in a dry run
    pip_dry_run --no-deps "$torch" && return
    torch=torch==$1
    pip_dry_run --report "$report" "$torch" || return
    torch_size=$("$venv/bin/python" "$root/tools/download_size.py" "$report") || torch_size='several GB'
}

# The installed torch if it has the pinned version, else the CPU build, else the plain build with its CUDA libraries.
ensure_torch() {
    version=$(sed -n 's/^torch==//p' "$root/constraints.txt")
    ! is_installed torch "$version" || return 0
    stage "choice of torch" "found no torch $version for $("$venv/bin/python" -V)." choose_torch "$version"
    if [ -n "$torch_size" ]; then
        echo "pip finds no CPU build of torch for this Python, so it installs the plain build with CUDA libraries."
        echo "The download is $torch_size. It needs 5.4 GB on disk."
        echo "AURA_TORCH_INDEX can name an index with the CPU build, see ./run --help."
    fi
    stage "$torch" "cannot install $torch." pip_install "$torch"
}

# --- messages and rendering -----------------------------------------------------------------------------------------

build_messages() {
    pip_install --no-build-isolation --no-deps -e "$root"
}

ensure_messages() {
    key=$(digest CMakeLists.txt action cmake constraints.txt msg package.xml pyproject.toml setup.py srv)
    key=$key${ros_prefix:+ $ros_prefix}
    if ! is_done messages "$key"; then
        rm -f "$stamps/messages" "$stamps/shared"
        stage "messages" "cannot build the messages." build_messages
        mark_done messages "$key"
    fi
    # Python modules are imported from the repository, but the installation copies these files
    key=$(digest config launch plugin.xml scripts)
    if ! is_done shared "$key"; then
        for folder in config launch; do
            rm -rf "${venv:?}/share/aura_ros/$folder" # also removes copies of deleted files
            cp -R "$root/$folder" "$venv/share/aura_ros/" || die "cannot copy $folder/."
        done
        find "$venv/share/aura_ros" -name __pycache__ -prune -exec rm -rf {} +
        cp "$root"/scripts/* "$venv/lib/aura_ros/" || die "cannot copy scripts/."
        cp "$root/plugin.xml" "$venv/share/aura_ros/" || die "cannot copy plugin.xml."
        mark_done shared "$key"
    fi
}

renders() {
    echo "trying MUJOCO_GL=$1"
    MUJOCO_GL=$1 "$venv/bin/python" -c 'import mujoco; c = mujoco.GLContext(64, 64); c.make_current(); c.free()'
}

# Sets MUJOCO_GL to a backend that renders without a screen.
ensure_rendering() {
    [ -z "${MUJOCO_GL:-}" ] || return 0
    if [ ! -f "$stamps/rendering" ]; then
        backend=''
        for try in egl osmesa; do
            if renders "$try" >>"$log" 2>&1; then
                backend=$try
                break
            fi
        done
        if [ -z "$backend" ]; then
            need libosmesa6
            renders osmesa >>"$log" 2>&1 ||
                die "neither EGL nor OSMesa can render, so there are no camera images; see the end of $log."
            backend=osmesa
        fi
        mark_done rendering "$backend"
    fi
    MUJOCO_GL=$(cat "$stamps/rendering")
    export MUJOCO_GL
}

# Libraries that Qt loads at run time, with their packages in Debian and Ubuntu. fontconfig brings fonts.
qt_libraries='libglib-2.0.so.0=libglib2.0-0 libfontconfig.so.1=libfontconfig1 libdbus-1.so.3=libdbus-1-3
libX11-xcb.so.1=libx11-xcb1 libxkbcommon-x11.so.0=libxkbcommon-x11-0 libxcb-icccm.so.4=libxcb-icccm4
libxcb-image.so.0=libxcb-image0 libxcb-keysyms.so.1=libxcb-keysyms1 libxcb-randr.so.0=libxcb-randr0
libxcb-render-util.so.0=libxcb-render-util0 libxcb-shape.so.0=libxcb-shape0 libxcb-xinerama.so.0=libxcb-xinerama0
libxcb-xkb.so.1=libxcb-xkb1'

ensure_qt() {
    [ ! -f "$stamps/qt" ] || return 0
    python=$venv/bin/python wanted=''
    for pair in $qt_libraries; do
        has_library "${pair%%=*}" || wanted="$wanted ${pair#*=}"
    done
    # shellcheck disable=SC2086 # a list of words
    [ -z "$wanted" ] || need $wanted
    mark_done qt checked
}

# set_up [train] [replay] [monitor] [dev] [docs] [popgym]: installs everything a command needs; one process at a time
set_up() {
    exec 9<"$root/run"
    if command -v flock >/dev/null && ! flock -n 9; then
        echo "waiting until another ./run finishes its set-up"
        flock 9
    fi
    choose_ros
    ensure_venv
    packages core "Python packages" build core sim robot remote ik
    for extra in "$@"; do
        case $extra in
        monitor)
            packages monitor "Qt and pyqtgraph" monitor
            "$venv/bin/python" -c 'import PyQt5.sip' 2>/dev/null || need python3-pyqt5 # no wheel for this machine
            ensure_qt
            ;;
        replay) packages replay "packages for recordings" replay explore ;;
        dev) packages dev "developer tools" dev ;;
        docs) packages docs "Sphinx" docs ;;
        popgym) packages popgym "POPGym" popgym ;;
        train)
            ensure_torch
            packages train "training tools" train
            ;;
        esac
    done
    ensure_messages
    exec 9<&-
    if [ $(($(date +%s) - started)) -gt 4 ]; then
        printf '%-44s%4d s\n' "set up" $(($(date +%s) - started))
    fi
}
