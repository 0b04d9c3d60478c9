"""Define the schema of an alertmanager.yml: its keys, their types, and the rules between them.

From `config/`, `notify/` and `timeinterval/` of Alertmanager 0.33.
https://prometheus.io/docs/alertmanager/latest/configuration/
"""

from __future__ import annotations

from typing import Any

from gate.alertmanager.schema_values import (
    ANY_TABLE,
    GO_DURATION,
    HTTP_CONFIG,
    HTTP_URL,
    INTERVAL,
    MATCHERS,
    POINTER_DURATION,
    POINTER_TEXT,
    REGEX,
    SECRET,
    SECRET_URL,
    TEMPLATE_URL,
    TIMEOUT,
    AnyValue,
    HostPort,
    TextOrObject,
    canonical_header,
    is_template,
    plain_names,
)
from gate.core.messages import msg
from gate.prometheus.config_schema import TLS
from gate.prometheus.config_values import (
    BOOL,
    DURATION,
    FLOAT,
    INT,
    POINTER_BOOL,
    TEXT,
    TEXT_TABLE,
    TEXTS,
    UINT,
    any_of,
    at_most_one,
    choice,
    is_label,
    needs,
    no_gaps,
    one_of,
    text,
)
from gate.prometheus.goyaml import Decoder, Field, InvalidValueError, List, Object, Rule, Table, Values

Fields = dict[str, Field]


def given_together(*keys: str) -> Rule:
    """Return the rule that at most one of some keys is given, even if its value is empty."""

    def rule(values: Values, decoder: Decoder) -> None:
        given = [key for key in keys if values[key] is not None and values[key] != ""]
        given += [key for key in keys if values[key] == "" and key in values and values.defaults[key] is None]
        if len(given) > 1:
            decoder.problem(values.at(given[1]), msg("At most one of {keys} can be set", keys=", ".join(keys)))

    return rule


def exactly_one(*keys: str) -> tuple[Rule, Rule]:
    """Return the rules that exactly one of some keys has a value."""
    return any_of(*keys), at_most_one(*keys)


def has_authorization(http: Values | None) -> bool:
    """Return whether an `http_config` has an `authorization`, which a bearer token becomes when it is loaded."""
    return http is not None and (
        http["authorization"] is not None or bool(http["bearer_token"] or http["bearer_token_file"])
    )


def _integration(name: str, fields: Fields, *rules: Rule, resolved: bool, http: bool = True) -> List:
    """Return the list of integrations of one kind. `resolved`: whether it sends resolved notifications by default."""
    own: Fields = {"send_resolved": Field(BOOL, resolved), **({"http_config": Field(HTTP_CONFIG)} if http else {})}
    return List(Object(msg("{name}", name=f"{name}_configs"), {**own, **fields}, *rules, pointer=True))


# Email


def _email_headers(values: Values, decoder: Decoder) -> None:
    names: set[str] = set()
    for header in values["headers"] or ():
        name = canonical_header(header)
        if name in names:
            decoder.problem(values["headers"].at(header), msg("The header {name} is listed twice", name=name))
        names.add(name)
    threading = values["threading"]
    if "threading" not in values or threading is None or not threading["enabled"]:
        return
    for name in names & {"References", "In-Reply-To"}:
        decoder.problem(values.at("headers"), msg("threading excludes the header {name}", name=name))
    choice("thread_by_date", "none", "daily")(threading, decoder)


EMAIL = _integration(
    "email",
    {
        **text("to from hello auth_username auth_password auth_password_file auth_secret auth_secret_file"),
        **text("auth_identity html text"),
        "smarthost": Field(HostPort()),
        "headers": Field(TEXT_TABLE),
        "require_tls": Field(POINTER_BOOL),
        "force_implicit_tls": Field(POINTER_BOOL),
        "tls_config": Field(TLS),
        "threading": Field(Object(msg("threading"), {"enabled": Field(BOOL), "thread_by_date": Field(TEXT)})),
    },
    needs("to"),
    _email_headers,
    resolved=False,
    http=False,
)

# Chat


def _slack_action(values: Values, decoder: Decoder) -> None:
    needs("type", "text")(values, decoder)
    any_of("url", "name")(values, decoder)


def _slack_message(values: Values, decoder: Decoder) -> None:
    given_together("api_url", "api_url_file")(values, decoder)
    at_most_one("app_token", "app_token_file")(values, decoder)
    url = values["api_url"] is not None or values["api_url_file"]
    if url and (values["app_token"] or values["app_token_file"]):
        decoder.problem(values.at("app_token", "app_token_file"),
                        msg("At most one of {keys} can be set", keys="api_url, app_token"))  # fmt: skip
    if values["update_message"] and values["api_url"] != _SLACK_APP:
        decoder.problem(values.at("update_message"), msg("update_message needs api_url: {url}", url=_SLACK_APP))


_SLACK_APP = "https://slack.com/api/chat.postMessage"
_CONFIRM = Object(msg("confirm"), text("text title ok_text dismiss_text"), needs("text"), pointer=True)
_FIELD = Object(
    msg("a field"), {**text("title value"), "short": Field(POINTER_BOOL)}, needs("title", "value"), pointer=True
)
_ACTION = Object(
    msg("an action"),
    {**text("type text url style name value"), "confirm": Field(_CONFIRM)},
    _slack_action,
    pointer=True,
)
SLACK = _integration(
    "slack",
    {
        "api_url": Field(SECRET_URL),
        **text("api_url_file app_token app_token_file channel username color title title_link pretext text"),
        **text("message_text footer fallback callback_id icon_emoji icon_url image_url thumb_url"),
        "app_url": Field(HTTP_URL),
        "fields": Field(List(_FIELD)),
        "actions": Field(List(_ACTION)),
        "mrkdwn_in": Field(TEXTS),
        **{key: Field(BOOL) for key in ("short_fields", "link_names", "update_message")},
        "timeout": Field(TIMEOUT),
    },
    _slack_message,
    resolved=False,
)
_WEBHOOK_URL: Fields = {"webhook_url": Field(SECRET_URL), "webhook_url_file": Field(TEXT)}


def _webhook_url(values: Values, decoder: Decoder) -> None:
    given_together("webhook_url", "webhook_url_file")(values, decoder)
    if values["webhook_url"] is None and not values["webhook_url_file"]:
        decoder.problem(values.node, msg("One of {keys} must be set", keys="webhook_url, webhook_url_file"))


DISCORD = _integration(
    "discord", {**_WEBHOOK_URL, **text("content title message username avatar_url")}, _webhook_url, resolved=True
)
MSTEAMS = _integration("msteams", {**_WEBHOOK_URL, **text("title summary text")}, _webhook_url, resolved=True)
MSTEAMS_V2 = _integration("msteamsv2", {**_WEBHOOK_URL, **text("title text")}, _webhook_url, resolved=True)
_ATTACHMENT = text(
    "fallback color pretext text author_name author_link author_icon title title_link thumb_url footer footer_icon",
    "image_url",
)
MATTERMOST = _integration(
    "mattermost",
    {
        **_WEBHOOK_URL,
        **_ATTACHMENT,
        **text("channel username icon_url icon_emoji type"),
        "fields": Field(List(_FIELD)),
        "attachments": Field(
            List(Object(msg("an attachment"), {**_ATTACHMENT, "fields": Field(List(_FIELD))}, pointer=True))
        ),
        "props": Field(Object(msg("props"), text("card"), pointer=True)),
        "priority": Field(
            Object(
                msg("priority"),
                {
                    "priority": Field(TEXT),
                    **{key: Field(BOOL) for key in ("requested_ack", "persistent_notifications")},
                },
                pointer=True,
            )
        ),
    },
    given_together("webhook_url", "webhook_url_file"),
    resolved=True,
)
# The keys are the lower-case names of the fields in Go: these types have no names for YAML.
_ROCKETCHAT_FIELD = Object(msg("a field"), {**text("title value"), "short": Field(POINTER_BOOL)}, pointer=True)
_ROCKETCHAT_ACTION = Object(
    msg("an action"),
    {
        **text("type text url imageurl webviewheightratio msg msgprocessingtype"),
        **{key: Field(BOOL) for key in ("iswebview", "msginchatwindow")},
    },
    pointer=True,
)
ROCKETCHAT = _integration(
    "rocketchat",
    {
        "api_url": Field(HTTP_URL),
        **{key: Field(POINTER_TEXT) for key in ("token", "token_id")},
        **text("token_file token_id_file channel color title title_link text emoji icon_url image_url thumb_url"),
        "fields": Field(List(_ROCKETCHAT_FIELD)),
        "actions": Field(List(_ROCKETCHAT_ACTION)),
        **{key: Field(BOOL) for key in ("short_fields", "link_names")},
    },
    given_together("token", "token_file"),
    given_together("token_id", "token_id_file"),
    resolved=False,
)


def _telegram(values: Values, decoder: Decoder) -> None:
    at_most_one("bot_token", "bot_token_file")(values, decoder)
    any_of("chat_id", "chat_id_file")(values, decoder)
    at_most_one("chat_id", "chat_id_file")(values, decoder)
    choice("parse_mode", "", "Markdown", "MarkdownV2", "HTML")(values, decoder)


TELEGRAM = _integration(
    "telegram",
    {
        "api_url": Field(HTTP_URL),
        **text("bot_token bot_token_file chat_id_file message"),
        "chat_id": Field(INT),
        "message_thread_id": Field(INT),
        "disable_notifications": Field(BOOL),
        "parse_mode": Field(TEXT, "HTML"),
    },
    _telegram,
    resolved=True,
)


def _webex(values: Values, decoder: Decoder) -> None:
    needs("room_id")(values, decoder)
    if not has_authorization(values["http_config"]):
        decoder.problem(values.at("http_config"), msg("webex_configs needs http_config: {{authorization: ...}}"))


WEBEX = _integration("webex", {"api_url": Field(HTTP_URL), **text("message room_id")}, _webex, resolved=True)


def _wechat(values: Values, decoder: Decoder) -> None:
    choice("message_type", "", "text", "markdown")(values, decoder)
    at_most_one("api_secret", "api_secret_file")(values, decoder)


WECHAT = _integration(
    "wechat",
    {
        "api_url": Field(HTTP_URL),
        **text("api_secret api_secret_file corp_id message to_user to_party to_tag agent_id message_type"),
    },
    _wechat,
    resolved=False,
)

# Paging


def _incidentio(values: Values, decoder: Decoder) -> None:
    given_together("url", "url_file")(values, decoder)
    if values["url"] is None and not values["url_file"]:
        decoder.problem(values.node, msg("One of {keys} must be set", keys="url, url_file"))
    at_most_one("alert_source_token", "alert_source_token_file")(values, decoder)
    http, token = values["http_config"], values["alert_source_token"] or values["alert_source_token_file"]
    if has_authorization(http) and token:
        decoder.problem(values.at("alert_source_token", "alert_source_token_file"),
                        msg("At most one of {keys} can be set",
                            keys="alert_source_token, http_config.authorization"))  # fmt: skip
    if http is not None and not has_authorization(http) and not token:
        decoder.problem(values.node, msg("One of {keys} must be set",
                                         keys="alert_source_token, http_config.authorization"))  # fmt: skip


INCIDENTIO = _integration(
    "incidentio",
    {
        "url": Field(HTTP_URL),
        **text("url_file alert_source_token alert_source_token_file"),
        "max_alerts": Field(UINT),
        "timeout": Field(TIMEOUT),
    },
    _incidentio,
    resolved=True,
)


def _opsgenie(values: Values, decoder: Decoder) -> None:
    at_most_one("api_key", "api_key_file")(values, decoder)
    for responder in values["responders"] or ():
        any_of("id", "username", "name")(responder, decoder)
        try:
            if not is_template(responder["type"]):
                choice("type", "team", "teams", "user", "escalation", "schedule", convert=str.lower)(responder, decoder)
        except InvalidValueError as error:
            decoder.problem(responder.at("type"), error.message)


OPSGENIE = _integration(
    "opsgenie",
    {
        "api_url": Field(HTTP_URL),
        **text("api_key api_key_file message description source entity actions tags note priority"),
        "details": Field(TEXT_TABLE),
        "responders": Field(List(Object(msg("a responder"), text("id name username type")))),
        "update_alerts": Field(BOOL),
    },
    _opsgenie,
    resolved=True,
)
_KEYS = ("routing_key", "service_key", "routing_key_file", "service_key_file")
PAGERDUTY = _integration(
    "pagerduty",
    {
        "url": Field(HTTP_URL),
        **text(*_KEYS, "client client_url description source severity class component group"),
        "details": Field(ANY_TABLE),
        "images": Field(List(Object(msg("an image"), text("src alt href")))),
        "links": Field(List(Object(msg("a link"), text("href text")))),
        "timeout": Field(TIMEOUT),
    },
    any_of(*_KEYS),
    at_most_one("routing_key", "routing_key_file"),
    at_most_one("service_key", "service_key_file"),
    resolved=True,
)
PUSHOVER = _integration(
    "pushover",
    {
        **text("user_key user_key_file token token_file title message url url_title device sound priority"),
        **{key: Field(GO_DURATION) for key in ("retry", "expire", "ttl")},
        "html": Field(BOOL),
        "monospace": Field(BOOL),
    },
    *exactly_one("user_key", "user_key_file"),
    *exactly_one("token", "token_file"),
    at_most_one("html", "monospace"),
    resolved=True,
)
_RESERVED = (
    "routing_key", "message_type", "state_message", "entity_display_name", "monitoring_tool", "entity_id",
    "entity_state",
)  # fmt: skip


def _victorops(values: Values, decoder: Decoder) -> None:
    needs("routing_key")(values, decoder)
    at_most_one("api_key", "api_key_file")(values, decoder)
    for name in _RESERVED:
        if name in (values["custom_fields"] or ()):
            decoder.problem(values["custom_fields"].at(name), msg("custom_fields cannot have {name}", name=name))


VICTOROPS = _integration(
    "victorops",
    {
        "api_url": Field(HTTP_URL),
        **text("api_key api_key_file routing_key message_type state_message entity_display_name monitoring_tool"),
        "custom_fields": Field(TEXT_TABLE),
    },
    _victorops,
    resolved=True,
)

# Everything else


def _key_pair(values: Values, decoder: Decoder) -> None:
    if bool(values["access_key"]) != bool(values["secret_key"]):
        decoder.problem(values.node, msg("access_key and secret_key come together"))


def _sns(values: Values, decoder: Decoder) -> None:
    # Alertmanager's own comparison: an odd number of empty addresses is an error, none at all is not.
    if sum(not values[key] for key in ("target_arn", "topic_arn", "phone_number")) % 2:
        decoder.problem(values.node, msg("sns_configs needs one of {keys}", keys="target_arn, topic_arn, phone_number"))


SNS = _integration(
    "sns",
    {
        **text("api_url topic_arn phone_number target_arn subject message"),
        "sigv4": Field(
            Object(
                msg("sigv4"),
                {
                    **text("region access_key secret_key profile role_arn"),
                    "use_fips_sts_endpoint": Field(BOOL),
                },
                _key_pair,
            )
        ),
        "attributes": Field(TEXT_TABLE),
        "use_aws_http_client": Field(BOOL),
    },
    _sns,
    resolved=True,
)
JIRA_FIELD = TextOrObject(Object(msg("a field"), {"template": Field(TEXT), "enable_update": Field(POINTER_BOOL)}))
JIRA = _integration(
    "jira",
    {
        "api_url": Field(HTTP_URL),
        "api_type": Field(TEXT, "auto"),
        **text("project priority issue_type reopen_transition resolve_transition wont_fix_resolution"),
        "summary": Field(JIRA_FIELD),
        "description": Field(JIRA_FIELD),
        "labels": Field(TEXTS),
        "reopen_duration": Field(DURATION),
        "fields": Field(ANY_TABLE),
    },
    needs("project", "issue_type"),
    choice("api_type", "auto", "cloud", "datacenter"),
    resolved=True,
)
WEBHOOK = _integration(
    "webhook",
    {
        "url": Field(TEMPLATE_URL),
        **text("url_file"),
        "max_alerts": Field(UINT),
        "timeout": Field(TIMEOUT),
        "payload": Field(AnyValue()),
    },
    *exactly_one("url", "url_file"),
    resolved=True,
)
# Every way in which a receiver can notify somebody.
INTEGRATIONS: dict[str, List] = {
    "discord_configs": DISCORD,
    "email_configs": EMAIL,
    "incidentio_configs": INCIDENTIO,
    "pagerduty_configs": PAGERDUTY,
    "slack_configs": SLACK,
    "webhook_configs": WEBHOOK,
    "opsgenie_configs": OPSGENIE,
    "wechat_configs": WECHAT,
    "pushover_configs": PUSHOVER,
    "victorops_configs": VICTOROPS,
    "sns_configs": SNS,
    "telegram_configs": TELEGRAM,
    "webex_configs": WEBEX,
    "msteams_configs": MSTEAMS,
    "msteamsv2_configs": MSTEAMS_V2,
    "jira_configs": JIRA,
    "rocketchat_configs": ROCKETCHAT,
    "mattermost_configs": MATTERMOST,
}


def _receiver_name(values: Values, decoder: Decoder) -> None:
    needs("name")(values, decoder)
    label = (values["labels"] or {}).get("name", values["name"])
    if label != values["name"]:
        decoder.problem(values["labels"].at("name"), msg("The label 'name' of a receiver must be its name"))


RECEIVER = Object(
    msg("a receiver"),
    {"name": Field(TEXT), "labels": Field(TEXT_TABLE), **{key: Field(kind) for key, kind in INTEGRATIONS.items()}},
    _receiver_name,
)


def _group_by(values: Values, decoder: Decoder) -> None:
    names = values["group_by"]
    for at, name in enumerate(names or ()):
        if name == "...":
            if len(set(names)) > 1:
                decoder.problem(names.nodes[at], msg("group_by: '...' excludes other labels"))
        elif not is_label(name, decoder.release):
            decoder.problem(names.nodes[at], msg("{name} is not a name for a label", name=name or '""'))
        elif name in names[:at]:
            decoder.problem(names.nodes[at], msg("{name} is listed twice", name=name))


def _not_zero(*keys: str) -> Rule:
    def rule(values: Values, decoder: Decoder) -> None:
        for key in keys:
            if values[key] == 0 and values[key] is not None:
                decoder.problem(values.at(key), msg("{key} must not be 0", key=key))

    return rule


ROUTE = Object(
    msg("a route"),
    {
        **text("receiver"),
        "group_by": Field(TEXTS),
        "match": Field(TEXT_TABLE),
        "match_re": Field(Table(REGEX)),
        "matchers": Field(MATCHERS),
        "mute_time_intervals": Field(TEXTS),
        "active_time_intervals": Field(TEXTS),
        "continue": Field(BOOL),
        **{key: Field(POINTER_DURATION) for key in ("group_wait", "group_interval", "repeat_interval")},
    },
    plain_names("match", "match_re"),
    _group_by,
    _not_zero("group_interval", "repeat_interval"),
    no_gaps("routes"),
    pointer=True,
)
ROUTE.add_field("routes", Field(List(ROUTE)))


def _equal(values: Values, decoder: Decoder) -> None:
    for at, name in enumerate(values["equal"] or ()):
        if not is_label(name, decoder.release):
            decoder.problem(values["equal"].nodes[at], msg("{name} is not a name for a label", name=name or '""'))


INHIBITION = Object(
    msg("an inhibition rule"),
    {
        **text("name"),
        **{
            f"{side}_{key}": Field(kind)
            for side in ("source", "target")
            for key, kind in (("match", TEXT_TABLE), ("match_re", Table(REGEX)), ("matchers", MATCHERS))
        },
        "equal": Field(TEXTS),
    },
    plain_names("source_match", "source_match_re", "target_match", "target_match_re"),
    _equal,
)
NAMED_INTERVAL = Object(
    msg("a named time interval"), {"name": Field(TEXT), "time_intervals": Field(List(INTERVAL))}, needs("name")
)


def _global_secrets(values: Values, decoder: Decoder) -> None:
    for name in ("opsgenie_api_key", "victorops_api_key", "telegram_bot_token", "smtp_auth_password",
                 "smtp_auth_secret", "wechat_api_secret", "slack_app_token"):  # fmt: skip
        at_most_one(name, f"{name}_file")(values, decoder)
    for name in ("slack_api_url", "rocketchat_token", "rocketchat_token_id", "mattermost_webhook_url"):
        given_together(name, f"{name}_file")(values, decoder)
    app = values["slack_app_token"] or values["slack_app_token_file"]
    url = values["slack_api_url"]
    if app and (url or values["slack_api_url_file"]) and (url is None or url != values["slack_app_url"]):
        decoder.problem(values.at("slack_app_token", "slack_app_token_file"),
                        msg("At most one of {keys} can be set", keys="slack_app_token, slack_api_url"))  # fmt: skip


def _url(default: str) -> Field:
    return Field(HTTP_URL, default)


GLOBAL = Object(
    msg("global"),
    {
        "resolve_timeout": Field(DURATION, 300.0),
        "http_config": Field(HTTP_CONFIG),
        "jira_api_url": Field(HTTP_URL),
        **text("smtp_from smtp_auth_username smtp_auth_password smtp_auth_password_file smtp_auth_secret"),
        **text("smtp_auth_secret_file smtp_auth_identity"),
        "smtp_hello": Field(TEXT, "localhost"),
        "smtp_smarthost": Field(HostPort()),
        "smtp_require_tls": Field(BOOL, True),
        "smtp_tls_config": Field(TLS),
        "smtp_force_implicit_tls": Field(POINTER_BOOL),
        "slack_api_url": Field(SECRET_URL),
        **text("slack_api_url_file slack_app_token slack_app_token_file"),
        "slack_app_url": _url(_SLACK_APP),
        "pagerduty_url": _url("https://events.pagerduty.com/v2/enqueue"),
        "opsgenie_api_url": _url("https://api.opsgenie.com/"),
        **text("opsgenie_api_key opsgenie_api_key_file"),
        "wechat_api_url": _url("https://qyapi.weixin.qq.com/cgi-bin/"),
        **text("wechat_api_secret wechat_api_secret_file wechat_api_corp_id"),
        "victorops_api_url": _url("https://alert.victorops.com/integrations/generic/20131114/alert/"),
        **text("victorops_api_key victorops_api_key_file"),
        "telegram_api_url": _url("https://api.telegram.org"),
        **text("telegram_bot_token telegram_bot_token_file"),
        "webex_api_url": _url("https://webexapis.com/v1/messages"),
        "rocketchat_api_url": _url("https://open.rocket.chat/"),
        **{key: Field(POINTER_TEXT) for key in ("rocketchat_token", "rocketchat_token_id")},
        **text("rocketchat_token_file rocketchat_token_id_file"),
        "mattermost_webhook_url": Field(SECRET_URL),
        **text("mattermost_webhook_url_file"),
    },
    _global_secrets,
    pointer=True,
)
_HEADER = Object(msg("a header"), {key: Field(TEXTS) for key in ("values", "secrets", "files")})
TRACING = Object(
    msg("tracing"),
    {
        "client_type": Field(one_of("http", "grpc", what=msg("tracing client")), "grpc"),
        **text("endpoint compression"),
        "sampling_fraction": Field(FLOAT),
        "insecure": Field(BOOL),
        "tls_config": Field(TLS),
        "headers": Field(Table(_HEADER)),
        "timeout": Field(DURATION),
    },
    needs("endpoint"),
    choice("compression", "", "gzip"),
)


def _event_webhook(values: Values, decoder: Decoder) -> None:
    if values["url"] in (None, SECRET):
        decoder.problem(values.at("url"), msg("'{key}' is missing or empty", key="url"))


def _brokers(values: Values, decoder: Decoder) -> None:
    if not values["brokers"] or "" in values["brokers"]:
        decoder.problem(values.at("brokers"), msg("'{key}' is missing or empty", key="brokers"))


EVENTS = Object(
    msg("event_recorder"),
    {
        "file_outputs": Field(List(Object(msg("a file output"), text("path"), needs("path")))),
        "webhook_outputs": Field(
            List(
                Object(
                    msg("a webhook output"),
                    {
                        "url": Field(SECRET_URL),
                        "http_config": Field(HTTP_CONFIG),
                        **{key: Field(DURATION) for key in ("timeout", "retry_backoff")},
                        **{key: Field(INT) for key in ("workers", "max_retries")},
                    },
                    _event_webhook,
                )
            )
        ),
        "kafka_outputs": Field(
            List(
                Object(
                    msg("a Kafka output"),
                    {
                        "brokers": Field(TEXTS),
                        **text("topic client_id format acks compression"),
                        "buffer_size": Field(INT),
                        "tls_config": Field(TLS),
                    },
                    _brokers,
                    choice("acks", "", "none", "leader", "all"),
                    choice("compression", "", "none", "gzip", "snappy", "lz4", "zstd"),
                    needs("topic"),
                    choice("format", "", "json", "protobuf"),
                )
            )
        ),
    },
)
FILE = Object(
    msg("an alertmanager.yml"),
    {
        "global": Field(GLOBAL),
        "route": Field(ROUTE),
        "inhibit_rules": Field(List(INHIBITION)),
        "receivers": Field(List(RECEIVER)),
        "templates": Field(TEXTS),
        "mute_time_intervals": Field(List(NAMED_INTERVAL)),
        "time_intervals": Field(List(NAMED_INTERVAL)),
        "tracing": Field(TRACING),
        "event_recorder": Field(EVENTS),
    },
)


def missing_defaults(key: str, entry: Values | None, top: Values) -> Any:
    """Return why an integration lacks something that `global` (`top`) does not have either; None if it is complete."""
    name = key.removesuffix("_configs")
    if entry is None:
        return msg("{key} has an empty entry", key=key)
    for keys, globals_ in _DEFAULTED.get(name, ()):
        if not any(_is_given(entry, each) for each in keys) and not any(_is_given(top, each) for each in globals_):
            return msg("{key} needs one of {keys}, here or in 'global': {globals}",
                       key=key, keys=", ".join(keys), globals=", ".join(globals_))  # fmt: skip
    return _slack_authorization(entry, top) if name == "slack" else None


def _is_given(values: Values, key: str) -> bool:
    # An empty text counts where Alertmanager's own type has a null.
    return values[key] is not None and (values[key] != "" or (key in values and values.defaults[key] is None))


# What each integration needs, under keys of its own or of `global`.
_DEFAULTED: dict[str, tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]] = {
    "email": ((("smarthost",), ("smtp_smarthost",)), (("from",), ("smtp_from",))),
    "slack": (
        (("app_url",), ("slack_app_url",)),
        (
            ("api_url", "api_url_file", "app_token", "app_token_file"),
            ("slack_api_url", "slack_api_url_file", "slack_app_token", "slack_app_token_file"),
        ),
    ),
    "pagerduty": ((("url",), ("pagerduty_url",)),),
    "opsgenie": (
        (("api_url",), ("opsgenie_api_url",)),
        (("api_key", "api_key_file"), ("opsgenie_api_key", "opsgenie_api_key_file")),
    ),
    "wechat": (
        (("api_url",), ("wechat_api_url",)),
        (("api_secret", "api_secret_file"), ("wechat_api_secret", "wechat_api_secret_file")),
        (("corp_id",), ("wechat_api_corp_id",)),
    ),
    "victorops": (
        (("api_url",), ("victorops_api_url",)),
        (("api_key", "api_key_file"), ("victorops_api_key", "victorops_api_key_file")),
    ),
    "telegram": ((("bot_token", "bot_token_file"), ("telegram_bot_token", "telegram_bot_token_file")),),
    "webex": ((("api_url",), ("webex_api_url",)),),
    "jira": ((("api_url",), ("jira_api_url",)),),
    "rocketchat": (
        (("token_id", "token_id_file"), ("rocketchat_token_id", "rocketchat_token_id_file")),
        (("token", "token_file"), ("rocketchat_token", "rocketchat_token_file")),
    ),
    "mattermost": ((("webhook_url", "webhook_url_file"), ("mattermost_webhook_url", "mattermost_webhook_url_file")),),
}


def _slack_authorization(own: Values, top: Values) -> Any:
    """Return an error if a Slack app token meets an `authorization`, else None."""
    http = own["http_config"]
    token = own["app_token"] or own["app_token_file"]
    if not token and not has_authorization(http) and own["api_url"] is None:
        token = top["slack_app_token"] or top["slack_app_token_file"]
    elif not token and not (own["api_url"] or own["api_url_file"] or top["slack_api_url"] or top["slack_api_url_file"]):
        # A receiver with its own authorization does not take the app token of `global`, only its address.
        return msg("slack_configs needs one of {keys}", keys="api_url, api_url_file, app_token, app_token_file")
    if token and has_authorization(http if http is not None else top["http_config"]):
        return msg("A Slack app token excludes http_config: {{authorization: ...}}")
    return None
