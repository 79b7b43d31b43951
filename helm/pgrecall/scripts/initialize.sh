# Creates the programs' login, their roles and their database, as the superuser of a new Postgres. The login is not a superuser, so that a
# compromised program can neither read the server's files, nor turn off row-level security, nor use the connections reserved for superusers.
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\getenv password PGRECALL_PASSWORD
CREATE ROLE pgrecall LOGIN PASSWORD :'password';
CREATE ROLE pgrecall_owner NOLOGIN;
CREATE ROLE pgrecall_server NOLOGIN;
CREATE ROLE pgrecall_worker NOLOGIN;
GRANT pgrecall_owner, pgrecall_server, pgrecall_worker TO pgrecall;
CREATE DATABASE pgrecall OWNER pgrecall;
\connect pgrecall
CREATE EXTENSION vector;
SQL
