#!/usr/bin/env bash
# check-version.sh VERSION REF: fails where VERSION cannot be released from this checkout of REF, and says why.
set -euo pipefail
version=$1
ref=$2

fail() {
    echo "release: $1" >&2
    exit 1
}

[[ $ref == refs/heads/main || $ref == refs/heads/release/* ]] || fail "'$ref' is neither main nor a branch release/..."
[[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]] || fail "'$version' is no version such as 1.2.3"
grep -qxF "__version__ = \"$version\"" gate/__init__.py || fail "gate/__init__.py says another version than $version"
grep -qF "## [$version]" CHANGELOG.md || fail "CHANGELOG.md has no section '## [$version]'"
tags=$(git ls-remote --tags origin "refs/tags/v$version")
[[ -z $tags ]] || fail "v$version is there already; a version is released once"
