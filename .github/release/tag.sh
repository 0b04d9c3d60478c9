#!/usr/bin/env bash
# tag.sh VERSION IMAGE@DIGEST: commits a manifest that runs that very image, tags it vVERSION, and moves the tag of the
# major version there, if no newer version has it: older lines have releases, too. The branch is left as it is: its manifest
# builds the Dockerfile.
set -euo pipefail
version=$1
image=$2

if ! [[ $image =~ ^ghcr\.io/[a-z0-9._/-]+@sha256:[0-9a-f]{64}$ ]]; then
    echo "release: '$image' is no image with its digest" >&2
    exit 1
fi
sed -i "s|^  image: Dockerfile$|  image: docker://$image|" action.yml
grep -qxF "  image: docker://$image" action.yml

git config user.name "github-actions[bot]"
git config user.email "41898282+github-actions[bot]@users.noreply.github.com"
git checkout --quiet --detach
git commit --quiet -m "Release $version" action.yml
git tag "v$version"
tags=("refs/tags/v$version")
major=v${version%%.*}
released=$(git ls-remote --tags origin "refs/tags/$major.*" | sed 's|.*refs/tags/v||')
newest=$(printf '%s\n' "$version" "$released" | grep -xE '[0-9]+\.[0-9]+\.[0-9]+' | sort --version-sort | tail -n 1)
if [[ $newest == "$version" ]]; then
    git tag --force "$major"
    tags+=("+refs/tags/$major")
fi
git push --quiet --atomic origin "${tags[@]}"
