-- Which migrations the database has. The table is made here because migrations need it first.

-- name: try_migration_lock
-- purpose: become the one node that migrates, until the transaction ends
-- index: none
SELECT pg_try_advisory_xact_lock($1);

-- name: make_migration_table
-- purpose: the record of what was applied
-- index: none
CREATE TABLE IF NOT EXISTS schema_migration (
    name       text        COLLATE "C" PRIMARY KEY,
    checksum   text        COLLATE "C" NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- name: find_migration_table
-- purpose: whether any migration was ever applied
-- index: none
SELECT to_regclass('schema_migration') IS NOT NULL;

-- name: applied_migrations
-- purpose: what was applied, with checksums
-- index: none
SELECT name, checksum FROM schema_migration;

-- name: record_migration
-- purpose: a migration was applied
-- index: none
INSERT INTO schema_migration (name, checksum) VALUES ($1, $2);
