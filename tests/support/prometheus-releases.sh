#!/bin/sh
# Fetches Prometheus of Debian's later releases into .cache/prometheus/, beside the one that is installed, and forky's
# Alertmanager with amtool. Go programs run as they are, so the packages are unpacked only. May be run again at any time.
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
    programs="prometheus promtool"
    [ "$suite" = trixie ] || programs="$programs prometheus-alertmanager amtool"
    # The last program of the list is the newest: a cache of an earlier version of this script lacks it.
    if [ ! -x "$home/bin/${programs##* }" ]; then
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
        # amtool is in the package of Alertmanager.
        # shellcheck disable=SC2086
        (cd "$home" && apt-get "$@" download ${programs%amtool} >/dev/null)
        for package in "$home"/*.deb; do
            dpkg -x "$package" "$home/root"
        done
        mkdir "$home/bin"
        for program in $programs; do
            mv "$home/root/usr/bin/$program" "$home/bin/"
        done
        rm -rf "$home/root" "$home/lists" "$home/cache" "$home/parts" "$home/sources.list" "$home"/*.deb
    fi
    echo "prodgate: $suite has $("$home/bin/promtool" --version 2>&1 | head -n 1)"
done
