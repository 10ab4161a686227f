#!/usr/bin/env bash
# Builds the environment of a checkout, `.venv`, from constraints.txt; called
# by `make`. Safe to interrupt and to repeat: what is finished is kept, what
# is half done is done again, what is up to date is left alone. With --dry-run
# it says what it would do, and changes nothing.
#
#   PYTHON           Python 3.10-3.12 to use (default: looked up)
#   MMSNN_ENV_CACHE  folder of shared environments, one per set of pins;
#                    .venv is then a link into it (default: none)
#   MMSNN_WHEELS     folder that keeps compiled mmcv wheels
#   MAX_JOBS         compilers at a time (default: number of cores)
#   FORCE_CUDA       1 compiles mmcv's CUDA operators, 0 leaves them out
#                    (default: where there is a GPU)
#   TORCH_CUDA_ARCH_LIST  compute capabilities that they are compiled for
#                    (default: those of the GPUs)
#   CUDA_HOME        the CUDA toolkit (default: that of nvcc on the PATH)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

LAYOUT=1 # part of the key: raise it when the steps below change
export PIP_DISABLE_PIP_VERSION_CHECK=1
CACHE="${XDG_CACHE_HOME:-${HOME:-$PWD/build}/.cache}/mmsnn"
WHEELS="${MMSNN_WHEELS:-$CACHE/wheels}"

DRY_RUN=''
say() { printf 'set-up: %s\n' "$*"; }
die() { printf 'set-up: error: %s\n' "$*" >&2; exit 1; }

case "$*" in
'') ;;
--dry-run) DRY_RUN=1 ;;
*) die "'$*' is no option: there is --dry-run, and variables" ;;
esac

# What a Python lacks to be used, as one line; nothing if it can be used.
lacks() {
    "$1" - <<'PY' 2>/dev/null || echo "does not run"
import importlib.util, os, sys, sysconfig
header = os.path.join(sysconfig.get_path('include'), 'Python.h')
if not (3, 10) <= sys.version_info[:2] <= (3, 12):
    print('is Python %d.%d' % sys.version_info[:2])
elif not all(map(importlib.util.find_spec, ('venv', 'ensurepip'))):
    print('has no venv module')
elif not os.path.exists(header):
    print('has no headers (%s)' % header)
PY
}

choose_python() {
    local candidate reason reasons='' candidates=(python3.11 python3.12
        python3.10 python3
        "${PYENV_ROOT:-${HOME:-}/.pyenv}"/versions/3.1[012].*/bin/python)
    for candidate in "${PYTHON:-${candidates[@]}}"; do
        command -v "$candidate" >/dev/null || continue
        reason="$(lacks "$candidate")"
        if [ -z "$reason" ]; then # of a venv, the Python that it came from
            PYTHON="$("$candidate" -c \
                'import sys; print(sys._base_executable)')"
            return
        fi
        reasons+=$'\n'"  $candidate $reason"
    done
    die "no usable Python ${PYTHON:+at PYTHON=$PYTHON }was found: Python 3.10," \
        "3.11 or 3.12 with venv and headers is needed; set" \
        "PYTHON=/path/to/python.${reasons:+ Looked at:$reasons}"
}

# pinned PACKAGE: its version in constraints.txt.
pinned() { sed -n "s/^$1==//p" constraints.txt; }

# CUDA of PyPI's torch, e.g. 12.8.
torch_cuda() { pinned 'nvidia-cuda-runtime-cu[0-9]*' | cut -d. -f1,2; }

# Whether pip's indexes are those of torch without CUDA.
cpu_torch() {
    [[ "${PIP_INDEX_URL:-} ${PIP_EXTRA_INDEX_URL:-}" = */whl/cpu* ]]
}

# What mmcv is compiled for. GPUS: name, compute capability and driver of each;
# BUILD: cpu, or cuda with the capabilities in ARCHS.
choose_cuda() {
    local cuda=0
    GPUS=''
    case "${CUDA_VISIBLE_DEVICES-all}" in
    '' | -1) ;;
    *) GPUS="$(nvidia-smi --query-gpu=name,compute_cap,driver_version \
        --format=csv,noheader 2>/dev/null | grep -E ', [0-9]+\.[0-9], ')" ||
        GPUS='' ;;
    esac
    [ -z "$GPUS" ] || cpu_torch || cuda=1
    BUILD=cpu ARCHS=''
    case "${FORCE_CUDA:-0}" in
    0 | 1) ;;
    *) die "FORCE_CUDA must be 0 or 1, but is '$FORCE_CUDA'." ;;
    esac
    [ "${FORCE_CUDA:-$cuda}" = 1 ] || return 0
    ARCHS="${TORCH_CUDA_ARCH_LIST:-$(sed 's/.*, \([0-9]*\.[0-9]\), .*/\1/' \
        <<<"$GPUS" | sort -u | paste -sd ';' -)}"
    BUILD="cuda-${ARCHS//[^0-9.A-Za-z+]/_}"
}

# with_cuda TORCH: dies where this build of torch is one without CUDA.
with_cuda() {
    case "$1" in *+cpu) die "torch $1 is built without CUDA: leave the index" \
        "of CPU builds out, or set FORCE_CUDA=0." ;; esac
}

# Looks for nvcc where torch does, and dies where mmcv's CUDA operators can't
# be compiled.
check_cuda() {
    local home="${CUDA_HOME:-${CUDA_PATH:-}}" advice needed known arch
    [ "$BUILD" != cpu ] || return 0
    ! cpu_torch || with_cuda "$(pinned torch)+cpu"
    needed="$(torch_cuda)"
    NVCC="$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)"
    [ -z "$home" ] || NVCC="$home/bin/nvcc"
    CUDA_RELEASE="$("$NVCC" --version 2>/dev/null |
        sed -n 's/.*release \([0-9.]*\).*/\1/p')" || CUDA_RELEASE=''
    advice="install a CUDA toolkit ${needed%.*}.x, e.g. by 'apt-get install"
    advice+=" cuda-toolkit-${needed/./-}' from NVIDIA's repository, or set"
    advice+=" CUDA_HOME to one; FORCE_CUDA=0 leaves the CUDA operators out."
    [ -n "$CUDA_RELEASE" ] || die "mmcv's CUDA operators need nvcc, and" \
        "$NVCC is none: $advice"
    [ "${CUDA_RELEASE%%.*}" = "${needed%%.*}" ] || die "nvcc is of CUDA" \
        "$CUDA_RELEASE ($NVCC) and torch of CUDA $needed: $advice"
    [ -n "$ARCHS" ] || die "FORCE_CUDA=1 where no GPU is visible needs" \
        "TORCH_CUDA_ARCH_LIST, e.g. TORCH_CUDA_ARCH_LIST='8.0;9.0'."
    known="$("$NVCC" --list-gpu-arch 2>/dev/null | grep compute_)" || return 0
    for arch in $(grep -oE '[0-9]+\.[0-9]' <<<"$ARCHS"); do
        grep -qx "compute_${arch/./}" <<<"$known" || die "nvcc of CUDA" \
            "$CUDA_RELEASE ($NVCC) does not compile for compute capability" \
            "$arch: $advice"
    done
}

# Everything that the environment depends on, as a short hash. The part of
# pyproject.toml before the first [tool...] is what it says about packages.
environment_key() {
    { sed '/^\[tool/,$d' pyproject.toml; cat constraints.txt; echo "$LAYOUT"
      echo "$1"; [ "$BUILD" = cpu ] || echo "$BUILD"; } | "$PYTHON" -c '
import hashlib, sys, sysconfig
text = sys.stdin.read() + sys.version + sysconfig.get_platform()
print("py%d%d-" % sys.version_info[:2]
      + hashlib.sha256(text.encode()).hexdigest()[:16])'
}

# has_key FILE: whether the environment runs and its FILE names these pins.
has_key() {
    [ "$(cat "$ENV/$1" 2>/dev/null)" = "$KEY" ] &&
        "$ENV/bin/python" -c '' 2>/dev/null
}

# write_key FILE: never half a file.
write_key() {
    echo "$KEY" >"$ENV/$1.part"
    mv "$ENV/$1.part" "$ENV/$1"
}

# lock FD FILE: waits for another set-up; the kernel frees it at exit.
lock() {
    command -v flock >/dev/null || return 0
    eval "exec $1>\"\$2\""
    flock -n "$1" || { say "another set-up is at work, waiting"; flock "$1"; }
}

# run TITLE COMMAND...: with a line every 20 s, its output in a log.
run() {
    local title="$1" log="$ENV/setup.log" start=$SECONDS ticks=0 pid
    shift
    say "$title"
    set -m # own process group, so that an interrupt can end all of it
    "$@" >"$log" 2>&1 </dev/null &
    pid=$!
    set +m
    trap 'kill -TERM -- -$pid 2>/dev/null || true' EXIT
    trap 'exit 130' INT TERM HUP
    while kill -0 "$pid" 2>/dev/null; do
        sleep 1
        (( ++ticks % 20 )) || say "  ... $(( (SECONDS - start) / 60 )) min" \
            "$(( (SECONDS - start) % 60 )) s"
    done
    trap - EXIT INT TERM HUP
    wait "$pid" || { tail -n 30 "$log" >&2
        die "'$title' failed; the whole output is in $log." \
            "Mend the cause and run the same command again."; }
}

# pip_install TITLE ARGUMENTS...: marks the environment as being changed, so
# that one left by an interrupt is made afresh (see make_environment).
pip_install() {
    local title="$1"
    shift
    touch "$ENV/unfinished"
    run "$title" "$ENV/bin/python" -m pip install -c constraints.txt "$@"
    rm "$ENV/unfinished"
}

# find_wheel TORCH: FOLDER of the mmcv that is compiled against this build of
# torch, and WHEEL in it, if there is one. (pip's own wheel cache would hand
# out a wheel that was compiled against another torch.)
find_wheel() {
    FOLDER="$WHEELS/torch$1-$("$PYTHON" -c '
import platform, sys
print("cp%d%d-%s" % (*sys.version_info[:2], platform.machine()))')-$BUILD"
    WHEEL="$(find "$FOLDER" -maxdepth 1 -name \
        "onedl_mmcv-$(pinned onedl-mmcv)-*.whl" 2>/dev/null)" || WHEEL=''
}

torch_build() {
    "$ENV/bin/python" -c 'import torch; print(torch.__version__)' 2>/dev/null
}

# CUDA operators were not timed here: three times the others' is a guess.
compiling() {
    local cores="$MAX_JOBS" least=20 most=30
    if [ "$BUILD" = cpu ]; then
        echo "compiling mmcv with $cores jobs: 10 to 15 min on 2 cores, once"
    else
        echo "compiling mmcv with CUDA $CUDA_RELEASE for $ARCHS with $cores" \
            "jobs: some $((3 * least / cores + 1)) to" \
            "$((3 * most / cores + 1)) min (not measured), once"
    fi
}

mmcv_wheel() {
    local part torch
    torch="$(torch_build)" || die "torch does not run, see $ENV/bin/python" \
        "-c 'import torch'."
    find_wheel "$torch"
    mkdir -p "$FOLDER"
    lock 8 "$FOLDER/.lock"
    find_wheel "$torch" # another set-up may have made it meanwhile
    [ -z "$WHEEL" ] || { say "mmcv: using $WHEEL"; return; }
    part="$FOLDER/.part"
    rm -rf "$part"
    if [ "$BUILD" = cpu ]; then
        export FORCE_CUDA=0 CUDA_VISIBLE_DEVICES=
    else
        with_cuda "$torch"
        export FORCE_CUDA=1 TORCH_CUDA_ARCH_LIST="$ARCHS"
        export CUDA_HOME="${NVCC%/bin/nvcc}"
    fi
    run "$(compiling)" \
        "$ENV/bin/python" -m pip wheel "onedl-mmcv==$(pinned onedl-mmcv)" \
        --wheel-dir "$part" --no-deps --no-build-isolation --no-cache-dir
    WHEEL="$FOLDER/$(basename "$part"/onedl_mmcv-*.whl)"
    mv "$part"/onedl_mmcv-*.whl "$WHEEL"
    rm -rf "$part"
}

make_environment() {
    local tool
    for tool in git make "${CXX:-c++}"; do
        command -v "$tool" >/dev/null || die "'$tool' was not found:" \
            "git, make and a C++ compiler (g++ or clang++) are needed."
    done
    check_cuda
    say "making $ENV with $PYTHON; about 8 GB, and 15 to 20 minutes the" \
        "first time on 2 cores, most of them to compile mmcv"
    # What an interrupt leaves of pip's temporary files goes with the rest.
    export TMPDIR="$ENV/tmp"
    if [ -e "$ENV/unfinished" ] || ! has_key begun; then
        rm -rf "$ENV"
        "$PYTHON" -m venv "$ENV"
        pip_install 'installing build tools' \
            pip setuptools wheel ninja psutil packaging
        write_key begun
    fi
    rm -rf "$TMPDIR"
    mkdir "$TMPDIR"
    pip_install 'installing PyTorch' torch torchvision
    mmcv_wheel
    pip_install 'installing mmcv' "$WHEEL"
    pip_install 'installing the other packages' \
        --build-constraint constraints.txt --only-deps '.[all,dev]'
    "$ENV/bin/python" -c 'import cv2' 2>/dev/null ||
        pip_install 'OpenCV without a display' --force-reinstall --no-deps \
            opencv-python-headless
    find_checkout
    rm -rf mmsnn_suite.egg-info # pip's leaving; mim would take it for mmsnn
    run 'checking the environment' "$ENV/bin/python" -c '
import mmcv.ops, mmdet, mmpretrain, mmseg, mmsnn
print(mmsnn.__file__)'
    if [ -f mmsnn/native.py ]; then
        run 'compiling the kernels' "$ENV/bin/python" -c '
from mmsnn.datasets.events import native as events
from mmsnn.neurons import native as neurons
neurons.main()
events.main()'
        cat "$ENV/setup.log"
    fi
    rm -rf "$TMPDIR"
    write_key stamp
}

# Lets the environment's Python import mmsnn from the checkout. An environment
# of one checkout has it installed in editable mode. A shared one belongs to
# no checkout: there a .pth file takes the folder that holds the `.venv` link
# by which Python was started.
find_checkout() {
    if [ -z "${MMSNN_ENV_CACHE:-}" ]; then
        pip_install 'installing mmsnn in editable mode' --no-deps \
            --no-build-isolation --editable .
        return
    fi
    local site
    site="$("$ENV/bin/python" -c \
        'import sysconfig; print(sysconfig.get_path("purelib"))')"
    cat >"$site/mmsnn_checkout.pth" <<'PTH'
import os, sys; _root = os.path.dirname(sys.prefix); os.path.exists(os.path.join(_root, 'mmsnn', '__init__.py')) and sys.path.append(_root)
PTH
}

# What would be done; nothing is changed.
plan() {
    local torch state='to be made' mmcv gpus
    if has_key stamp; then
        state='up to date'
    elif has_key begun; then
        state='to be finished'
    elif [ -e "$ENV" ]; then
        state='to be made afresh: the pins, Python or GPUs changed'
    fi
    torch="$(torch_cuda)"
    torch="$(pinned torch)+cu${torch/./}"
    ! cpu_torch || torch="$(pinned torch)+cpu"
    ! has_key begun || torch="$(torch_build || echo "$torch")"
    find_wheel "$torch"
    mmcv="$(compiling)"
    [ -z "$WHEEL" ] || mmcv="$WHEEL"
    gpus="${GPUS//$'\n'/; }"
    say "plan, nothing is changed"
    say "  python       $PYTHON ($("$PYTHON" -V))"
    say "  environment  $ENV ($state)"
    say "  torch        $torch from ${PIP_INDEX_URL:-PyPI}" \
        "${PIP_EXTRA_INDEX_URL:+and $PIP_EXTRA_INDEX_URL}"
    say "  GPUs         ${gpus:-none is visible}"
    [ "$BUILD" = cpu ] || say "  nvcc         $NVCC (CUDA $CUDA_RELEASE)"
    say "  mmcv         $mmcv"
    say "  downloads    5 min and 8 GB where nothing is cached"
}

choose_python
choose_cuda
export MAX_JOBS="${MAX_JOBS:-$(getconf _NPROCESSORS_ONLN)}"
[[ "$MAX_JOBS" =~ ^[1-9][0-9]*$ ]] ||
    die "MAX_JOBS must be a number from 1, but is '$MAX_JOBS'."
if [ -L .venv ]; then # once shared, shared until the link is removed
    MMSNN_ENV_CACHE="${MMSNN_ENV_CACHE:-$(dirname "$(readlink .venv)")}"
fi
if [ -n "${MMSNN_ENV_CACHE:-}" ]; then
    [ -n "$DRY_RUN" ] || mkdir -p "$MMSNN_ENV_CACHE"
    [ ! -d "$MMSNN_ENV_CACHE" ] ||
        MMSNN_ENV_CACHE="$(cd "$MMSNN_ENV_CACHE" && pwd)"
    KEY="$(environment_key shared)"
    ENV="$MMSNN_ENV_CACHE/$KEY"
else
    KEY="$(environment_key "$PWD")"
    ENV="$PWD/.venv"
fi
if [ -n "$DRY_RUN" ]; then
    check_cuda
    plan
    exit
fi
if ! has_key stamp; then
    lock 9 "$ENV.lock"
    has_key stamp || make_environment
fi
if [ -n "${MMSNN_ENV_CACHE:-}" ] && [ "$(readlink .venv)" != "$ENV" ]; then
    rm -rf .venv
    ln -s "$ENV" .venv
fi
say "ready: .venv ($("$ENV/bin/python" -V))"
