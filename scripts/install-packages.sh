#!/bin/sh
# Installs Debian packages that a test needs. Without root or passwordless sudo, or on another system, it says so and
# ends well: that test is then skipped. Usage: scripts/install-packages.sh NO_APT NOT_FOUND PACKAGE...
# NO_APT and NOT_FOUND are what to say where there is no apt-get, and where it does not have the packages.
set -eu

no_apt=$1
not_found=$2
shift 2

if ! command -v apt-get >/dev/null 2>&1; then
    echo "no apt-get here: $no_apt"
    exit 0
fi

if [ "$(id -u)" -eq 0 ]; then
    run=""
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    run="sudo -n"
else
    echo "not root and no passwordless sudo: ask an administrator for 'apt-get install $*'"
    exit 0
fi

export DEBIAN_FRONTEND=noninteractive
$run apt-get update -q
if ! $run apt-get install -y -q --no-install-recommends "$@"; then
    echo "apt-get has no $not_found"
fi
