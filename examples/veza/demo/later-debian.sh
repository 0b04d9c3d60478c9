#!/bin/sh
# Fetches programs of a later Debian release: `later-debian.sh FOLDER SUITE PACKAGE...` unpacks the packages and puts what
# they have in /usr/bin into FOLDER/bin. Go programs run as they are. Nothing is installed.
set -eu
home=$1 suite=$2
shift 2
packages=$*
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# The mirror is the machine's own.
# shellcheck disable=SC2016
mirror=$(apt-get indextargets --format '$(SITE)' 'Origin: Debian' 'Label: Debian' | sort -u | head -n 1)
if [ -z "$mirror" ]; then
    # shellcheck disable=SC2016
    mirror=$(apt-get indextargets --format '$(SITE)' | grep -E '/debian/?$' | sort -u | head -n 1)
fi

rm -rf "$home"
mkdir -p "$home/lists/partial" "$home/cache/archives/partial" "$home/parts"
home=$(cd "$home" && pwd)
# An apt state of its own: the machine's packages and sources stay as they are.
set -- -qq -o "Dir::Etc::sourcelist=$home/sources.list" -o "Dir::Etc::sourceparts=$home/parts" \
    -o "Dir::State::Lists=$home/lists" -o "Dir::Cache=$home/cache" -o "APT::Sandbox::User=$(id -un)"
echo "deb [signed-by=$keyring] $mirror $suite main" >"$home/sources.list"
if ! apt-get "$@" update >/dev/null 2>&1; then
    # The keyring of an older Debian may lack the key of a later one.
    echo "deb [trusted=yes] $mirror $suite main" >"$home/sources.list"
    apt-get "$@" update
fi
# shellcheck disable=SC2086
(cd "$home" && apt-get "$@" download $packages >/dev/null)
for package in "$home"/*.deb; do
    dpkg -x "$package" "$home/root"
done
mkdir "$home/bin"
mv "$home/root/usr/bin/"* "$home/bin/"
# Compose is a plugin of Docker's command line, and only linked from /usr/bin.
for plugin in "$home/root/usr/libexec/docker/cli-plugins/"*; do
    [ ! -e "$plugin" ] || mv -f "$plugin" "$home/bin/"
done
rm -rf "$home/root" "$home/lists" "$home/cache" "$home/parts" "$home/sources.list" "$home"/*.deb
