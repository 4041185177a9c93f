-- Stores, their heads and histories, and what belongs to the whole database.

-- name: create_store
-- purpose: a new store at revision 0, with that revision's row
-- index: store_living_name
WITH made AS (
    INSERT INTO store (id, name, created_at, head_revision, oldest_revision, stamp,
        schema_version, committed_at, title)
    SELECT $1, $2, moment, 0, 0, $3, 0, moment, $4
    FROM clock_timestamp() AS moment
    ON CONFLICT (name) WHERE name <> '' AND deleted_at IS NULL DO NOTHING
    RETURNING id, stamp, committed_at
), first_revision AS (
    INSERT INTO revision (store_id, revision, stamp, schema_version, committed_at,
        schema_changed, actor, metadata)
    SELECT id, 0, stamp, 0, committed_at, false, '', '' FROM made
)
SELECT committed_at AS created_at FROM made;

-- name: store_by_name
-- purpose: a living store by its name
-- index: store_living_name
SELECT id, name, created_at, title, updated_at FROM store
WHERE name = $1 AND name <> '' AND deleted_at IS NULL;

-- name: list_stores
-- purpose: a page of the living stores by name; names are of letters, digits and `-`, before `~`
-- index: store_living_name
SELECT id, name, created_at, title, updated_at FROM store
WHERE name > $1 AND name >= $2 AND name < $2 || '~' AND name <> '' AND deleted_at IS NULL
ORDER BY name
LIMIT $3;

-- name: list_titled_stores
-- purpose: a page of the living stores of one title by name
-- index: store_living_title
SELECT id, name, created_at, title, updated_at FROM store
WHERE title = $4 AND title <> '' AND name > $1 AND name >= $2 AND name < $2 || '~'
    AND deleted_at IS NULL
ORDER BY name
LIMIT $3;

-- name: retitle_store
-- purpose: give a living store another title
-- index: store_living_name
UPDATE store SET title = $2, updated_at = clock_timestamp()
WHERE name = $1 AND name <> '' AND deleted_at IS NULL
RETURNING id, name, created_at, title, updated_at;

-- name: mark_store_deleted
-- purpose: forget a store at once; collection removes its rows
-- index: store_living_name
UPDATE store SET deleted_at = clock_timestamp()
WHERE name = $1 AND name <> '' AND deleted_at IS NULL
RETURNING id;

-- name: head
-- purpose: a store's head and the oldest revision that can be read
-- index: store_pkey
SELECT head_revision AS revision, stamp, schema_version, committed_at, oldest_revision
FROM store
WHERE id = $1 AND deleted_at IS NULL;

-- name: window
-- purpose: why the guard of a statement refused a revision
-- index: store_pkey
SELECT oldest_revision, head_revision, pg_is_in_recovery() AS replica
FROM store
WHERE id = $1 AND deleted_at IS NULL;

-- name: heads
-- purpose: the head revisions of the stores that somebody waits for
-- index: store_pkey
SELECT id, head_revision FROM store WHERE id = ANY ($1::uuid[]) AND deleted_at IS NULL;

-- name: snapshot
-- purpose: one revision with its store's window; stamp is NULL where there is no such revision
-- index: store_pkey, revision_pkey
SELECT store.oldest_revision, store.head_revision, revision.revision, revision.stamp,
    revision.schema_version, revision.committed_at
FROM store
LEFT JOIN revision ON revision.store_id = $1 AND revision.revision = $2
WHERE store.id = $1 AND store.deleted_at IS NULL;

-- name: snapshot_at
-- purpose: the newest revision committed at or before a moment
-- index: store_pkey, revision_committed
SELECT store.oldest_revision, store.head_revision, newest.revision, newest.stamp,
    newest.schema_version, newest.committed_at
FROM store
LEFT JOIN LATERAL (
    SELECT revision, stamp, schema_version, committed_at
    FROM revision
    WHERE store_id = $1 AND committed_at <= $2 AND revision >= 0
    ORDER BY committed_at DESC, revision DESC
    LIMIT 1
) AS newest ON true
WHERE store.id = $1 AND store.deleted_at IS NULL;

-- name: schema
-- purpose: one version of a living store's schema; all is NULL where there is no such version
-- index: store_pkey, schema_version_pkey
SELECT schema.version, schema.text, schema.language, schema.name
FROM store
LEFT JOIN schema_version AS schema ON schema.store_id = $1 AND schema.version = $2
WHERE store.id = $1 AND store.deleted_at IS NULL;

-- name: named_schema
-- purpose: the version of a living store's schema by its name; all is NULL where there is none
-- index: store_pkey, schema_version_name
SELECT schema.version, schema.text, schema.language, schema.name
FROM store
LEFT JOIN schema_version AS schema
    ON schema.store_id = $1 AND schema.name = $2 AND schema.name <> ''
WHERE store.id = $1 AND store.deleted_at IS NULL;

-- name: named_schemas
-- purpose: a page of the versions of a living store's schema that have names, the newest first;
--   one empty row for none
-- index: store_pkey, schema_version_pkey
SELECT page.version, page.text, page.language, page.name
FROM store LEFT JOIN LATERAL (
    SELECT version, text, language, name
    FROM schema_version
    WHERE store_id = $1 AND version < $2 AND length(name) > 0
    ORDER BY version DESC
    LIMIT $3
) AS page ON true
WHERE store.id = $1 AND store.deleted_at IS NULL;

-- name: revisions_after
-- purpose: the revisions after one, in order, guarded by the store's window
-- index: store_pkey, revision_pkey
SELECT store.oldest_revision, store.head_revision, later.*
FROM store
LEFT JOIN LATERAL (
    SELECT revision, stamp, schema_version, committed_at, schema_changed, actor, metadata
    FROM revision
    WHERE store_id = $1 AND revision > $2 AND revision <= store.head_revision
    ORDER BY revision
    LIMIT $3
) AS later ON true
WHERE store.id = $1 AND store.deleted_at IS NULL
ORDER BY later.revision;

-- name: changes
-- purpose: the tuples that a range of revisions created or closed, guarded by the store's window
-- index: store_pkey, relation_tuple_created, relation_tuple_closed
WITH guard AS MATERIALIZED (
    SELECT id FROM store WHERE id = $1 AND deleted_at IS NULL AND oldest_revision <= $2
)
SELECT 0 AS part, NULL::bigint AS revision, NULL AS object_type, NULL AS object_id,
    NULL AS relation, NULL AS subject_type, NULL AS subject_id, NULL AS subject_relation,
    NULL AS caveat, NULL AS context, NULL::timestamptz AS expires_at
FROM guard
UNION ALL
SELECT 1, closed.* FROM guard, LATERAL (
    SELECT deleted_revision, object_type, object_id, relation, subject_type, subject_id,
        subject_relation, caveat, context, expires_at
    FROM relation_tuple
    WHERE store_id = $1 AND deleted_revision > $2 AND deleted_revision <= $3
        AND deleted_revision < 9223372036854775807
    ORDER BY deleted_revision
    LIMIT $4
) AS closed
UNION ALL
SELECT 2, created.* FROM guard, LATERAL (
    SELECT created_revision, object_type, object_id, relation, subject_type, subject_id,
        subject_relation, caveat, context, expires_at
    FROM relation_tuple
    WHERE store_id = $1 AND created_revision > $2 AND created_revision <= $3
        AND created_revision > 0
    ORDER BY created_revision
    LIMIT $4
) AS created;

-- name: secrets
-- purpose: the secrets that seal cursors, the newest first
-- index: secret_pkey
SELECT generation, value FROM secret ORDER BY generation DESC LIMIT 2;

-- name: add_secret
-- purpose: put a secret of the next generation first, unless another node just did
-- index: secret_pkey
INSERT INTO secret (generation, value, created_at) VALUES ($1, $2, clock_timestamp())
ON CONFLICT (generation) DO NOTHING;

-- name: drop_secrets
-- purpose: drop the secrets below a generation
-- index: secret_pkey
DELETE FROM secret WHERE generation < $1;
