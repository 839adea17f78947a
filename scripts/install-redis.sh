#!/bin/sh
# Installs Debian's redis-server for the test of the stack with Celery (tests/stack). Without root or passwordless sudo,
# or on another system, it says so and ends well: that test is then skipped.
set -eu

if command -v redis-server >/dev/null 2>&1; then
    echo "redis-server is already installed"
    exit 0
fi

if ! command -v apt-get >/dev/null 2>&1; then
    echo "no apt-get here: install redis-server yourself"
    exit 0
fi

if [ "$(id -u)" -eq 0 ]; then
    run=""
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    run="sudo -n"
else
    echo "not root and no passwordless sudo: ask an administrator for 'apt-get install redis-server'"
    exit 0
fi

export DEBIAN_FRONTEND=noninteractive
$run apt-get update -q
if ! $run apt-get install -y -q --no-install-recommends redis-server; then
    echo "apt-get has no redis-server here: install it yourself"
fi
