#!/usr/bin/env bash
# Test with several processes on this machine: tools/dist_test.sh CONFIG CHECKPOINT GPUS [options of tools/test.py]
# Several machines: set NNODES, NODE_RANK, MASTER_ADDR and PORT as for torchrun.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
usage="usage: $0 CONFIG CHECKPOINT GPUS [options]"
# The command to run this again.
MMSEG_MLLM_COMMAND=$(printf %q "$0" && printf ' %q' "$@")
export MMSEG_MLLM_COMMAND
exec "${PYTHON:-python}" "$here/launch.py" "$here/test.py" "${1:?$usage}" "${2:?$usage}" \
    --processes "${3:?$usage}" "${@:4}"
