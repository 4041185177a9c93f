-- What stores of other dialects need: a title for people, schema versions with names, and tuples
-- that know when they were written after their revision was given up.

ALTER TABLE store ADD COLUMN title text COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX store_living_title ON store (title, name) WHERE title <> '' AND deleted_at IS NULL;

ALTER TABLE schema_version ADD COLUMN name text COLLATE "C" NOT NULL DEFAULT '';
CREATE UNIQUE INDEX schema_version_name ON schema_version (store_id, name) WHERE name <> '';

-- The committed_at of the revision that created the row. Rows of before have none: to give them one
-- would keep everybody waiting. Their revision tells it while it is kept; after that, they are taken
-- to be as old as their store.
ALTER TABLE relation_tuple ADD COLUMN created_at timestamptz;
