#!/bin/sh
# Makes .venv-bench, the peer's own environment, once. stable-baselines3's PyTorch need not know of a GPU.
set -eu
cd "$(dirname "$0")/.."
peer=.venv-bench
if [ -e "$peer/ready" ]; then
    exit 0
fi
"${PYTHON:-python3}" -m venv --clear "$peer"
"$peer/bin/python" -m pip install --quiet --disable-pip-version-check \
    "torch>=2.4,<2.14" "stable-baselines3>=2.4,<3" "gymnasium[mujoco]>=1.1,<2"
touch "$peer/ready"
