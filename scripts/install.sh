#!/usr/bin/env bash
# Make .venv with the locked versions. Usage: scripts/install.sh PYTHON
set -euo pipefail
python=$1
if ! "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; then
    echo "PYTHON-VERSION: Python 3.11, 3.12 or 3.13 is needed ($python). Run: make PYTHON=python3.12" >&2
    exit 2
fi
if ! "$python" -m venv .venv; then
    echo "PYTHON-VENV: the venv module is missing ($python). On Debian and Ubuntu: apt install python3-venv" >&2
    exit 2
fi
echo "Installing into .venv (about a minute the first time)"
.venv/bin/python -m pip install --quiet --disable-pip-version-check uv
.venv/bin/uv sync --quiet --frozen --inexact --compile-bytecode
