"""The keys that a prometheus.yml may have: one that Prometheus does not know keeps it from loading the whole file.

From `config/config.go` of Prometheus 2.42 to 3.14, `model/relabel`, `config/http_config.go` of prometheus/common, and
https://prometheus.io/docs/prometheus/latest/configuration/configuration/. A key that only some of these versions know
is taken: which of them will read the file is not known here.
"""

from __future__ import annotations

from collections.abc import Mapping

Keys = Mapping[str, "Keys | None"]
"""The keys of a mapping, or of each mapping of a list; with those below them, or None where nobody looks further."""


def _leaves(*words: str) -> dict[str, Keys | None]:
    return dict.fromkeys(name for word in words for name in word.split())


_TLS = _leaves("ca cert key ca_file cert_file key_file ca_ref cert_ref key_ref server_name insecure_skip_verify",
               "min_version max_version")  # fmt: skip
_PROXY = _leaves("proxy_url no_proxy proxy_from_environment proxy_connect_header")
_HTTP: Keys = {
    **_leaves("bearer_token bearer_token_file oauth2 follow_redirects enable_http2 http_headers"),
    **_PROXY,
    "tls_config": _TLS,
    "basic_auth": _leaves("username username_file username_ref password password_file password_ref"),
    "authorization": _leaves("type credentials credentials_file credentials_ref"),
}
_RELABEL = _leaves("source_labels separator regex modulus target_label replacement action")
_STATIC = _leaves("targets labels")
DISCOVERY = tuple(
    _leaves(
        "aws azure consul digitalocean dns docker dockerswarm ec2 eureka file gce hetzner http ionos kubernetes kuma",
        "lightsail linode marathon nerve nomad oci openstack outscale ovhcloud puppetdb scaleway serverset stackit",
        "triton uyuni vultr",
    )
)
"""The ways of discovery that are known. A build of one's own may have others: only one that is misspelt is wrong."""
_DISCOVERY = dict.fromkeys(f"{name}_sd_configs" for name in DISCOVERY)
_SHARED = _leaves(
    "scrape_interval scrape_timeout scrape_protocols body_size_limit sample_limit target_limit label_limit",
    "label_name_length_limit label_value_length_limit keep_dropped_targets metric_name_validation_scheme",
    "metric_name_escaping_scheme scrape_native_histograms convert_classic_histograms_to_nhcb",
    "always_scrape_classic_histograms extra_scrape_metrics scrape_failure_log_file",
)
_SCRAPE: Keys = {
    **_SHARED,
    **_leaves("job_name honor_labels honor_timestamps track_timestamps_staleness params fallback_scrape_protocol"),
    **_leaves("scrape_classic_histograms metrics_path scheme enable_compression native_histogram_bucket_limit"),
    **_leaves("native_histogram_min_bucket_factor"),
    **_HTTP,
    **_DISCOVERY,
    "static_configs": _STATIC,
    "relabel_configs": _RELABEL,
    "metric_relabel_configs": _RELABEL,
}
_ALERTMANAGER: Keys = {
    **_leaves("scheme path_prefix timeout api_version sigv4"),
    **_HTTP,
    **_DISCOVERY,
    "static_configs": _STATIC,
    "relabel_configs": _RELABEL,
    "alert_relabel_configs": _RELABEL,
}
_REMOTE_WRITE: Keys = {
    **_leaves("url remote_timeout headers name send_exemplars send_native_histograms round_robin_dns protobuf_message"),
    **_leaves("sigv4 azuread google_iam"),
    **_HTTP,
    "write_relabel_configs": _RELABEL,
    "queue_config": _leaves("capacity max_shards min_shards max_samples_per_send batch_send_deadline min_backoff",
                            "max_backoff retry_on_http_429 sample_age_limit"),
    "metadata_config": _leaves("send send_interval max_samples_per_send"),
}  # fmt: skip
_REMOTE_READ: Keys = {
    **_leaves(
        "url remote_timeout chunked_read_limit headers read_recent name required_matchers filter_external_labels"
    ),
    **_HTTP,
}

TOP: Keys = {
    **_leaves("rule_files scrape_config_files"),
    "runtime": _leaves("gogc"),
    "storage": {
        "tsdb": {**_leaves("out_of_order_time_window"), "retention": _leaves("time size")},
        "exemplars": _leaves("max_exemplars"),
    },
    "otlp": _leaves(
        "promote_all_resource_attributes promote_resource_attributes ignore_resource_attributes translation_strategy",
        "keep_identifying_resource_attributes convert_histograms_to_nhcb promote_scope_metadata",
        "label_name_underscore_sanitization label_name_preserve_multiple_underscores",
    ),
    "global": {**_SHARED, **_leaves("evaluation_interval rule_query_offset query_log_file external_labels")},
    "scrape_configs": _SCRAPE,
    "alerting": {"alert_relabel_configs": _RELABEL, "alertmanagers": _ALERTMANAGER},
    "remote_write": _REMOTE_WRITE,
    "remote_read": _REMOTE_READ,
    "tracing": {
        **_leaves("client_type endpoint sampling_fraction insecure headers compression timeout"),
        "tls_config": _TLS,
    },
}
"""The keys of the file itself."""
