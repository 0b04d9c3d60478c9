#!/bin/sh
# Debian keeps Python's venv in a package of its own: installs it where it is missing.
set -eu
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "prodgate: this Python cannot make virtual environments; on Debian, install python3-venv" >&2
    exit 1
fi
echo "prodgate: installing python3-venv"
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends python3-venv >/dev/null
