"""Storage on Postgres: `PostgresStorage` and its migrations."""

from engine.store.postgres.storage import PostgresStorage

__all__ = ["PostgresStorage"]
