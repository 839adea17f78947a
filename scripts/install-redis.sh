#!/bin/sh
# Installs Debian's redis-server for the test of the stack with Celery (tests/stack). Without root or passwordless sudo,
# or on another system, it says so and ends well: that test is then skipped.
set -eu

if command -v redis-server >/dev/null 2>&1; then
    echo "redis-server is already installed"
    exit 0
fi

exec "$(dirname "$0")/install-packages.sh" \
    "install redis-server yourself" "redis-server here: install it yourself" redis-server
