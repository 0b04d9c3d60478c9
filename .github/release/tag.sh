#!/usr/bin/env bash
# tag.sh VERSION IMAGE@DIGEST: commits a manifest that runs that very image, tags it vVERSION, and moves the tag of the
# major version there. The branch is left as it is: its manifest builds the Dockerfile.
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
git tag --force "v${version%%.*}"
git push --quiet --atomic origin "refs/tags/v$version" "+refs/tags/v${version%%.*}"
