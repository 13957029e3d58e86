#!/usr/bin/env bash
# Test on a Slurm cluster: GPUS=8 tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [options of tools/test.py]
# GPUS_PER_NODE, CPUS_PER_TASK and SRUN_ARGS can be set as well.
set -euo pipefail
usage="usage: $0 PARTITION JOB_NAME CONFIG CHECKPOINT [options]"
partition=${1:?$usage} job_name=${2:?$usage}
gpus=${GPUS:-4} per_node=${GPUS_PER_NODE:-$(( ${GPUS:-4} < 8 ? ${GPUS:-4} : 8 ))}
# The command to run this again.
MMSEG_MLLM_COMMAND="GPUS=$gpus $(printf %q "$0" && printf ' %q' "$@")"
export MMSEG_MLLM_COMMAND
# shellcheck disable=SC2086
srun -p "$partition" --job-name="$job_name" --gres="gpu:$per_node" --ntasks="$gpus" \
    --ntasks-per-node="$per_node" --cpus-per-task="${CPUS_PER_TASK:-8}" --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
    "${PYTHON:-python}" -u "$(dirname "$0")/test.py" "${@:3}" --launcher slurm
