#!/usr/bin/env bash
# Makes the virtual environment and installs Credo into it; rendering libraries too, where that is possible.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
VENV=${VENV:-.venv}

"$PYTHON" - <<'EOF' || { echo "Credo needs Python 3.11 or newer; set PYTHON=/path/to/python3.11" >&2; exit 1; }
import sys
sys.exit(sys.version_info < (3, 11))
EOF
[ -x "$VENV/bin/python" ] || "$PYTHON" -m venv "$VENV"
"$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'

# Videos need EGL. Training does not, so a machine without it is only told.
if ! ldconfig -p 2>/dev/null | grep -q 'libEGL\.so\.1'; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        { apt-get update -qq && apt-get install -y -qq --no-install-recommends libegl1 libgl1-mesa-dri; } >/dev/null 2>&1 ||
            echo "note: libegl1 could not be installed; videos will be left out" >&2
    else
        echo "note: videos need EGL (Debian: apt-get install libegl1 libgl1-mesa-dri); training does not" >&2
    fi
fi
