-- Collection, in bounded batches. What is removed is invisible at every revision that can be
-- read, because raise_oldest was committed before.

-- name: raise_oldest
-- purpose: give up the revisions older than the newest one at the horizon
-- index: store_pkey, revision_committed
UPDATE store
SET oldest_revision = greatest(oldest_revision, coalesce((
        SELECT revision FROM revision
        WHERE store_id = $1 AND committed_at <= $2 AND revision >= 0
        ORDER BY committed_at DESC, revision DESC
        LIMIT 1
    ), 0))
WHERE id = $1 AND deleted_at IS NULL
RETURNING oldest_revision;

-- name: collect_tuples
-- purpose: remove a batch of rows closed at or before the oldest revision
-- index: relation_tuple_closed
DELETE FROM relation_tuple
WHERE ctid = ANY (ARRAY (
    SELECT ctid FROM relation_tuple
    WHERE store_id = $1 AND deleted_revision <= $2 AND deleted_revision < 9223372036854775807
    ORDER BY deleted_revision
    LIMIT $3
));

-- name: collect_revisions
-- purpose: remove a batch of revisions before the oldest
-- index: revision_pkey
DELETE FROM revision
WHERE ctid = ANY (ARRAY (
    SELECT ctid FROM revision WHERE store_id = $1 AND revision < $2 ORDER BY revision LIMIT $3
));

-- name: collect_schemas
-- purpose: remove a batch of schema versions that have no name and no readable revision has
-- index: schema_version_pkey, revision_pkey
DELETE FROM schema_version
WHERE ctid = ANY (ARRAY (
    SELECT ctid FROM schema_version
    WHERE store_id = $1 AND name = '' AND version < (
        SELECT schema_version FROM revision WHERE store_id = $1 AND revision = $2
    )
    ORDER BY version
    LIMIT $3
));

-- name: collect_keys
-- purpose: remove a batch of idempotency keys that have had their 24 hours
-- index: idempotency_used
DELETE FROM idempotency
WHERE ctid = ANY (ARRAY (
    SELECT ctid FROM idempotency
    WHERE used_at < clock_timestamp() - interval '24 hours'
    ORDER BY used_at
    LIMIT $1
));

-- name: deleted_store
-- purpose: a deleted store that still has rows
-- index: store_deleted
SELECT id FROM store WHERE deleted_at IS NOT NULL ORDER BY id LIMIT 1;

-- name: purge_tuples
-- purpose: remove a batch of a deleted store's tuples
-- index: relation_tuple_created
DELETE FROM relation_tuple
WHERE ctid = ANY (ARRAY (
    SELECT ctid FROM relation_tuple
    WHERE store_id = $1 AND created_revision > 0
    ORDER BY created_revision
    LIMIT $2
));

-- name: purge_revisions
-- purpose: remove a batch of a deleted store's revisions
-- index: revision_pkey
DELETE FROM revision
WHERE ctid = ANY (ARRAY (
    SELECT ctid FROM revision WHERE store_id = $1 ORDER BY revision LIMIT $2
));

-- name: purge_schemas
-- purpose: remove a batch of a deleted store's schema versions
-- index: schema_version_pkey
DELETE FROM schema_version
WHERE ctid = ANY (ARRAY (
    SELECT ctid FROM schema_version WHERE store_id = $1 ORDER BY version LIMIT $2
));

-- name: purge_keys
-- purpose: remove a batch of a deleted store's idempotency keys
-- index: idempotency_pkey
DELETE FROM idempotency
WHERE ctid = ANY (ARRAY (
    SELECT ctid FROM idempotency WHERE store_id = $1 ORDER BY key LIMIT $2
));

-- name: purge_documents
-- purpose: remove a batch of a deleted store's documents
-- index: document_pkey
DELETE FROM document
WHERE ctid = ANY (ARRAY (
    SELECT ctid FROM document WHERE store_id = $1 ORDER BY kind, name LIMIT $2
));

-- name: purge_store
-- purpose: forget a deleted store when nothing of it is left
-- index: store_deleted
DELETE FROM store WHERE id = $1 AND deleted_at IS NOT NULL;
