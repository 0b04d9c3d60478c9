#!/bin/bash
# A stage leaves its words and its environment in the workspace, and does what the test has put there under its name.
set -eu
name=$(basename "$0")
printf '%s\n' "$@" > "$name.words"
env -0 > "$name.environment"
[ ! -e "$name.sh" ] || exec bash "./$name.sh"
