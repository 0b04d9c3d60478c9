#!/bin/sh
# Fetches Prometheus of Debian's later releases into .cache/prometheus/, beside the one that is installed, and forky's
# Alertmanager with amtool and Docker's command line with Compose. May be run again at any time.
set -eu
cd "$(dirname "$0")/../.."

for suite in trixie forky; do
    home="$PWD/.cache/prometheus/$suite"
    packages="prometheus promtool" last=promtool
    # amtool is in the package of Alertmanager. A cache of an earlier version of this script lacks the last program.
    [ "$suite" = trixie ] || packages="$packages prometheus-alertmanager docker-cli docker-compose" last=docker-compose
    if [ ! -x "$home/bin/$last" ]; then
        # shellcheck disable=SC2086
        examples/veza/demo/later-debian.sh "$home" "$suite" $packages
    fi
    echo "prodgate: $suite has $("$home/bin/promtool" --version 2>&1 | head -n 1)"
done
