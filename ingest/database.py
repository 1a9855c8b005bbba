"""The trouble a database can be in."""

import psycopg

# Away, restarting, or too busy (the pool's time-out is one of them); InternalError is what a
# read-only database says, as during a failover.
DATABASE_AWAY = (psycopg.OperationalError, psycopg.InternalError)
