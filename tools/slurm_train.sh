#!/usr/bin/env bash
# Train on a Slurm cluster: GPUS=8 tools/slurm_train.sh PARTITION JOB_NAME CONFIG [options of tools/train.py]
# GPUS_PER_NODE, CPUS_PER_TASK and SRUN_ARGS can be set as well. NOTICE seconds before the time limit (120) the run is
# saved; then it goes on in a new allocation, or, inside a batch job (sbatch --requeue), after that is queued again.
set -euo pipefail
usage="usage: $0 PARTITION JOB_NAME CONFIG [options]"
partition=${1:?$usage} job_name=${2:?$usage}
gpus=${GPUS:-4} per_node=${GPUS_PER_NODE:-$(( ${GPUS:-4} < 8 ? ${GPUS:-4} : 8 ))}
saved=75 # exit code of a run that was told to stop, and is to go on
# The command to run this again.
MMSEG_MLLM_COMMAND="GPUS=$gpus $(printf %q "$0" && printf ' %q' "$@")"
export MMSEG_MLLM_COMMAND
options=("${@:3}")
(( ${SLURM_RESTART_COUNT:-0} == 0 )) || options+=(--resume)
while true; do
    code=0
    # shellcheck disable=SC2086
    srun -p "$partition" --job-name="$job_name" --gres="gpu:$per_node" --ntasks="$gpus" \
        --ntasks-per-node="$per_node" --cpus-per-task="${CPUS_PER_TASK:-8}" --kill-on-bad-exit=1 \
        --signal="USR1@${NOTICE:-120}" ${SRUN_ARGS:-} \
        "${PYTHON:-python}" -u "$(dirname "$0")/train.py" "${options[@]}" --launcher slurm || code=$?
    (( code == saved )) || exit "$code"
    if [[ -n ${SLURM_JOB_ID:-} ]]; then
        scontrol requeue "$SLURM_JOB_ID"
        exit 0
    fi
    [[ " ${options[*]} " == *" --resume "* ]] || options+=(--resume)
done
