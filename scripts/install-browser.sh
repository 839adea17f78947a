#!/bin/sh
# Installs Debian's chromium and chromedriver for tests/browser. Without root or passwordless sudo, or on
# another system, it says so and ends well: the browser tests are then skipped.
set -eu

if [ -x /usr/bin/chromium ] && [ -x /usr/bin/chromedriver ]; then
    echo "chromium and chromedriver are already installed"
    exit 0
fi

if ! command -v apt-get >/dev/null 2>&1; then
    echo "no apt-get here: install chromium and chromedriver as /usr/bin/chromium and /usr/bin/chromedriver yourself"
    exit 0
fi

if [ "$(id -u)" -eq 0 ]; then
    run=""
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    run="sudo -n"
else
    echo "not root and no passwordless sudo: ask an administrator for 'apt-get install chromium chromium-driver'"
    exit 0
fi

export DEBIAN_FRONTEND=noninteractive
$run apt-get update -q
if ! $run apt-get install -y -q --no-install-recommends chromium chromium-driver; then
    echo "apt-get has no chromium with chromium-driver (Ubuntu ships them as a snap): install them yourself"
fi
