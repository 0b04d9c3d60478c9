#!/bin/sh
# Installs what the tests run, brings up a Docker engine, and makes the images. May be run again at any time.
set -eu
cd "$(dirname "$0")/../.."
python=${1:-python3}

# A program, and Debian's package that has it.
needed="dockerd=docker.io docker=docker-cli iptables=iptables debootstrap=debootstrap prometheus=prometheus
prometheus-alertmanager=prometheus-alertmanager redis-server=redis-server chromium=chromium
chromedriver=chromium-driver shellcheck=shellcheck curl=curl make=make git=git node=nodejs npm=npm"

PATH="$PATH:/usr/sbin:/sbin"
missing=""
for pair in $needed; do
    command -v "${pair%%=*}" >/dev/null || missing="$missing ${pair#*=}"
done
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$missing postgresql"

if [ -n "$missing" ]; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "prodgate: the tests need these packages of Debian:$missing" >&2
        echo "prodgate: install them, or run this as root on Debian" >&2
        exit 1
    fi
    echo "prodgate: installing$missing"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # Before Debian 13 the package docker.io has the command docker, too.
    if ! apt-cache show docker-cli >/dev/null 2>&1; then
        missing=$(echo "$missing" | sed 's/ docker-cli/ docker.io/')
    fi
    # shellcheck disable=SC2086
    apt-get install -qq -y --no-install-recommends $missing >/dev/null
fi

# Downloads, while the images are built.
tests/support/prometheus-releases.sh &
releases=$!

echo "prodgate: bringing up a Docker engine and the tests' images"
"$python" -m tests.support.images
wait "$releases"
