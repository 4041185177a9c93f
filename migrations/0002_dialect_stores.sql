-- What stores of other dialects need: a title for people, schema versions with names, and tuples
-- that know when they were written after their revision was given up.

ALTER TABLE store ADD COLUMN title text COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX store_living_title ON store (title, name) WHERE title <> '' AND deleted_at IS NULL;

ALTER TABLE schema_version ADD COLUMN name text COLLATE "C" NOT NULL DEFAULT '';
CREATE UNIQUE INDEX schema_version_name ON schema_version (store_id, name) WHERE name <> '';

-- The committed_at of the revision that created the row. A row whose revision was given up before
-- there was this column is as old as the oldest revision that is left, or older.
ALTER TABLE relation_tuple ADD COLUMN created_at timestamptz NOT NULL DEFAULT now();
UPDATE relation_tuple AS tuple SET created_at = coalesce(
    (SELECT committed_at FROM revision
        WHERE store_id = tuple.store_id AND revision = tuple.created_revision),
    (SELECT committed_at FROM revision
        WHERE store_id = tuple.store_id ORDER BY revision LIMIT 1),
    tuple.created_at
);
