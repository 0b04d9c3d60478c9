#!/bin/sh
# Fetches Prometheus of Debian's later releases into .cache/prometheus/, beside the one that is installed. Go programs
# run as they are, so the packages are unpacked only. May be run again at any time.
set -eu
cd "$(dirname "$0")/../.."
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# The mirror is the machine's own.
# shellcheck disable=SC2016
mirror=$(apt-get indextargets --format '$(SITE)' 'Origin: Debian' 'Label: Debian' | sort -u | head -n 1)
if [ -z "$mirror" ]; then
    # shellcheck disable=SC2016
    mirror=$(apt-get indextargets --format '$(SITE)' | grep -E '/debian/?$' | sort -u | head -n 1)
fi

for suite in trixie forky; do
    home="$PWD/.cache/prometheus/$suite"
    if [ ! -x "$home/bin/promtool" ]; then
        rm -rf "$home"
        mkdir -p "$home/lists/partial" "$home/cache/archives/partial" "$home/parts"
        # An apt state of its own: the machine's packages and sources stay as they are.
        set -- -qq -o "Dir::Etc::sourcelist=$home/sources.list" -o "Dir::Etc::sourceparts=$home/parts" \
            -o "Dir::State::Lists=$home/lists" -o "Dir::Cache=$home/cache" -o APT::Sandbox::User=root
        echo "deb [signed-by=$keyring] $mirror $suite main" >"$home/sources.list"
        if ! apt-get "$@" update >/dev/null 2>&1; then
            # The keyring of an older Debian may lack the key of a later one.
            echo "deb [trusted=yes] $mirror $suite main" >"$home/sources.list"
            apt-get "$@" update
        fi
        (cd "$home" && apt-get "$@" download prometheus promtool >/dev/null)
        for package in "$home"/*.deb; do
            dpkg -x "$package" "$home/root"
        done
        mkdir "$home/bin"
        mv "$home/root/usr/bin/prometheus" "$home/root/usr/bin/promtool" "$home/bin/"
        rm -rf "$home/root" "$home/lists" "$home/cache" "$home/parts" "$home/sources.list" "$home"/*.deb
    fi
    echo "prodgate: $suite has $("$home/bin/promtool" --version 2>&1 | head -n 1)"
done
