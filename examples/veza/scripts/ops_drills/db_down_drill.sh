#!/usr/bin/env bash
# Coupe la base de données, vérifie que l'API et Prometheus le disent, la remet, vérifie que tout revient.
# Usage : DB_STOP="commande" DB_START="commande" db_down_drill.sh URL_API URL_PROMETHEUS
set -euo pipefail

if [ $# -ne 2 ] || [ -z "${DB_STOP:-}" ] || [ -z "${DB_START:-}" ]; then
    sed -n '2,3s/^# //p' "$0" >&2
    exit 2
fi
api=$1 prometheus=$2 stopped=no

restore() {
    if [ "$stopped" = yes ]; then
        echo "remise en route de la base"
        bash -c "$DB_START"
        stopped=no
    fi
}
trap restore EXIT

status() { curl -s -o /dev/null -m 5 -w '%{http_code}' "$1"; }

await() { # secondes, ce qui est attendu, commande...
    local end=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        if [ "$SECONDS" -ge "$end" ]; then
            echo "ECHEC : $what" >&2
            exit 1
        fi
        sleep 0.5
    done
    echo "ok : $what"
}

readyz_is() { [ "$(status "$api/readyz")" = "$1" ]; }
not_ready() {
    local body
    body=$(curl -s -m 5 "$api/readyz")
    grep -q '"status": *"not_ready"' <<<"$body" && grep -q '"database": *{"status": *"error"' <<<"$body"
}
alive() { [ "$(status "$api/live")" = 200 ]; }
metrics_exposed() { curl -s -m 5 "$api/metrics" | grep '^veza_db_up ' >/dev/null; }
alerting() { curl -s -m 5 "$prometheus/api/v1/alerts" | grep '"alertname":"VezaDatabaseDown"' >/dev/null; }
resolved() { ! alerting; }

await 5 "/readyz répond 200 avant l'exercice" readyz_is 200
echo "arrêt de la base"
stopped=yes
bash -c "$DB_STOP"
await 10 "/readyz répond 503" readyz_is 503
await 5 "statut not_ready, base en error" not_ready
await 5 "/live répond 200" alive
await 5 "les métriques restent exposées" metrics_exposed
await 60 "l'alerte VezaDatabaseDown est pending ou firing" alerting
restore
await 30 "/readyz répond 200 après l'exercice" readyz_is 200
await 60 "l'alerte VezaDatabaseDown est résolue" resolved
