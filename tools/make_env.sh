#!/usr/bin/env bash
# Make a virtual environment with the pinned packages and this one: tools/make_env.sh FOLDER
# PYTHON chooses the interpreter (python3 by default).
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${1:?usage: $0 FOLDER}
python=${PYTHON:-python3}

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
    echo "error: $("$python" --version 2>&1) is too old; Python 3.10 or newer is needed (make PYTHON=python3.11)" >&2
    exit 1
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    echo "error: this Python has no venv module; on Debian and Ubuntu: sudo apt-get install python3-venv" >&2
    exit 1
fi
[ -x "$venv/bin/pip" ] || "$python" -m venv "$venv"
echo "installing packages into $venv (about two minutes, longer on a slow line)"
# mmcv-lite asks for the OpenCV build that needs a desktop's graphics libraries: its other needs are pinned.
quiet=--quiet
[ -t 1 ] && quiet=  # on a terminal pip shows its progress
"$venv/bin/pip" install $quiet -r requirements/pinned.txt
"$venv/bin/pip" install --quiet --no-deps -r requirements/no_deps.txt
"$venv/bin/pip" install --quiet --no-deps -e .
touch "$venv/done"
