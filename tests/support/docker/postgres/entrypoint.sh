#!/bin/sh
# Makes the database at the first start, then becomes the server, as the user postgres.
set -eu
bin=$(echo /usr/lib/postgresql/*/bin)
PATH="$bin:$PATH"
as_postgres="setpriv --reuid=postgres --regid=postgres --init-groups"
user=${POSTGRES_USER:-postgres}
database=${POSTGRES_DB:-$user}

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    if [ -z "${POSTGRES_PASSWORD:-}" ]; then
        echo "Error: superuser password is not specified, set POSTGRES_PASSWORD" >&2
        exit 1
    fi
    install -d -o postgres -g postgres -m 700 "$PGDATA"
    password=$(mktemp)
    printf '%s\n' "$POSTGRES_PASSWORD" >"$password"
    chown postgres "$password"
    $as_postgres initdb -D "$PGDATA" -U "$user" --pwfile="$password" --auth-local=trust --auth-host=scram-sha-256 \
        --no-locale --encoding=UTF8 --no-sync >/dev/null
    rm "$password"
    echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
    if [ "$database" != postgres ]; then
        printf 'CREATE DATABASE "%s";\n' "$database" |
            $as_postgres postgres --single -j -D "$PGDATA" postgres >/dev/null
    fi
fi
install -d -o postgres -g postgres /var/run/postgresql
exec setpriv --reuid=postgres --regid=postgres --init-groups "$@" -D "$PGDATA" -c listen_addresses='*' -c fsync=off
