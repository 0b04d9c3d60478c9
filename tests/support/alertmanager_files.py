"""Generate alertmanager.yml files, good and bad, and label sets to route through them. Same seed, same files."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

_URL = "http://127.0.0.1:9/x"
# A complete integration of each kind.
COMPLETE: dict[str, dict[str, Any]] = {
    "discord_configs": {"webhook_url": _URL},
    "email_configs": {"to": "a@b.example", "from": "c@b.example", "smarthost": "127.0.0.1:9"},
    "incidentio_configs": {"url": _URL, "alert_source_token": "t"},
    "pagerduty_configs": {"routing_key": "k", "url": _URL},
    "slack_configs": {"api_url": _URL, "channel": "#ops"},
    "webhook_configs": {"url": _URL},
    "opsgenie_configs": {"api_key": "k", "api_url": _URL},
    "wechat_configs": {"api_secret": "s", "corp_id": "c", "api_url": _URL},
    "pushover_configs": {"user_key": "u", "token": "t"},
    "victorops_configs": {"api_key": "k", "routing_key": "r", "api_url": _URL},
    "sns_configs": {"topic_arn": "arn", "sigv4": {"region": "x"}, "api_url": _URL},
    "telegram_configs": {"bot_token": "t", "chat_id": 1, "api_url": _URL},
    "webex_configs": {"room_id": "r", "api_url": _URL, "http_config": {"authorization": {"credentials": "c"}}},
    "msteams_configs": {"webhook_url": _URL},
    "msteamsv2_configs": {"webhook_url": _URL},
    "jira_configs": {"project": "p", "issue_type": "i", "api_url": _URL},
    "rocketchat_configs": {"token": "t", "token_id": "i", "api_url": _URL},
    "mattermost_configs": {"webhook_url": _URL},
}
# Further keys, of an integration or of what is below one.
_EXTRAS = [
    "send_resolved", "http_config", "api_url", "api_url_file", "app_token", "app_token_file", "app_url", "fields",
    "actions", "timeout", "max_alerts", "url_file", "url", "payload", "details", "images", "links", "responders",
    "labels", "summary", "description", "reopen_duration", "priority", "html", "monospace", "retry", "ttl", "headers",
    "threading", "require_tls", "tls_config", "sigv4", "attributes", "message_type", "custom_fields", "parse_mode",
    "chat_id_file", "bot_token_file", "token_file", "token_id_file", "webhook_url_file", "attachments", "props",
    "api_key_file", "routing_key_file", "service_key", "update_message", "mrkdwn_in", "short_fields", "phone_number",
    "target_arn", "use_aws_http_client", "api_type", "force_implicit_tls", "unknown_key", "user_key_file",
    "alert_source_token_file", "message_thread_id", "text", "title",
]  # fmt: skip
_VALUES: list[Any] = [
    None, "", "x", "yes", True, False, 0, 1, -1, 1.5, "30s", "1.5s", "5", [], {}, ["a"], [None], {"a": "b"}, {"a": 1},
    _URL, "ftp://x/y", "https://", "<secret>", "http://a b/", "{{ .X }}", "{{ bad", "http://x/{{ .Y }}", "text", "HTML",
    "daily", [{"title": "t", "value": "v"}], [{"title": "t"}], [{"type": "team", "id": "1"}], [{"type": "nobody"}],
    [{"type": "button", "text": "t", "url": "u"}], [{"type": "button", "text": "t"}], {"enabled": True},
    {"enabled": True, "thread_by_date": "none"}, {"References": "x", "references": "y"}, {"authorization": {}},
    {"bearer_token": "t"}, {"basic_auth": {"username": "u"}, "bearer_token": "t"}, {"tls_config": {"cert": "c"}},
    {"region": "r", "access_key": "a"}, {"template": "t", "enable_update": False}, {"proxy_url": _URL},
    {"oauth2": {"client_id": "c"}}, {"follow_redirects": "maybe"}, {"card": "c"}, [{"src": "s"}], [{"href": 1}],
    [1, "two"], "+5m", "1h30m", "1d", 10**30, {"entity_id": "x"}, "datacenter", [{"fallback": "f", "fields": [None]}],
]  # fmt: skip
_GLOBALS = [
    "resolve_timeout", "http_config", "jira_api_url", "smtp_from", "smtp_hello", "smtp_smarthost", "smtp_auth_username",
    "smtp_auth_password", "smtp_auth_password_file", "smtp_auth_secret", "smtp_auth_secret_file", "smtp_require_tls",
    "smtp_tls_config", "smtp_force_implicit_tls", "slack_api_url", "slack_api_url_file", "slack_app_token",
    "slack_app_token_file", "slack_app_url", "pagerduty_url", "opsgenie_api_url", "opsgenie_api_key",
    "opsgenie_api_key_file", "wechat_api_url", "wechat_api_secret", "wechat_api_secret_file", "wechat_api_corp_id",
    "victorops_api_url", "victorops_api_key", "victorops_api_key_file", "telegram_api_url", "telegram_bot_token",
    "telegram_bot_token_file", "webex_api_url", "rocketchat_api_url", "rocketchat_token", "rocketchat_token_file",
    "rocketchat_token_id", "rocketchat_token_id_file", "mattermost_webhook_url", "mattermost_webhook_url_file",
    "smtp_auth_identity", "unknown_key",
]  # fmt: skip
_GLOBAL_VALUES: list[Any] = [None, "", "x", True, 1, "5m", _URL, "<secret>", "127.0.0.1:25", "host", "[::1]:25", ":25",
                             "a:b:c", {}, {"authorization": {"credentials": "c"}}, {"bearer_token": "t"}, [],
                             "https://slack.com/api/chat.postMessage"]  # fmt: skip
MATCHERS = [
    "severity=critical", 'severity="critical"', 'severity = "critical"', "{severity=critical}", "severity!=warning",
    'severity=~"crit.*|warn.*"', "severity!~warn.*", "team=db,severity=critical", '{team="db", severity=~"c.+",}',
    "team=", 'team=""', 'team=~".+"', 'note="a\\"b"', "note=a\\nb", "note=a\\b", "note=a\\\\b", '"spaced name"="x"',
    '"sévérité"=haute', "sévérité=haute", "team=d b", 'team="db" ', " team=db", "team=~^db$", "team=db,", "team!=",
    "note='x'", 'note=~"a.b"', "note=`x`", "severity=critical, team=db", "__name__=x", "a:b=c", "foo=~[", "severity",
    "=x", "{a=b", "a=b}", "a==b", "a=b,,c=d", ",a=b", "", "{}", "a=\"b", "a=b\"", "a=\"b\"c", "a~b", "a=~*", "{}{",
    'a="\\x"', "a=b c=d", '"a=b', "a = b , c != d", "a=,b=", "5a=b", '"5a"=b', "note=a=b", "note=~a=b", "a=!b",
]  # fmt: skip
_NAMES = ["severity", "team", "note", "alertname", "sévérité", "spaced name", "a", "c"]
_TEXTS = ["", "critical", "warning", "db", "haute", "x", 'a"b', "a\nb", "a\\b", "b", "DatabaseDown", "a.b", "d b"]
_INTERVALS: list[Any] = [
    {"weekdays": ["monday:friday"]}, {"weekdays": ["Saturday", "sunday"]}, {"weekdays": ["friday:monday"]},
    {"weekdays": ["noday"]}, {"weekdays": [1]}, {"weekdays": "monday"}, {"days_of_month": ["1:5", "-3:-1"]},
    {"days_of_month": ["0"]}, {"days_of_month": ["-1:5"]}, {"days_of_month": ["5:1"]}, {"days_of_month": ["20:-20"]},
    {"days_of_month": ["32"]}, {"days_of_month": [5]}, {"months": ["january:march", "5"]}, {"months": ["june:may"]},
    {"months": ["13"]}, {"months": ["jan"]}, {"years": ["2025:2027"]}, {"years": ["2027:2025"]}, {"years": ["x"]},
    {"years": [2025]}, {"times": [{"start_time": "08:00", "end_time": "17:30"}]}, {"times": []}, {"times": [{}]},
    {"times": [{"start_time": "17:00", "end_time": "08:00"}]}, {"times": [{"start_time": "8:00", "end_time": "9:00"}]},
    {"times": [{"start_time": "00:00", "end_time": "24:00"}]},
    {"times": [{"start_time": "00:00", "end_time": "24:01"}]},
    {"location": "Europe/Paris"}, {"location": "Europe/Nowhere"}, {"location": "UTC"}, {"location": "Local"},
    {"location": ""}, {"location": "../etc"}, {"location": "/UTC"}, {}, {"hours": []}, {"weekdays": ["1:2"]},
    {"years": ["+2025"]}, {"days_of_month": ["1:2:3"]}, {"weekdays": [None]}, {"location": None}, {"weekdays": None},
]  # fmt: skip


def minimal() -> dict[str, Any]:
    """Return a small valid configuration."""
    return {"route": {"receiver": "default"}, "receivers": [{"name": "default"}]}


def files(seed: int, count: int) -> Iterator[str]:
    """Yield configurations as text. About half of them are valid."""
    dice = random.Random(seed)
    makers = (_integration, _integration, _global, _route, _inhibition, _interval, _document)
    for number in range(count):
        made = makers[number % len(makers)](dice)
        yield made if isinstance(made, str) else json.dumps(made, ensure_ascii=False, indent=1)


def _integration(dice: random.Random) -> dict[str, Any]:
    config = minimal()
    kind = dice.choice(list(COMPLETE))
    entry: Any = copy.deepcopy(COMPLETE[kind])
    for _ in range(dice.choice([0, 1, 1, 1, 2, 3])):
        if dice.random() < 0.3 and entry:
            del entry[dice.choice(list(entry))]
        else:
            key = dice.choice([*entry, *_EXTRAS] if dice.random() < 0.7 else _EXTRAS)
            entry[key] = copy.deepcopy(dice.choice(_VALUES))
    config["receivers"][0][kind] = [dice.choice([entry, entry, entry, entry, None])]
    if dice.random() < 0.3:
        config["global"] = {dice.choice(_GLOBALS): copy.deepcopy(dice.choice(_GLOBAL_VALUES))}
    return config


def _global(dice: random.Random) -> dict[str, Any]:
    config = minimal()
    config["global"] = {
        dice.choice(_GLOBALS): copy.deepcopy(dice.choice(_GLOBAL_VALUES)) for _ in range(dice.choice([1, 1, 2, 3]))
    }
    kind = dice.choice(list(COMPLETE))
    entry = copy.deepcopy(COMPLETE[kind])
    for _ in range(dice.choice([0, 1, 2])):
        if entry:
            del entry[dice.choice(list(entry))]
    config["receivers"][0][kind] = [entry]
    return config


def _route(dice: random.Random) -> dict[str, Any]:
    config = routing_tree(dice)
    node = config["route"]
    while node.get("routes") and dice.random() < 0.7:
        node = dice.choice(node["routes"])
    key, value = dice.choice([
        ("matchers", [dice.choice(MATCHERS)]), ("matchers", dice.choice(MATCHERS)),
        ("matchers", [dice.choice(MATCHERS)]), ("match", {dice.choice(_NAMES): "x"}),
        ("match_re", {dice.choice(_NAMES): dice.choice(["x", "[", None, ".*", 5])}),
        ("group_by", ["a", "b"]), ("group_by", ["..."]), ("group_by", ["a", "..."]), ("group_by", ["a", "a"]),
        ("group_by", [""]), ("group_by", "a"), ("group_by", []), ("group_by", None), ("group_by", ["a b"]),
        ("group_wait", "0s"), ("group_wait", "1x"), ("group_wait", 30), ("group_interval", "0s"),
        ("repeat_interval", 0), ("repeat_interval", "4h"), ("continue", True), ("continue", "maybe"),
        ("continue", "yes"), ("receiver", "nobody"),
        ("receiver", ""), ("routes", [None]), ("routes", {}), ("mute_time_intervals", ["nights"]),
        ("mute_time_intervals", ["never"]), ("active_time_intervals", ["nights"]), ("labels", {"a": "b"}),
        ("matchers", None), ("group_interval", None), ("receiver", None), ("match", {"severity": 5}),
    ])  # fmt: skip
    node[key] = value
    config["time_intervals"] = [{"name": "nights", "time_intervals": [{"times": []}]}]
    return config


def _inhibition(dice: random.Random) -> dict[str, Any]:
    config = minimal()
    rule = {
        f"{side}_{key}": copy.deepcopy(dice.choice(values))
        for side in ("source", "target")
        for key, values in (("matchers", [[dice.choice(MATCHERS)], ["a=b"], ["severity=~c.*"], None]),
                            ("match", [{"a": "b"}, {"sévérité": "x"}, {}, None]),
                            ("match_re", [{"a": "b.*"}, {"a": "["}, {"a": None}, {}]))
        if dice.random() < 0.4
    }  # fmt: skip
    if dice.random() < 0.5:
        rule["equal"] = dice.choice([["a", "b"], ["é"], [""], "a", [], [1], None])
    if dice.random() < 0.2:
        rule[dice.choice(["name", "sources", "equals"])] = "x"
    config["inhibit_rules"] = [rule]
    return config


def _interval(dice: random.Random) -> dict[str, Any]:
    config = minimal()
    entries = [{"name": dice.choice(["nights", "nights", "days", "", None]),
                "time_intervals": [copy.deepcopy(dice.choice(_INTERVALS)) for _ in range(dice.choice([1, 1, 2]))]}
               for _ in range(dice.choice([1, 1, 1, 2]))]  # fmt: skip
    config[dice.choice(["time_intervals", "time_intervals", "mute_time_intervals"])] = entries
    return config


def _document(dice: random.Random) -> Any:
    config: Any = minimal()
    change = dice.choice([
        {"route": None}, {"route": {}}, {"receivers": None}, {"receivers": []}, {"receivers": [{"name": ""}]},
        {"receivers": [{"name": "default"}, {"name": "default"}]}, {"receivers": [{}]}, {"receivers": [None]},
        {"templates": ["*.nothing"]}, {"templates": "x"}, {"templates": ["["]}, {"global": None}, {"global": {}},
        {"tracing": {}}, {"tracing": {"endpoint": "x:1"}}, {"tracing": {"endpoint": "x:1", "compression": "zip"}},
        {"tracing": None}, {"event_recorder": {"file_outputs": [{"path": ""}]}},
        {"event_recorder": {"webhook_outputs": [{"url": _URL, "timeout": "1s", "workers": 2}]}},
        {"event_recorder": {"webhook_outputs": [{"url": "<secret>"}]}},
        {"event_recorder": {"kafka_outputs": [{"brokers": ["a:1"], "topic": "t"}]}},
        # Debian builds without Kafka, and so without the rules of its settings.
        {"event_recorder": {"kafka_outputs": [{"brokers": ["a:1"], "topic": "t", "unknown": 1}]}},
        {"unknown": 1}, {"receivers": [{"name": "default", "labels": {"name": "other"}}]},
        {"receivers": [{"name": "default", "labels": {"team": "db"}}]},
        {"receivers": [{"name": 5}], "route": {"receiver": "5"}},
        {"route": {"receiver": "default", "continue": True}}, {"route": {"receiver": "default", "matchers": ["a=b"]}},
        {"route": {"receiver": "default", "matchers": []}},
        {"route": {"receiver": "default", "mute_time_intervals": ["x"]}},
        {"receivers": [{"name": "default", "carrier_pigeon_configs": []}]}, {"inhibit_rules": [None]},
    ])  # fmt: skip
    config |= change
    text = json.dumps(config)
    return dice.choice([text, text, text, text[:-1], text + "\n---\nroute: x", "", "a: [", "- 1", "&a {a: *a}"])


def routing_tree(dice: random.Random) -> dict[str, Any]:
    """Return a valid configuration with a random routing tree."""
    names = ["default", "pager", "chat", "mail", "db"]

    def node(depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        if dice.random() < 0.8:
            made["receiver"] = dice.choice(names)
        kind = dice.random()
        if kind < 0.5:
            made["matchers"] = [
                dice.choice(MATCHERS[: MATCHERS.index("foo=~[")]) for _ in range(dice.choice([1, 1, 2]))
            ]
        elif kind < 0.7:
            made["match"] = {dice.choice(_NAMES[:2]): dice.choice(_TEXTS[:4])}
        elif kind < 0.9:
            made["match_re"] = {dice.choice(_NAMES[:2]): dice.choice(["c.*", "db|x", "", ".+", "a.b", "warn", "^db$"])}
        if dice.random() < 0.6:
            made["continue"] = dice.random() < 0.9
        if depth and dice.random() < 0.6:
            made["routes"] = [node(depth - 1) for _ in range(dice.choice([1, 2, 3]))]
        return made

    return {
        "route": {"receiver": "default", "routes": [node(3) for _ in range(dice.choice([1, 2, 3, 4]))]},
        "receivers": [{"name": name} for name in names],
    }


def label_set(dice: random.Random) -> dict[str, str]:
    """Return some labels."""
    usual = {"severity": dice.choice(_TEXTS[:3]), "team": dice.choice(_TEXTS[:6])}
    return usual | {dice.choice(_NAMES): dice.choice(_TEXTS) for _ in range(dice.choice([0, 1, 2]))}
