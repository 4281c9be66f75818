#!/usr/bin/env bash
# Makes the virtual environment and installs Credo into it; rendering libraries too, where that is possible.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
VENV=${VENV:-.venv}
CONSTRAINTS=${CONSTRAINTS:-constraints.txt}

"$PYTHON" - <<'EOF' || { echo "Credo needs Python 3.11 or newer; set PYTHON=/path/to/python3.11" >&2; exit 1; }
import sys
sys.exit(sys.version_info < (3, 11))
EOF
[ -x "$VENV/bin/python" ] || "$PYTHON" -m venv "$VENV"
"$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --constraint "$CONSTRAINTS" --editable '.[dev]'

# Videos need EGL. Training does not, so a machine without it is only told.
ldconfig -p 2>/dev/null | grep -q 'libEGL\.so\.1' || bash scripts/debian.sh "videos (training needs none)" libegl1 libgl1-mesa-dri
