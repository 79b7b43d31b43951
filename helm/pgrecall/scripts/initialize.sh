# Creates the programs' login, their roles and their database, as the superuser of a new Postgres. The login is no superuser: a program
# that was taken over cannot read files of the server or switch row-level security off, and cannot use the connections reserved for a superuser.
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
