#!/usr/bin/env bash
# Test under slurm. GPUS, GPUS_PER_NODE (0: CPU only), CPUS_PER_TASK and
# SRUN_ARGS size the job; GPUS is the number of processes.
set -euo pipefail

if [ $# -lt 4 ]; then
    echo "Usage: bash $0 PARTITION JOB_NAME CONFIG CHECKPOINT" \
        "[options of test.py]" >&2
    exit 2
fi
PARTITION=$1
JOB_NAME=$2
CONFIG=$3
CHECKPOINT=$4
GPUS=${GPUS:-8}
GPUS_PER_NODE=${GPUS_PER_NODE:-8}
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
SIZE=(--ntasks="$GPUS")
if [ "$GPUS_PER_NODE" -gt 0 ]; then
    SIZE+=(--gres="gpu:$GPUS_PER_NODE" --ntasks-per-node="$GPUS_PER_NODE")
fi

. "$HERE/environment.sh"
# SRUN_ARGS holds several words.
# shellcheck disable=SC2086
exec srun -p "$PARTITION" --job-name="$JOB_NAME" "${SIZE[@]}" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 \
    ${SRUN_ARGS:-} \
    "$PYTHON" -u "$HERE/test.py" "$CONFIG" "$CHECKPOINT" \
    --launcher=slurm "${@:5}"
