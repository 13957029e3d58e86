#!/usr/bin/env bash
# Train with several processes on this machine: tools/dist_train.sh CONFIG GPUS [options of tools/train.py]
# Several machines: set NNODES, NODE_RANK, MASTER_ADDR and PORT as for torchrun.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# The command to run this again.
MMSEG_MLLM_COMMAND=$(printf %q "$0" && printf ' %q' "$@")
export MMSEG_MLLM_COMMAND
exec "${PYTHON:-python}" "$here/launch.py" "$here/train.py" "${1:?usage: $0 CONFIG GPUS [options]}" \
    --processes "${2:?usage: $0 CONFIG GPUS [options]}" "${@:3}"
