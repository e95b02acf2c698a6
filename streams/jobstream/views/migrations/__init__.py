"""Steps from one form of the tables to the next, by Alembic; run by `jobstream views migrate`."""
