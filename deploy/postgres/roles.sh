#!/bin/sh
# Run once by the PostgreSQL image in an empty data folder: the database and its roles, each with a password of its own.
# What each role may do with which table is set by the migrations (audit/roles.py).
set -eu
psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
  --set owner="$OWNER_PASSWORD" --set app="$APP_PASSWORD" --set sealer="$SEALER_PASSWORD" --set eraser="$ERASER_PASSWORD" <<'SQL'
CREATE ROLE countersign_owner LOGIN PASSWORD :'owner';
CREATE ROLE countersign_app LOGIN PASSWORD :'app';
CREATE ROLE countersign_sealer LOGIN PASSWORD :'sealer';
CREATE ROLE countersign_eraser LOGIN PASSWORD :'eraser';
CREATE ROLE countersign_auditor NOLOGIN;
CREATE DATABASE countersign OWNER countersign_owner;
REVOKE ALL ON DATABASE countersign FROM PUBLIC;
GRANT CONNECT ON DATABASE countersign TO countersign_app, countersign_sealer, countersign_eraser, countersign_auditor;
SQL
