"""Define the schema of a prometheus.yml: its keys, their types, and the rules between them.

From `config/config.go`, `model/relabel` and `discovery/` of Prometheus 2.42 to 3.14, and from `config/http_config.go`
of prometheus/common. https://prometheus.io/docs/prometheus/latest/configuration/configuration/
"""

from __future__ import annotations

import re
import uuid
from typing import Any

from gate.core.messages import msg
from gate.decode import regex
from gate.prometheus.config_values import (  # fmt: skip
    BOOL,
    DURATION,
    FLOAT,
    INT,
    LABEL_NAME,
    LABELS,
    POINTER_BOOL,
    REGEX,
    SIZE,
    TEXT,
    TEXT_TABLE,
    TEXTS,
    UINT,
    URL,
    any_of,
    at_most_one,
    choice,
    is_label,
    is_url,
    needs,
    no_gaps,
    one_of,
    text,
)
from gate.prometheus.goyaml import Anything, Decoder, Field, List, Object, Table, Values
from gate.prometheus.yaml_tree import Scalar

Fields = dict[str, Field]

# HTTP clients (prometheus/common)

_TLS_VERSION = one_of("TLS10", "TLS11", "TLS12", "TLS13", what=msg("version of TLS"), zero=0)


def _pairs_of_files(values: Values, decoder: Decoder) -> None:
    """Require that a client certificate and its key come together."""
    certificate = any(values[key] for key in ("cert", "cert_file", "cert_ref"))
    key = any(values[key] for key in ("key", "key_file", "key_ref"))
    if certificate != key and decoder.release.version >= (2, 45):
        missing = "key" if certificate else "cert"
        decoder.problem(values.node, msg("A client certificate needs its key: '{key}' or '{key}_file' is missing",
                                         key=missing))  # fmt: skip


TLS = Object(
    msg("tls_config"),
    {
        **text("ca_file cert_file key_file server_name"),
        "insecure_skip_verify": Field(BOOL),
        "min_version": Field(_TLS_VERSION),
        "max_version": Field(_TLS_VERSION),
        **{key: Field(TEXT, since=(2, 45)) for key in ("ca", "cert", "key")},
        **{key: Field(TEXT, since=(2, 53)) for key in ("ca_ref", "cert_ref", "key_ref")},
    },
    at_most_one("ca", "ca_file", "ca_ref"),
    at_most_one("cert", "cert_file", "cert_ref"),
    at_most_one("key", "key_file", "key_ref"),
    _pairs_of_files,
)
_PROXY: Fields = {
    "proxy_url": Field(URL),
    "no_proxy": Field(TEXT, since=(2, 43)),
    "proxy_from_environment": Field(BOOL, since=(2, 43)),
    "proxy_connect_header": Field(Table(TEXTS)),
}


def _proxy(values: Values, decoder: Decoder) -> None:
    url, environment = values["proxy_url"], values["proxy_from_environment"]
    has_url = url is not None and url.text != ""
    if values["proxy_connect_header"] and not environment and not has_url:
        decoder.problem(values.at("proxy_connect_header"), msg("proxy_connect_header needs proxy_url"))
    elif environment and (has_url or values["no_proxy"]):
        decoder.problem(values.at("proxy_from_environment"),
                        msg("proxy_from_environment excludes proxy_url and no_proxy"))  # fmt: skip
    elif url is None and values["no_proxy"]:
        decoder.problem(values.at("no_proxy"), msg("no_proxy needs proxy_url"))


_ALGORITHMS = ("", "RS256", "RS384", "RS512")
_JWT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
OAUTH2 = Object(
    msg("oauth2"),
    {
        **text("client_id client_secret client_secret_file token_url"),
        "client_secret_ref": Field(TEXT, since=(2, 53)),
        "scopes": Field(TEXTS),
        "endpoint_params": Field(TEXT_TABLE),
        "tls_config": Field(TLS),
        **_PROXY,
        "proxy_connect_header": Field(Table(TEXTS), since=(2, 43)),
        **{
            key: Field(TEXT, since=(3, 8))
            for key in (
                "audience", "client_certificate_key", "client_certificate_key_file", "client_certificate_key_id",
                "client_certificate_key_ref", "grant_type", "iss", "signature_algorithm",
            )
        },
        "claims": Field(Table(Anything()), since=(3, 8)),
    },
    _proxy,
    pointer=True,
)  # fmt: skip
BASIC_AUTH = Object(
    msg("basic_auth"),
    {
        **text("username password password_file"),
        "username_file": Field(TEXT, since=(2, 49)),
        **{key: Field(TEXT, since=(2, 53)) for key in ("username_ref", "password_ref")},
    },
    pointer=True,
)
AUTHORIZATION = Object(
    msg("authorization"),
    {**text("type credentials credentials_file"), "credentials_ref": Field(TEXT, since=(2, 53))},
    pointer=True,
)
_HEADER = Object(msg("a header"), {key: Field(TEXTS) for key in ("values", "secrets", "files")})
_RESERVED = frozenset(
    (
        "authorization", "host", "content-encoding", "content-length", "content-type", "user-agent", "connection",
        "keep-alive", "proxy-authenticate", "proxy-authorization", "www-authenticate", "accept-encoding",
        "x-prometheus-remote-write-version", "x-prometheus-remote-read-version", "x-amz-date", "x-amz-security-token",
        "x-amz-content-sha256",
    )
)  # fmt: skip
_SCRAPE_TIMEOUT = "x-prometheus-scrape-timeout-seconds"
HTTP: Fields = {
    "basic_auth": Field(BASIC_AUTH),
    "authorization": Field(AUTHORIZATION),
    "oauth2": Field(OAUTH2),
    **text("bearer_token bearer_token_file"),
    "tls_config": Field(TLS),
    "follow_redirects": Field(BOOL, True),
    "enable_http2": Field(BOOL, True),
    **_PROXY,
    "http_headers": Field(Table(_HEADER, custom=True), since=(2, 53)),
}


def http_client(values: Values, decoder: Decoder) -> None:
    """Require at most one way of authentication, and a complete one."""
    basic, authorization, oauth2 = values["basic_auth"], values["authorization"], values["oauth2"]
    at_most_one("bearer_token", "bearer_token_file")(values, decoder)
    bearer = bool(values["bearer_token"] or values["bearer_token_file"])
    ways = ["basic_auth"] * (basic is not None) + ["authorization"] * (authorization is not None)
    ways += ["oauth2"] * (oauth2 is not None) + ["bearer_token"] * bearer
    if len(ways) > 1:
        decoder.problem(values.at(ways[1]), msg("At most one of {keys} can be set", keys=", ".join(ways)))
    if basic is not None:
        at_most_one("username", "username_file", "username_ref")(basic, decoder)
        at_most_one("password", "password_file", "password_ref")(basic, decoder)
    if authorization is not None:
        at_most_one("credentials", "credentials_file", "credentials_ref")(authorization, decoder)
        if authorization["type"].strip().lower() == "basic":
            decoder.problem(authorization.at("type"), msg("The type cannot be 'basic'; use basic_auth"))
    if oauth2 is not None:
        _oauth2(oauth2, decoder)
    _proxy(values, decoder)
    for name in values["http_headers"] or ():
        if name.lower() in _RESERVED or name.lower() == _SCRAPE_TIMEOUT:
            decoder.problem(values["http_headers"].at(name), msg("The header {name} cannot be set", name=name))


def _oauth2(values: Values, decoder: Decoder) -> None:
    needs("client_id", "token_url")(values, decoder)
    if values["grant_type"] == _JWT:
        at_most_one("client_certificate_key", "client_certificate_key_file", "client_certificate_key_ref")(
            values, decoder
        )
        choice("signature_algorithm", *_ALGORITHMS)(values, decoder)
        return
    at_most_one("client_secret", "client_secret_file", "client_secret_ref")(values, decoder)
    if decoder.release.version < (2, 43):
        any_of("client_secret", "client_secret_file")(values, decoder)


# Relabelling

_ACTIONS = ("replace", "keep", "drop", "keepequal", "dropequal", "hashmod", "labelmap", "labeldrop", "labelkeep",
            "lowercase", "uppercase")  # fmt: skip
_DEFAULTS: dict[str, Any] = {"separator": ";", "replacement": "$1", "modulus": 0, "target_label": ""}
_LEGACY_TARGET = r"^(?:(?:[a-zA-Z_]|\$(?:\{\w+\}|\w+))+\w*)+$"
_WITH_TARGET = ("replace", "hashmod", "lowercase", "uppercase", "keepequal", "dropequal")
_EXPANDED_BEFORE = (*(action for action in _WITH_TARGET if action != "hashmod"), "labelmap")


def _relabelling(values: Values, decoder: Decoder) -> None:
    action, target = values["action"], values["target_label"]
    if not action:
        decoder.problem(values.at("action"), msg("The action of a relabelling is empty"))
    elif action == "hashmod" and not values["modulus"]:
        decoder.problem(values.at("modulus"), msg("hashmod needs a 'modulus' that is not 0"))
    elif action in _WITH_TARGET and not target:
        decoder.problem(values.at("target_label"), msg("{action} needs a 'target_label'", action=action))
    elif action in _WITH_TARGET and not _is_target(target, action, decoder):
        decoder.problem(values.at("target_label"), msg("{name} is not a name for a label", name=target))
    elif action == "labelmap" and not _is_target(values["replacement"], action, decoder):
        decoder.problem(values.at("replacement"), msg("{name} is not a name for a label", name=values["replacement"]))
    elif action in ("lowercase", "uppercase") and values["replacement"] != "$1":
        decoder.problem(values.at("replacement"), msg("{action} takes no 'replacement'", action=action))
    elif action in ("keepequal", "dropequal"):
        _only(values, decoder, action, "regex", "modulus", "separator", "replacement")
    elif action in ("labeldrop", "labelkeep"):
        _only(values, decoder, action, "source_labels", "target_label", "modulus", "separator", "replacement")


def _is_target(name: str, action: str, decoder: Decoder) -> bool:
    expanded = ("replace", "labelmap") if decoder.release.version >= (2, 50) else _EXPANDED_BEFORE
    if decoder.release.utf8 or action not in expanded or ("$" not in name and action != "labelmap"):
        return is_label(name, decoder.release)
    return regex.search(_LEGACY_TARGET, name)


def _only(values: Values, decoder: Decoder, action: str, *refused: str) -> None:
    """Add a problem for each key that the action does not take."""
    for key in refused:
        # A regular expression that is written is another object than the default one, however it reads
        present = (
            key in values
            if key == "regex"
            else values[key] is not None
            if key == "source_labels"
            else (values[key] != _DEFAULTS[key])
        )
        if present:
            decoder.problem(values.at(key), msg("{action} takes no '{key}'", action=action, key=key))
            return


RELABEL = Object(
    msg("a relabelling"),
    {
        "source_labels": Field(List(LABEL_NAME)),
        "separator": Field(TEXT, ";"),
        "regex": Field(REGEX, "(.*)"),
        "modulus": Field(UINT),
        "target_label": Field(TEXT),
        "replacement": Field(TEXT, "$1"),
        "action": Field(one_of(*_ACTIONS, fold=True, what=msg("relabel action")), "replace"),
    },
    _relabelling,
    pointer=True,
)
_RELABELS = List(RELABEL)

# Discovery of targets

TARGETS = Object(msg("a group of targets"), {"targets": Field(TEXTS), "labels": Field(LABELS)}, pointer=True)
TARGET_GROUPS = List(TARGETS)


def _discovery(name: str, fields: Fields, *rules: Any, http: bool = True) -> List:
    every = {**(HTTP if http else {}), "refresh_interval": Field(DURATION, 60.0), **fields}
    client = [_late_client if name in _LATE else http_client] if http else []
    return List(Object(msg("{name}", name=name), every, *rules, *client, pointer=True))


_LATE = tuple(f"{name}_sd_configs" for name in ("azure", "ec2", "http", "lightsail", "puppetdb", "uyuni"))


def _late_client(values: Values, decoder: Decoder) -> None:
    """Validate the HTTP client of discoveries that do so since 2.48 only."""
    if decoder.release.version >= (2, 48):
        http_client(values, decoder)


_PORT: Fields = {"port": Field(INT, 80)}
_FILTERS: Fields = {
    "filters": Field(List(Object(msg("a filter"), {"name": Field(TEXT), "values": Field(TEXTS)}, pointer=True)))
}
_AWS: Fields = {
    **text("endpoint region access_key secret_key profile role_arn"),
    "external_id": Field(TEXT, since=(3, 12)),
    **_PORT,
}


def _region(values: Values, decoder: Decoder) -> None:
    """Require a region: without one, Prometheus asks the machine that it runs on."""
    if not values["region"] and decoder.release.version < (3, 10):
        decoder.problem(values.node, msg("'region' is missing; it can be detected on an AWS machine only"))


def _filter_values(values: Values, decoder: Decoder) -> None:
    for entry in values["filters"] or ():
        if entry is not None and not entry["values"]:
            decoder.problem(entry.node, msg("A filter needs 'values'"))


def _azure(values: Values, decoder: Decoder) -> None:
    needs("subscription_id")(values, decoder)
    choice("authentication_method", "OAuth", "ManagedIdentity", "SDK")(values, decoder)
    if values["authentication_method"] == "OAuth":
        needs("tenant_id", "client_id", "client_secret")(values, decoder)


def _consul(values: Values, decoder: Decoder) -> None:
    if not values["server"].strip():
        decoder.problem(values.at("server"), msg("'{key}' is missing or empty", key="server"))
    if (values["username"] or values["password"]) and values["basic_auth"] is not None:
        decoder.problem(values.at("basic_auth"), msg("At most one of {keys} can be set", keys="username, basic_auth"))
    if values["token"] and (values["authorization"] is not None or values["oauth2"] is not None):
        decoder.problem(values.at("token"), msg("At most one of {keys} can be set",
                                                keys="token, authorization, oauth2"))  # fmt: skip
    if (values["username"] or values["password"]) and not decoder.problems:
        merged = values["authorization"], values["oauth2"], values["bearer_token"], values["bearer_token_file"]
        if any(merged):
            decoder.problem(values.at("username"), msg("At most one of {keys} can be set",
                                                       keys="username, authorization, oauth2"))  # fmt: skip


def _dns(values: Values, decoder: Decoder) -> None:
    needs("names")(values, decoder)
    records = ("SRV", "A", "AAAA", "MX", *(("NS",) if decoder.release.version >= (2, 49) else ()))
    choice("type", *records, convert=str.upper)(values, decoder)
    if values["type"].upper() != "SRV" and not values["port"]:
        decoder.problem(values.at("port"), msg("'port' is missing: only SRV records have one"))


_FILE_NAME = re.compile(r"[^*]*(\*[^/]*)?\.(json|yml|yaml|JSON|YML|YAML)")


def _files(values: Values, decoder: Decoder) -> None:
    needs("files")(values, decoder)
    for at, name in enumerate(values["files"] or ()):
        if not _FILE_NAME.fullmatch(name):
            decoder.problem(values["files"].nodes[at], msg(
                "{path} is no path of target files: it ends in .json, .yml or .yaml, and only its last part may have"
                " an asterisk", path=name))  # fmt: skip


_ROLES = ("node", "pod", "service", "endpoints", "endpointslice", "ingress")
_SELECTORS = {
    "pod": ("pod",), "service": ("service",), "node": ("node",), "ingress": ("ingress",),
    "endpointslice": ("pod", "service", "endpointslice"), "endpoints": ("pod", "service", "endpoints"),
}  # fmt: skip
_KUBERNETES_ROLE = one_of(*_ROLES, what=msg("role of Kubernetes"))


def _kubernetes(values: Values, decoder: Decoder) -> None:
    needs("role")(values, decoder)
    api, file = values["api_server"] is not None, bool(values["kubeconfig_file"])
    own = bool(values["namespaces"] and values["namespaces"]["own_namespace"])
    custom = [key for key in HTTP if not _is_default(values, key)]
    if api and file:
        decoder.problem(values.at("kubeconfig_file"), msg("At most one of {keys} can be set",
                                                          keys="api_server, kubeconfig_file"))  # fmt: skip
    elif custom and not api:
        decoder.problem(values.at(custom[0]), msg("{key} needs 'api_server'", key=custom[0]))
    elif own and (api or file):
        decoder.problem(values.at("namespaces"), msg("own_namespace excludes api_server and kubeconfig_file"))
    found = []
    for selector in values["selectors"] or ():
        role = selector["role"]
        if role in found or role not in _SELECTORS.get(values["role"], ()):
            decoder.problem(selector.node, msg("{role} takes one selector each for {roles}, not {given}",
                                           role=values["role"], roles=", ".join(_SELECTORS.get(values["role"], ())),
                                           given=role or '""'))  # fmt: skip
        found.append(role)
        for key, refused in (("label", _LABEL_SELECTOR), ("field", _FIELD_SELECTOR)):
            if len(selector[key]) > _LONGEST_SELECTOR or not refused.fullmatch(selector[key]):
                decoder.problem(selector.at(key), msg("{text} is not a selector", text=selector[key]))


def _is_default(values: Values, key: str) -> bool:
    if key == "tls_config":
        return not any((values[key] or {}).values())
    if key == "proxy_connect_header":
        return values[key] is None
    return bool(values[key] == values.defaults[key])


_QUALIFIED = r"(?:[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_LONGEST_SELECTOR = 2000
_LABEL_VALUE = r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?"
_REQUIREMENT = (
    rf"\s*(?:!\s*{_QUALIFIED}|{_QUALIFIED}(?:\s*(?:==?|!=)\s*{_LABEL_VALUE}"
    rf"|\s+(?:in|notin)\s*\(\s*{_LABEL_VALUE}(?:\s*,\s*{_LABEL_VALUE})*\s*\)|\s*[<>]\s*-?[0-9]+)?)\s*"
)
_LABEL_SELECTOR = re.compile(rf"(?:{_REQUIREMENT}(?:,{_REQUIREMENT})*)?\s*")
_FIELD = r"[^,=!\\]*(?:==?|!=)(?:[^,=\\]|\\[\\,=])*"
_FIELD_SELECTOR = re.compile(rf"(?:{_FIELD}(?:,{_FIELD})*)?,*")


def _marathon(values: Values, decoder: Decoder) -> None:
    needs("servers")(values, decoder)
    at_most_one("auth_token", "auth_token_file")(values, decoder)
    if values["auth_token"] or values["auth_token_file"]:
        credentials = ("basic_auth", "bearer_token", "bearer_token_file", "authorization")
        present = [key for key in credentials if values[key]]
        if present or values["basic_auth"] is not None or values["authorization"] is not None:
            decoder.problem(values.at(*credentials), msg("At most one of {keys} can be set",
                                                    keys=", ".join(("auth_token", *credentials))))  # fmt: skip


_OCI_KEYS = ("tenancy", "user", "fingerprint", "key_file")


def _oci(values: Values, decoder: Decoder) -> None:
    needs("region")(values, decoder)
    choice("auth", "api_key", "instance_principal")(values, decoder)
    needs("refresh_interval")(values, decoder)
    if values["auth"] == "api_key":
        needs(*_OCI_KEYS)(values, decoder)
        at_most_one("key_passphrase", "key_passphrase_file")(values, decoder)
        return
    for key in (*_OCI_KEYS, "key_passphrase", "key_passphrase_file"):
        if values[key]:
            decoder.problem(values.at(key), msg("instance_principal takes no '{key}'", key=key))


def _secret_key(values: Values, decoder: Decoder) -> None:
    at_most_one("secret_key", "secret_key_file")(values, decoder)
    any_of("secret_key", "secret_key_file")(values, decoder)


def _ovh(values: Values, decoder: Decoder) -> None:
    needs("endpoint", "application_key", "application_secret", "consumer_key")(values, decoder)
    choice("service", "dedicated_server", "vps")(values, decoder)


def _scaleway(values: Values, decoder: Decoder) -> None:
    needs("role", "project_id", "access_key", "zone")(values, decoder)
    _secret_key(values, decoder)
    _scaleway_profile(values, decoder)


_ACCESS_KEY = re.compile(r"SCW[A-Z0-9]{17}")
_UUID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")
_ZONE = re.compile(r"[a-z]{2}-[a-z]{3}-[0-9]+")


def _scaleway_profile(values: Values, decoder: Decoder) -> None:
    """Validate the form of the identifiers, as Scaleway's client does."""
    for key, pattern in (("access_key", _ACCESS_KEY), ("secret_key", _UUID), ("project_id", _UUID), ("zone", _ZONE)):
        if values[key] and not pattern.fullmatch(values[key]):
            decoder.problem(values.at(key), msg("{key}: {text} is not in the form of Scaleway", key=key,
                                                text=values[key] if key == "zone" else "***"))  # fmt: skip


def _zookeeper(values: Values, decoder: Decoder) -> None:
    needs("servers", "paths")(values, decoder)
    for at, path in enumerate(values["paths"] or ()):
        if not path.startswith("/"):
            decoder.problem(values["paths"].nodes[at], msg("{path} must begin with /", path=path))


def _triton(values: Values, decoder: Decoder) -> None:
    choice("role", "container", "cn")(values, decoder)
    needs("account", "dns_suffix", "endpoint", "refresh_interval")(values, decoder)


_ZOOKEEPER: Fields = {"servers": Field(TEXTS), "paths": Field(TEXTS), "timeout": Field(DURATION, 10.0)}
_NAMESPACES = Object(msg("namespaces"), {"own_namespace": Field(BOOL), "names": Field(TEXTS)})
_ATTACH = Object(
    msg("attach_metadata"),
    {
        "node": Field(BOOL),
        "namespace": Field(BOOL, since=(3, 6)),
        **{key: Field(BOOL, since=(3, 11)) for key in ("deployment", "job", "cronjob")},
    },
)
_SELECTOR = Object(msg("a selector"), {"role": Field(_KUBERNETES_ROLE), **text("label field")})
_AWS_ROLES = ("ec2", "ecs", "elasticache", "lightsail", "msk", "rds")

DISCOVERY: Fields = {
    "aws_sd_configs": Field(
        _discovery("aws_sd_configs", {
            **_AWS, **_FILTERS, "clusters": Field(TEXTS), "role": Field(one_of(*_AWS_ROLES, what=msg("role of AWS")))
        }, needs("role"), _filter_values), since=(3, 8)),
    "azure_sd_configs": Field(_discovery("azure_sd_configs", {
        **text("subscription_id tenant_id client_id client_secret resource_group"), **_PORT,
        "environment": Field(TEXT, "AzurePublicCloud"), "authentication_method": Field(TEXT, "OAuth"),
    }, _azure)),
    "consul_sd_configs": Field(_discovery("consul_sd_configs", {
        **text("token datacenter namespace partition username password"), "server": Field(TEXT, "localhost:8500"),
        "path_prefix": Field(TEXT, since=(2, 45)), "tag_separator": Field(TEXT, ","), "scheme": Field(TEXT, "http"),
        "allow_stale": Field(BOOL, True), "services": Field(TEXTS), "tags": Field(TEXTS),
        "node_meta": Field(TEXT_TABLE), "filter": Field(TEXT, since=(3, 0)),
        "health_filter": Field(TEXT, since=(3, 12)),
    }, _consul)),
    "digitalocean_sd_configs": Field(_discovery("digitalocean_sd_configs", {
        **_PORT, "role": Field(one_of("droplets", "databases", what=msg("role of DigitalOcean")), "droplets",
                               since=(3, 12)),
    })),
    "dns_sd_configs": Field(_discovery("dns_sd_configs", {
        "names": Field(TEXTS), "type": Field(TEXT, "SRV"), "port": Field(INT)}, _dns, http=False)),
    "docker_sd_configs": Field(_discovery("docker_sd_configs", {
        **text("host"), **_PORT, **_FILTERS, "host_networking_host": Field(TEXT, "localhost"),
        "match_first_network": Field(BOOL, True, since=(2, 54)),
    }, needs("host"), is_url("host", host=False))),
    "dockerswarm_sd_configs": Field(_discovery("dockerswarm_sd_configs", {
        **text("host role"), **_PORT, **_FILTERS,
    }, needs("host"), is_url("host", host=False), choice("role", "services", "nodes", "tasks"))),
    "ec2_sd_configs": Field(_discovery("ec2_sd_configs", {**_AWS, **_FILTERS}, _region, _filter_values)),
    "eureka_sd_configs": Field(_discovery("eureka_sd_configs", {**text("server")}, needs("server"),
                                          is_url("server", host=True))),
    "file_sd_configs": Field(_discovery("file_sd_configs", {"files": Field(TEXTS)}, _files, http=False)),
    "gce_sd_configs": Field(_discovery("gce_sd_configs", {
        **text("project zone filter"), **_PORT, "tag_separator": Field(TEXT, ","),
    }, needs("project", "zone"), http=False)),
    "hetzner_sd_configs": Field(_discovery("hetzner_sd_configs", {
        **_PORT, "role": Field(one_of("robot", "hcloud", what=msg("role of Hetzner"))),
        "label_selector": Field(TEXT, since=(3, 5)),
    }, needs("role"))),
    "http_sd_configs": Field(_discovery("http_sd_configs", {**text("url")}, needs("url"),
                                        is_url("url", "http", "https", host=True))),
    "ionos_sd_configs": Field(_discovery("ionos_sd_configs", {**text("datacenter_id"), **_PORT},
                                         needs("datacenter_id"))),
    "kubernetes_sd_configs": Field(List(Object(msg("kubernetes_sd_configs"), {
        **HTTP, "api_server": Field(URL), "role": Field(_KUBERNETES_ROLE), **text("kubeconfig_file"),
        "namespaces": Field(_NAMESPACES), "selectors": Field(List(_SELECTOR)), "attach_metadata": Field(_ATTACH),
    }, http_client, _kubernetes, pointer=True))),
    "kuma_sd_configs": Field(_discovery("kuma_sd_configs", {
        **text("server"), "client_id": Field(TEXT, since=(2, 50)), "fetch_timeout": Field(DURATION, 120.0),
    }, needs("server"), is_url("server", host=True))),
    "lightsail_sd_configs": Field(_discovery("lightsail_sd_configs", {**_AWS}, _region)),
    "linode_sd_configs": Field(_discovery("linode_sd_configs", {
        **_PORT, "tag_separator": Field(TEXT, ","), "region": Field(TEXT, since=(2, 52))})),
    "marathon_sd_configs": Field(_discovery("marathon_sd_configs", {
        "servers": Field(TEXTS), **text("auth_token auth_token_file")}, _marathon)),
    "nerve_sd_configs": Field(List(Object(msg("nerve_sd_configs"), _ZOOKEEPER, _zookeeper, pointer=True))),
    "nomad_sd_configs": Field(_discovery("nomad_sd_configs", {
        "allow_stale": Field(BOOL, True), "namespace": Field(TEXT, "default"), "region": Field(TEXT, "global"),
        "server": Field(TEXT, "http://localhost:4646"), "tag_separator": Field(TEXT, ","),
    }, needs("server"))),
    "oci_sd_configs": Field(_discovery("oci_sd_configs", {
        **text(*_OCI_KEYS, "key_passphrase key_passphrase_file region"), "auth": Field(TEXT, "api_key"),
        "compartments": Field(TEXTS), **_PORT,
    }, _oci), since=(3, 14)),
    "openstack_sd_configs": Field(_discovery("openstack_sd_configs", {
        **text("identity_endpoint username userid password project_name project_id domain_name domain_id region",
               "application_credential_name application_credential_id application_credential_secret"),
        "role": Field(one_of("hypervisor", "instance", "loadbalancer", what=msg("role of OpenStack"))), **_PORT,
        "all_tenants": Field(BOOL), "tls_config": Field(TLS), "availability": Field(TEXT, "public"),
    }, choice("availability", "public", "internal", "admin"), needs("role", "region"), http=False)),
    "outscale_sd_configs": Field(_discovery("outscale_sd_configs", {
        **text("endpoint region access_key secret_key secret_key_file"), **_PORT,
    }, needs("region", "access_key"), _secret_key), since=(3, 12)),
    "ovhcloud_sd_configs": Field(_discovery("ovhcloud_sd_configs", {
        "endpoint": Field(TEXT, "ovh-eu"), **text("application_key application_secret consumer_key service"),
    }, _ovh, http=False)),
    "puppetdb_sd_configs": Field(_discovery("puppetdb_sd_configs", {
        **text("url query"), "include_parameters": Field(BOOL), **_PORT,
    }, needs("url", "query"), is_url("url", "http", "https", host=True))),
    "scaleway_sd_configs": Field(_discovery("scaleway_sd_configs", {
        **text("project_id access_key secret_key secret_key_file name_filter"), "tags_filter": Field(TEXTS), **_PORT,
        "api_url": Field(TEXT, "https://api.scaleway.com"), "zone": Field(TEXT, "fr-par-1"),
        "role": Field(one_of("instance", "baremetal", what=msg("role of Scaleway"))),
    }, _scaleway)),
    "serverset_sd_configs": Field(List(Object(msg("serverset_sd_configs"), _ZOOKEEPER, _zookeeper, pointer=True))),
    "stackit_sd_configs": Field(_discovery("stackit_sd_configs", {
        **text("project endpoint service_account_key private_key service_account_key_path private_key_path",
               "credentials_file_path"), **_PORT, "region": Field(TEXT, "eu01"),
    }, any_of("endpoint", "region"), is_url("endpoint", host=False)), since=(3, 5)),
    "triton_sd_configs": Field(_discovery("triton_sd_configs", {
        **text("account dns_suffix endpoint"), "role": Field(TEXT, "container"), "groups": Field(TEXTS),
        "port": Field(INT, 9163), "tls_config": Field(TLS), "version": Field(INT, 1),
    }, _triton, http=False)),
    "uyuni_sd_configs": Field(_discovery("uyuni_sd_configs", {
        **text("server username password"), "entitlement": Field(TEXT, "monitoring_entitled"),
        "separator": Field(TEXT, ","),
    }, needs("server", "username", "password"), is_url("server", host=False))),
    "vultr_sd_configs": Field(_discovery("vultr_sd_configs", {**_PORT})),
}  # fmt: skip
DISCOVERY["static_configs"] = Field(TARGET_GROUPS)


def _has_targets(values: Values, decoder: Decoder) -> None:
    """Require that no discovery is empty, and no static target a URL unless relabelling can change it."""
    no_gaps(*DISCOVERY)(values, decoder)
    for key in DISCOVERY:
        for entry in values[key] or ():
            if entry is not None and isinstance(entry.node, Scalar) and key != "static_configs":
                decoder.problem(entry.node, msg("{key} has an empty entry", key=key))
    if values["relabel_configs"]:
        return
    for group in values["static_configs"] or ():
        for at, address in enumerate((group["targets"] or ()) if group else ()):
            if "/" in address:
                decoder.problem(group["targets"].nodes[at], msg(
                    "{address} is not a valid target; expected host:port without a scheme or a path",
                    address=address))  # fmt: skip


# Scraping

PROTOCOLS = ("PrometheusProto", "PrometheusText0.0.4", "PrometheusText1.0.0", "OpenMetricsText0.0.1",
             "OpenMetricsText1.0.0")  # fmt: skip
_PROTOCOLS_2 = tuple(name for name in PROTOCOLS if name != "PrometheusText1.0.0")


def job_protocols(values: Values, decoder: Decoder) -> None:
    """Require scrape protocols that the release has, and each only once."""
    protocols = PROTOCOLS if decoder.release.version >= (3, 0) else _PROTOCOLS_2
    names = values["scrape_protocols"]
    if names is not None and not names:
        decoder.problem(values.at("scrape_protocols"), msg("scrape_protocols is empty"))
    for at, name in enumerate(names or ()):
        if name not in protocols:
            decoder.problem(names.nodes[at], msg("{name} is not a scrape protocol; expected one of {choices}",
                                                 name=name or '""', choices=", ".join(protocols)))  # fmt: skip
        elif name in names[:at]:
            decoder.problem(names.nodes[at], msg("The scrape protocol {name} is listed twice", name=name))
    fallback = values["fallback_scrape_protocol"]
    if fallback and fallback not in protocols:
        place = values.at("fallback_scrape_protocol")
        decoder.problem(place, msg("{name} is not a scrape protocol; expected one of {choices}", name=fallback,
                                choices=", ".join(protocols)))  # fmt: skip


_LIMITS = ("sample_limit", "target_limit", "label_limit", "label_name_length_limit", "label_value_length_limit")


def _shared(limits_since: tuple[int, int], flags: Any, flags_since: dict[str, tuple[int, int]]) -> Fields:
    """Return the keys that `global` and a job have in common."""
    return {
        "scrape_interval": Field(DURATION),
        "scrape_timeout": Field(DURATION),
        "scrape_protocols": Field(TEXTS, since=(2, 49)),
        "body_size_limit": Field(SIZE, since=limits_since),
        **{key: Field(UINT, since=limits_since) for key in _LIMITS},
        "keep_dropped_targets": Field(UINT, since=(2, 47)),
        "metric_name_validation_scheme": Field(TEXT, since=(2, 55)),
        "metric_name_escaping_scheme": Field(TEXT, since=(3, 4)),
        "scrape_failure_log_file": Field(TEXT, since=(2, 55)),
        "scrape_native_histograms": Field(POINTER_BOOL, since=(3, 8)),
        "extra_scrape_metrics": Field(POINTER_BOOL, since=(3, 10)),
        **{key: Field(flags, since=since) for key, since in flags_since.items()},
    }


def _timeout(values: Values, decoder: Decoder) -> None:
    if values["scrape_timeout"] > (values["scrape_interval"] or 60.0):
        decoder.problem(values.at("scrape_timeout"), msg("scrape_timeout is longer than the scrape interval"))


def _validation_scheme(values: Values, decoder: Decoder) -> None:
    """Validate `global` itself, which Prometheus does since 3.6 even without jobs."""
    if decoder.release.version >= (3, 6):
        choice("metric_name_validation_scheme", "", "utf8", "legacy")(values, decoder)


def _external_labels(values: Values, decoder: Decoder) -> None:
    labels = values["external_labels"]
    for name in labels or ():
        if not is_label(name, decoder.release):
            decoder.problem(labels.at(name), msg("{name} is not a name for a label", name=name or '""'))


GLOBAL = Object(
    msg("global"),
    {
        **_shared((2, 45), BOOL, {"always_scrape_classic_histograms": (3, 5),
                                  "convert_classic_histograms_to_nhcb": (3, 4)}),
        "evaluation_interval": Field(DURATION),
        "rule_query_offset": Field(DURATION, since=(2, 53)),
        "query_log_file": Field(TEXT),
        "external_labels": Field(TEXT_TABLE),
    },
    _validation_scheme,
    _external_labels,
    _timeout,
    job_protocols,
)  # fmt: skip
JOB = Object(
    msg("a scrape configuration"),
    {
        **_shared((0, 0), POINTER_BOOL, {"always_scrape_classic_histograms": (3, 0),
                                         "convert_classic_histograms_to_nhcb": (3, 0)}),
        **text("job_name"),
        "honor_labels": Field(BOOL),
        "honor_timestamps": Field(BOOL, True),
        "track_timestamps_staleness": Field(BOOL, since=(2, 48)),
        "params": Field(Table(TEXTS)),
        "fallback_scrape_protocol": Field(TEXT, since=(3, 0)),
        "scrape_classic_histograms": Field(BOOL, since=(2, 45), until=(3, 0)),
        "metrics_path": Field(TEXT, "/metrics"),
        "scheme": Field(TEXT, "http"),
        "enable_compression": Field(BOOL, True, since=(2, 49)),
        "native_histogram_bucket_limit": Field(UINT, since=(2, 45)),
        "native_histogram_min_bucket_factor": Field(FLOAT, since=(2, 50)),
        **HTTP,
        **DISCOVERY,
        "relabel_configs": Field(_RELABELS),
        "metric_relabel_configs": Field(_RELABELS),
    },
    _validation_scheme,
    needs("job_name"),
    http_client,
    _has_targets,
    no_gaps("relabel_configs", "metric_relabel_configs"),
    pointer=True,
)  # fmt: skip

# Alerting, remote storage, and the rest


def _key_pair(values: Values, decoder: Decoder) -> None:
    if bool(values["access_key"]) != bool(values["secret_key"]):
        decoder.problem(values.node, msg("access_key and secret_key come together"))


_SIGV4 = Object(
    msg("sigv4"), {**text("region access_key secret_key profile role_arn"), "external_id": Field(TEXT, since=(3, 12)),
                   "use_fips_sts_endpoint": Field(BOOL, since=(3, 7))}, _key_pair, pointer=True
)  # fmt: skip


def _ways(*names: str) -> Any:
    def rule(values: Values, decoder: Decoder) -> None:
        given = [key for key in names if values[key] is not None]
        # A bearer token becomes an `authorization` when it is loaded
        given += [key for key in ("bearer_token", "bearer_token_file") if values[key]]
        if len(given) > 1:
            decoder.problem(values.at(given[1]), msg("At most one of {keys} can be set", keys=", ".join(names)))

    return rule


def _api_version(values: Values, decoder: Decoder) -> None:
    if values["api_version"] == "v1" and decoder.release.version >= (3, 0):
        decoder.problem(values.at("api_version"), msg("Prometheus 3 supports only version v2 of Alertmanager's API"))


ALERTMANAGER = Object(
    msg("an Alertmanager"),
    {
        **HTTP,
        **DISCOVERY,
        "scheme": Field(TEXT, "http"),
        "path_prefix": Field(TEXT),
        "timeout": Field(DURATION, 10.0),
        "api_version": Field(one_of("v2", "v1", what=msg("version of Alertmanager's API")), "v2"),
        "sigv4": Field(_SIGV4, since=(2, 48)),
        "relabel_configs": Field(_RELABELS),
        "alert_relabel_configs": Field(_RELABELS, since=(2, 51)),
    },
    _api_version,
    http_client,
    _ways("basic_auth", "authorization", "oauth2", "sigv4"),
    _has_targets,
    no_gaps("relabel_configs", "alert_relabel_configs"),
    pointer=True,
)


ALERTING = Object(
    msg("alerting"),
    {"alert_relabel_configs": Field(_RELABELS), "alertmanagers": Field(List(ALERTMANAGER))},
    no_gaps("alert_relabel_configs"),
)


def _headers(values: Values, decoder: Decoder) -> None:
    for name in values["headers"] or ():
        if name.lower() in _RESERVED:
            decoder.problem(values["headers"].at(name), msg("The header {name} cannot be set", name=name))


def _url_given(values: Values, decoder: Decoder) -> None:
    if values["url"] is None:
        decoder.problem(values.at("url"), msg("'{key}' is missing or empty", key="url"))


def _queue(values: Values, decoder: Decoder) -> None:
    if decoder.release.version < (3, 13):
        return
    for key in ("max_shards", "min_shards", "max_samples_per_send", "capacity"):
        if values[key] <= 0:
            decoder.problem(values.at(key), msg("{key} must be greater than 0", key=key))
    for small, large in (("min_shards", "max_shards"), ("min_backoff", "max_backoff")):
        if values[small] > values[large]:
            decoder.problem(values.at(small), msg("{small} is greater than {large}", small=small, large=large))


_QUEUE = Object(
    msg("queue_config"),
    {
        "capacity": Field(INT, 10000), "max_shards": Field(INT, 50), "min_shards": Field(INT, 1),
        "max_samples_per_send": Field(INT, 2000), "batch_send_deadline": Field(DURATION, 5.0),
        "min_backoff": Field(DURATION, 0.03), "max_backoff": Field(DURATION, 5.0), "retry_on_http_429": Field(BOOL),
        "sample_age_limit": Field(DURATION, since=(2, 50)),
    },
    _queue,
)  # fmt: skip


def _azure_client(values: Values, decoder: Decoder) -> None:
    choice("cloud", "", "AzureChina", "AzureGovernment", "AzurePublic")(values, decoder)
    ways = [key for key in ("managed_identity", "workload_identity", "oauth", "sdk", "certificate")
            if values[key] is not None]  # fmt: skip
    if len(ways) != 1:
        keys = "managed_identity, workload_identity, oauth, sdk, certificate"
        decoder.problem(values.node, msg("azuread needs exactly one of {keys}", keys=keys))
        return
    way = values[ways[0]]
    required = {"oauth": ("client_id", "client_secret", "tenant_id"), "workload_identity": ("client_id", "tenant_id"),
                "certificate": ("client_id", "tenant_id", "certificate_path")}  # fmt: skip
    needs(*required.get(ways[0], ()))(way, decoder)
    for key in ("client_id", "tenant_id") if ways[0] == "workload_identity" else ("client_id",):
        if way[key] and not _is_uuid(way[key]):
            decoder.problem(way.at(key), msg("{key}: {text} is not a UUID", key=key, text=way[key]))


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def _keys(name: str, *keys: str) -> Object:
    return Object(msg("{name}", name=name), text(*keys), pointer=True)


_AZURE_AD = Object(
    msg("azuread"),
    {
        "cloud": Field(TEXT), "managed_identity": Field(_keys("managed_identity", "client_id")),
        "oauth": Field(_keys("oauth", "client_id client_secret tenant_id"), since=(2, 48)),
        "sdk": Field(_keys("sdk", "tenant_id"), since=(2, 52)),
        "workload_identity": Field(_keys("workload_identity", "client_id tenant_id token_file_path"), since=(3, 7)),
        "certificate": Field(Object(msg("certificate"), {
            **text("certificate_key_path certificate_password certificate_path client_id tenant_id"),
            "send_certificate_chain": Field(BOOL)}, pointer=True), since=(3, 13)),
        "scope": Field(TEXT, since=(3, 9)),
    },
    _azure_client,
    pointer=True,
)  # fmt: skip
REMOTE_WRITE_2 = "io.prometheus.write.v2.Request"
_MESSAGES = ("prometheus.WriteRequest", REMOTE_WRITE_2)
REMOTE_WRITE = Object(
    msg("remote_write"),
    {
        "url": Field(URL),
        "remote_timeout": Field(DURATION, 30.0),
        "headers": Field(TEXT_TABLE),
        "write_relabel_configs": Field(_RELABELS),
        **text("name"),
        "send_exemplars": Field(BOOL),
        "send_native_histograms": Field(BOOL),
        "round_robin_dns": Field(BOOL, since=(3, 1)),
        "protobuf_message": Field(TEXT, _MESSAGES[0], since=(2, 54)),
        **HTTP,
        "queue_config": Field(_QUEUE),
        "metadata_config": Field(
            Object(msg("metadata_config"), {"send": Field(BOOL, True), "send_interval": Field(DURATION, 60.0),
                                            "max_samples_per_send": Field(INT, 2000)})
        ),
        "sigv4": Field(_SIGV4),
        "azuread": Field(_AZURE_AD, since=(2, 45)),
        "google_iam": Field(_keys("google_iam", "credentials_file"), since=(2, 55)),
    },
    _url_given,
    no_gaps("write_relabel_configs"),
    _headers,
    choice("protobuf_message", *_MESSAGES),
    http_client,
    _ways("basic_auth", "authorization", "oauth2", "sigv4", "azuread", "google_iam"),
    pointer=True,
)  # fmt: skip
REMOTE_READ = Object(
    msg("remote_read"),
    {
        "url": Field(URL),
        "remote_timeout": Field(DURATION, 60.0),
        "chunked_read_limit": Field(UINT, since=(2, 55)),
        "headers": Field(TEXT_TABLE),
        "read_recent": Field(BOOL),
        **text("name"),
        **HTTP,
        "required_matchers": Field(LABELS),
        "filter_external_labels": Field(BOOL, True),
    },
    _url_given,
    _headers,
    http_client,
    pointer=True,
)


def _retention(values: Values, decoder: Decoder) -> None:
    if not 0 <= values["percentage"] <= 100:
        decoder.problem(values.at("percentage"), msg("percentage must be between 0 and 100"))
    if values["size"] < 0 and decoder.release.version >= (3, 11):
        decoder.problem(values.at("size"), msg("size must not be negative"))


def _chunk_encoding(values: Values, decoder: Decoder) -> None:
    encoding = values["chunk_encoding"]
    if encoding is not None:
        choice("floats", "", "xor", "xor2")(encoding, decoder)


_TSDB = Object(
    msg("tsdb"),
    {
        "out_of_order_time_window": Field(DURATION),
        "retention": Field(
            Object(msg("retention"), {"time": Field(DURATION), "size": Field(SIZE),
                                      "percentage": Field(FLOAT, since=(3, 11))}, _retention, pointer=True),
            since=(3, 8),
        ),
        "stale_series_compaction_threshold": Field(FLOAT, since=(3, 10)),
        "chunk_encoding": Field(
            Object(msg("chunk_encoding"), {"floats": Field(TEXT)}), since=(3, 13)),
    },
    _chunk_encoding,
    pointer=True,
)  # fmt: skip


STORAGE = Object(
    msg("storage"),
    {
        "tsdb": Field(_TSDB),
        "exemplars": Field(Object(msg("exemplars"), {"max_exemplars": Field(INT)}, pointer=True)),
    },
)
TRACING = Object(
    msg("tracing"),
    {
        "client_type": Field(one_of("http", "grpc", what=msg("tracing client")), "grpc"),
        **text("endpoint"),
        "sampling_fraction": Field(FLOAT),
        "insecure": Field(BOOL),
        "tls_config": Field(TLS),
        "headers": Field(TEXT_TABLE),
        **text("compression"),
        "timeout": Field(DURATION),
    },
    _headers,
    needs("endpoint"),
    choice("compression", "", "gzip"),
)


def _attributes(values: Values, decoder: Decoder) -> None:
    key = "promote_resource_attributes"
    if values["promote_all_resource_attributes"]:
        if values[key]:
            decoder.problem(values.at(key), msg("At most one of {keys} can be set",
                                                keys=f"promote_all_resource_attributes, {key}"))  # fmt: skip
        key = "ignore_resource_attributes"
    elif values["ignore_resource_attributes"]:
        decoder.problem(values.at("ignore_resource_attributes"),
                        msg("ignore_resource_attributes needs promote_all_resource_attributes"))  # fmt: skip
    names = [name.strip() for name in values[key] or ()]
    for at, name in enumerate(names):
        if not name:
            decoder.problem(values[key].nodes[at], msg("{key} has an empty entry", key=key))
        elif name in names[:at]:
            decoder.problem(values[key].nodes[at], msg("{name} is listed twice", name=name))


OTLP = Object(
    msg("otlp"),
    {
        "promote_resource_attributes": Field(TEXTS),
        "translation_strategy": Field(TEXT, "UnderscoreEscapingWithSuffixes", since=(3, 0)),
        "keep_identifying_resource_attributes": Field(BOOL, since=(3, 1)),
        "convert_histograms_to_nhcb": Field(BOOL, since=(3, 4)),
        "promote_all_resource_attributes": Field(BOOL, since=(3, 5)),
        "ignore_resource_attributes": Field(TEXTS, since=(3, 5)),
        "promote_scope_metadata": Field(BOOL, since=(3, 6)),
        "label_name_underscore_sanitization": Field(BOOL, True, since=(3, 8)),
        "label_name_preserve_multiple_underscores": Field(BOOL, True, since=(3, 8)),
    },
    _attributes,
)
JOBS = List(JOB)
JOB_FILE = Object(msg("a file of scrape configurations"), {"scrape_configs": Field(JOBS)})
FILE = Object(
    msg("a prometheus.yml"),
    {
        "global": Field(GLOBAL),
        "runtime": Field(Object(msg("runtime"), {"gogc": Field(INT)}), since=(2, 53)),
        "alerting": Field(ALERTING),
        "rule_files": Field(TEXTS),
        "scrape_config_files": Field(TEXTS, since=(2, 43)),
        "scrape_configs": Field(JOBS),
        "storage": Field(STORAGE),
        "tracing": Field(TRACING),
        "remote_write": Field(List(REMOTE_WRITE)),
        "remote_read": Field(List(REMOTE_READ)),
        "otlp": Field(OTLP, since=(2, 55)),
    },
)
