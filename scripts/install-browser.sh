#!/bin/sh
# Installs Debian's chromium and chromedriver for tests/browser. Without root or passwordless sudo, or on
# another system, it says so and ends well: the browser tests are then skipped.
set -eu

if [ -x /usr/bin/chromium ] && [ -x /usr/bin/chromedriver ]; then
    echo "chromium and chromedriver are already installed"
    exit 0
fi

exec "$(dirname "$0")/install-packages.sh" \
    "install chromium and chromedriver as /usr/bin/chromium and /usr/bin/chromedriver yourself" \
    "chromium with chromium-driver (Ubuntu ships them as a snap): install them yourself" \
    chromium chromium-driver
