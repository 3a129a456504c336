#!/bin/bash
# What the image of PostgreSQL's makers documents of POSTGRES_PASSWORD, PGDATA and
# /docker-entrypoint-initdb.d, for an empty volume; then the server.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  mkdir -p "$PGDATA"
  initdb --username=postgres --auth-local=trust --auth-host=scram-sha-256 \
    --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD")
  echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
  pg_ctl --wait --options="-c listen_addresses=''" start
  for script in /docker-entrypoint-initdb.d/*.sh; do
    . "$script"
  done
  pg_ctl --wait --mode=fast stop
fi
exec postgres -c listen_addresses='*'
