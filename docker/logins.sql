-- Run once by psql, as superuser, when the database's volume is new: an owner who is no superuser, a login for each
-- process, and Prefect's own database. Passwords are read from files, so they are in no command line.
\set ON_ERROR_STOP on
\set owner_password `cat /run/secrets/db_owner`
\set ingest_password `cat /run/secrets/db_ingest`
\set relay_password `cat /run/secrets/db_relay`
\set flows_password `cat /run/secrets/db_flows`
\set dashboard_password `cat /run/secrets/db_dashboard`
\set prefect_password `cat /run/secrets/db_prefect`

CREATE ROLE eletroposto LOGIN CREATEROLE PASSWORD :'owner_password';
ALTER DATABASE eletroposto OWNER TO eletroposto;
REVOKE CONNECT ON DATABASE eletroposto FROM PUBLIC;

-- Who makes a role may hand it out, so the owner makes them; the first migration finds them there.
SET ROLE eletroposto;
CREATE ROLE eletroposto_ingest NOLOGIN;
CREATE ROLE eletroposto_flows NOLOGIN;
CREATE ROLE eletroposto_dashboard NOLOGIN;
CREATE ROLE eletroposto_operator NOLOGIN;
CREATE ROLE ingest LOGIN PASSWORD :'ingest_password' IN ROLE eletroposto_ingest;
CREATE ROLE relay LOGIN PASSWORD :'relay_password' IN ROLE eletroposto_ingest;
CREATE ROLE flows LOGIN PASSWORD :'flows_password' IN ROLE eletroposto_flows;
-- The pages choose between the two by who is signed in.
CREATE ROLE dashboard LOGIN PASSWORD :'dashboard_password' IN ROLE eletroposto_dashboard, eletroposto_operator;
GRANT CONNECT, TEMPORARY ON DATABASE eletroposto TO ingest, relay, flows, dashboard;
RESET ROLE;

CREATE ROLE prefect LOGIN PASSWORD :'prefect_password';
CREATE DATABASE prefect OWNER prefect;
REVOKE CONNECT ON DATABASE prefect FROM PUBLIC;
