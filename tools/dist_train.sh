#!/usr/bin/env bash
# Train in several processes: on GPUs, or over gloo on a machine without.
# NNODES, NODE_RANK, MASTER_ADDR and PORT describe a run on several nodes.
# MAX_RESTARTS times, a run of which a process has failed goes on from its last
# checkpoint.
set -euo pipefail

if [ $# -lt 2 ]; then
    echo "Usage: bash $0 CONFIG PROCESSES [options of train.py]" >&2
    exit 2
fi
CONFIG=$1
PROCESSES=$2
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

. "$HERE/environment.sh"
exec "$PYTHON" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$PROCESSES" \
    --max_restarts="${MAX_RESTARTS:-0}" \
    "$HERE/train.py" "$CONFIG" --launcher pytorch "${@:3}"
