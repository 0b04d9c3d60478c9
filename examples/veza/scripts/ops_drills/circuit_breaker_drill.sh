#!/usr/bin/env bash
# Coupe la dépendance externe, appelle l'API jusqu'à ce que le circuit s'ouvre, la remet, vérifie qu'il se referme.
# Usage : DEP_STOP="commande" DEP_START="commande" circuit_breaker_drill.sh URL_API URL_PROMETHEUS
set -euo pipefail

if [ $# -ne 2 ] || [ -z "${DEP_STOP:-}" ] || [ -z "${DEP_START:-}" ]; then
    sed -n '2,3s/^# //p' "$0" >&2
    exit 2
fi
api=$1 prometheus=$2 stopped=no

restore() {
    if [ "$stopped" = yes ]; then
        echo "remise en route de la dépendance"
        bash -c "$DEP_START"
        stopped=no
    fi
}
trap restore EXIT

call() { curl -s -o /dev/null -m 5 -w '%{http_code}' "$api/api/v1/tracks/enrich"; }

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

answers() { [ "$(call)" = 200 ]; }
state_is() {
    call >/dev/null
    curl -s -m 5 "$api/metrics" | grep -E "^veza_circuit_breaker_state\{[^}]*\} $1(\.0)?\$" >/dev/null
}
alerting() {
    call >/dev/null
    curl -s -m 5 "$prometheus/api/v1/alerts" | grep '"alertname":"VezaCircuitBreakerOpen"' >/dev/null
}
resolved() { ! alerting; }

await 5 "l'appel répond 200 avant l'exercice" answers
echo "arrêt de la dépendance"
stopped=yes
bash -c "$DEP_STOP"
for _ in 1 2 3 4 5; do call >/dev/null; done
await 10 "le circuit est ouvert (état 2) après cinq échecs" state_is 2
await 60 "l'alerte VezaCircuitBreakerOpen est pending ou firing" alerting
restore
await 30 "le circuit est refermé (état 0)" state_is 0
await 60 "l'alerte VezaCircuitBreakerOpen est résolue" resolved
