"""Find which plugin answers a query: a reference to a data source is a name, an object, or a variable."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from msgspec import Struct

from gate.grafana.templating import references

# Plugins whose queries are PromQL. VictoriaMetrics has a language of its own.
PROMETHEUS = frozenset(("prometheus", "grafana-amazonprometheus-datasource", "grafana-azureprometheus-datasource"))
MIXED = "-- Mixed --"
# Data sources that every Grafana has, by name and uid.
_BUILT_IN = {
    "-- Grafana --": "grafana", "grafana": "grafana", "-- Dashboard --": "dashboard", "__expr__": "expression",
    "Expression": "expression", MIXED: "mixed",
}  # fmt: skip


class DataSource(Struct, frozen=True):
    """What a reference leads to. `plugin` is empty if the dashboard does not say it; `names` are its name and uid."""

    plugin: str
    names: frozenset[str] = frozenset()

    def is_prometheus(self, wanted: Collection[str]) -> bool:
        """Return whether it is one of the wanted data sources; of any Prometheus if none is named."""
        if wanted:
            return bool(self.names & set(wanted))
        # Among the data sources whose plugin is not written, only Loki's have queries under the same key.
        return self.plugin in PROMETHEUS or (not self.plugin and not any("loki" in name.lower() for name in self.names))

    def __str__(self) -> str:
        return self.plugin or ", ".join(sorted(self.names)) or "default"


class DataSources:
    """The data sources of a dashboard. `plugins` are the plugins of its variables and inputs, by their name."""

    def __init__(self, plugins: Mapping[str, str]) -> None:
        self.plugins = plugins

    def find(self, *written: Any) -> DataSource:
        """Return the data source of the first reference that is one, else the default one."""
        for reference in written:
            if reference is not None and reference != {} and (source := self._find(reference)).plugin != "mixed":
                return source
        return DataSource("")

    def _find(self, reference: Any) -> DataSource:
        if isinstance(reference, dict):
            uid, kind = reference.get("uid", reference.get("name")), reference.get("type")
            plugin = kind if isinstance(kind, str) and kind != "datasource" else ""
        else:
            uid, plugin = reference, ""
        if not isinstance(uid, str) or uid in ("", "default"):
            return DataSource(_BUILT_IN.get(plugin, plugin))
        variables = references(uid)
        names = frozenset((uid, *(variable.name for variable in variables)))
        of_variable = next((self.plugins[name] for name in sorted(names) if name in self.plugins), "")
        return DataSource(of_variable or _BUILT_IN.get(uid, "") or _BUILT_IN.get(plugin, plugin), names)
