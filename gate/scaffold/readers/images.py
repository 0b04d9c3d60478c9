"""Find the Dockerfile that builds an image which a Compose file or a manifest names by its release."""

from __future__ import annotations

import posixpath
import re

from gate.scaffold.files import RepoFiles, folder_of
from gate.scaffold.model import Build, Service
from gate.scaffold.readers.dockerfiles import built, path_of
from gate.scaffold.readers.workflows import ImageBuild

#: Software that nobody's repository builds under this name, except its own.
_FOREIGN = re.compile(
    r"^(?:nginx|traefik|caddy|httpd|haproxy|envoy|grafana|prometheus|alertmanager|loki|tempo|jaeger|otel|opentelemetry|"
    r"mailhog|mailpit|maildev|adminer|pgadmin|phpmyadmin|minio|localstack|keycloak|vault|consul|zookeeper|.*-exporter|"
    r"node|python|golang|ruby|php|openjdk|maven|alpine|debian|ubuntu|busybox|selenium|chrome|cadvisor|portainer|watchtower)"
)


def find_build(files: RepoFiles, service: Service, builds: list[Build], images: list[ImageBuild]) -> Build | None:
    """Return the build of a released image: as a workflow builds it, of a folder with its name, or the only one."""
    name = service.image_name
    for image in images:
        if re.search(rf"(?:^|[/\s]){re.escape(name)}(?:[:\s]|$)", image.tag):
            return built(files, image.context, image.dockerfile)
    for build in builds:
        folder = posixpath.basename(folder_of(path_of(build)))
        suffix = posixpath.basename(path_of(build)).lower().replace("dockerfile", "").strip(".")
        if {folder, suffix, posixpath.basename(build.context)} & {name, service.name, re.sub(r"^.*?-", "", name)}:
            return build
    if _FOREIGN.match(name):
        return None
    at_root = [build for build in builds if build.context == "."]
    return at_root[0] if at_root else builds[0] if len(builds) == 1 else None


def is_foreign(service: Service) -> bool:
    """Return whether an image is known software of others, which a repository runs but does not build."""
    return bool(_FOREIGN.match(service.image_name))
