#!/usr/bin/env bash
# Install Debian packages, or say what goes without them: debian.sh WHAT PACKAGE ...
set -euo pipefail
what=$1
shift
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@"; } >/dev/null 2>&1 ||
        echo "note: $* could not be installed; without it: no $what" >&2
else
    echo "note: for $what: apt-get install $* (Debian)" >&2
fi
