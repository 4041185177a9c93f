-- The write transaction, in the order it runs. READ COMMITTED: every statement after
-- the lock sees all that was committed before the lock was granted.

-- name: begin_write
-- purpose: begin, with bounds on a holder that froze; sequential plans made on a small table stay
--   cached while it grows, so they are not made
-- index: none
BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
SET LOCAL lock_timeout = '2s';
SET LOCAL statement_timeout = '3s';
SET LOCAL idle_in_transaction_session_timeout = '3s';
SET LOCAL enable_seqscan = off;
SET LOCAL enable_bitmapscan = off;
SET LOCAL enable_hashjoin = off;
SET LOCAL enable_mergejoin = off;
SET LOCAL jit = off;

-- name: commit
-- purpose: end a transaction and keep what it did
-- index: none
COMMIT;

-- name: rollback
-- purpose: end a transaction and leave no trace of it
-- index: none
ROLLBACK;

-- name: lock_store
-- purpose: the serial section of a store's writes; alone, so that what follows sees the newest rows
-- index: store_pkey
SELECT head_revision AS revision, stamp, schema_version, committed_at
FROM store
WHERE id = $1 AND deleted_at IS NULL
FOR UPDATE;

-- name: recall
-- purpose: what requests with these idempotency keys did in the last 24 hours
-- index: idempotency_pkey
SELECT key, digest, outcome, revision, stamp, schema_version, committed_at
FROM idempotency
WHERE store_id = $1 AND key = ANY($2::text[])
    AND used_at > clock_timestamp() - interval '24 hours';

-- name: remember
-- purpose: keep outcomes under the idempotency keys of their requests
-- index: idempotency_pkey
INSERT INTO idempotency (store_id, key, digest, outcome, revision, stamp, schema_version,
    committed_at, used_at)
SELECT $1, kept.*, clock_timestamp()
FROM unnest($2::text[], $3::bytea[], $4::text[], $5::bigint[], $6::bigint[], $7::integer[],
    $8::timestamptz[]) AS kept
ON CONFLICT (store_id, key) DO UPDATE SET digest = excluded.digest, outcome = excluded.outcome,
    revision = excluded.revision, stamp = excluded.stamp,
    schema_version = excluded.schema_version, committed_at = excluded.committed_at,
    used_at = excluded.used_at
RETURNING key;

-- name: living
-- purpose: the living rows that have the identities of a batch of updates; packed, see rows.py
-- index: relation_tuple_identity
SELECT wanted.item, found.caveat, found.context, found.expires_at
FROM unnest(
        trim_array(string_to_array($3, E'\x1f'), 1),
        trim_array(string_to_array($4, E'\x1f'), 1),
        trim_array(string_to_array($5, E'\x1f'), 1),
        trim_array(string_to_array($6, E'\x1f'), 1),
        trim_array(string_to_array($7, E'\x1f'), 1),
        trim_array(string_to_array($8, E'\x1f'), 1)
    )
    WITH ORDINALITY AS wanted (
        object_type, object_id, relation, subject_type, subject_id, subject_relation, item
    ),
    LATERAL (
        SELECT caveat, context, expires_at
        FROM relation_tuple
        WHERE store_id = $1
            AND object_type = wanted.object_type
            AND object_id = wanted.object_id
            AND relation = wanted.relation
            AND subject_type = wanted.subject_type
            AND subject_id = wanted.subject_id
            AND subject_relation = wanted.subject_relation
            AND deleted_revision > $2
        OFFSET 0
    ) AS found;

-- name: preconditions
-- purpose: for each precondition's filter whether a tuple matches that is alive now; shape says which parts
--   are known: o = object and relation, O = object, s = subject, t = type, a = anything
-- index: relation_tuple_identity, relation_tuple_subject
SELECT wanted.item, CASE wanted.shape
    WHEN 'o' THEN EXISTS (
        SELECT FROM relation_tuple AS tuple
        WHERE tuple.store_id = $1
            AND tuple.object_type = wanted.object_type
            AND tuple.object_id = wanted.object_id
            AND tuple.relation = wanted.relation
            AND (wanted.subject_type IS NULL OR tuple.subject_type = wanted.subject_type)
            AND (wanted.subject_id IS NULL OR tuple.subject_id = wanted.subject_id)
            AND (wanted.subject_relation IS NULL
                OR tuple.subject_relation = wanted.subject_relation)
            AND tuple.deleted_revision > $2
            AND (tuple.expires_at IS NULL OR tuple.expires_at > wanted.now))
    WHEN 'O' THEN EXISTS (
        SELECT FROM relation_tuple AS tuple
        WHERE tuple.store_id = $1
            AND tuple.object_type = wanted.object_type
            AND tuple.object_id = wanted.object_id
            AND (wanted.subject_type IS NULL OR tuple.subject_type = wanted.subject_type)
            AND (wanted.subject_id IS NULL OR tuple.subject_id = wanted.subject_id)
            AND (wanted.subject_relation IS NULL
                OR tuple.subject_relation = wanted.subject_relation)
            AND tuple.deleted_revision > $2
            AND (tuple.expires_at IS NULL OR tuple.expires_at > wanted.now))
    WHEN 's' THEN EXISTS (
        SELECT FROM relation_tuple AS tuple
        WHERE tuple.store_id = $1
            AND tuple.subject_type = wanted.subject_type
            AND tuple.subject_id = wanted.subject_id
            AND tuple.subject_id <> ''
            AND (wanted.subject_relation IS NULL
                OR tuple.subject_relation = wanted.subject_relation)
            AND (wanted.object_type IS NULL OR tuple.object_type = wanted.object_type)
            AND (wanted.relation IS NULL OR tuple.relation = wanted.relation)
            AND tuple.deleted_revision > $2
            AND (tuple.expires_at IS NULL OR tuple.expires_at > wanted.now))
    WHEN 't' THEN EXISTS (
        SELECT FROM relation_tuple AS tuple
        WHERE tuple.store_id = $1
            AND tuple.object_type = wanted.object_type
            AND (wanted.relation IS NULL OR tuple.relation = wanted.relation)
            AND (wanted.subject_type IS NULL OR tuple.subject_type = wanted.subject_type)
            AND (wanted.subject_id IS NULL OR tuple.subject_id = wanted.subject_id)
            AND (wanted.subject_relation IS NULL
                OR tuple.subject_relation = wanted.subject_relation)
            AND tuple.deleted_revision > $2
            AND (tuple.expires_at IS NULL OR tuple.expires_at > wanted.now))
    ELSE EXISTS (
        SELECT FROM relation_tuple AS tuple
        WHERE tuple.store_id = $1
            AND (wanted.object_type IS NULL OR tuple.object_type = wanted.object_type)
            AND (wanted.object_id IS NULL OR tuple.object_id = wanted.object_id)
            AND (wanted.relation IS NULL OR tuple.relation = wanted.relation)
            AND (wanted.subject_type IS NULL OR tuple.subject_type = wanted.subject_type)
            AND (wanted.subject_id IS NULL OR tuple.subject_id = wanted.subject_id)
            AND (wanted.subject_relation IS NULL
                OR tuple.subject_relation = wanted.subject_relation)
            AND tuple.deleted_revision > $2
            AND (tuple.expires_at IS NULL OR tuple.expires_at > wanted.now))
    END AS matched
FROM unnest($3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
        $9::text[], $10::text[])
    WITH ORDINALITY AS wanted (
        now, shape, object_type, object_id, relation, subject_type, subject_id, subject_relation,
        item
    );

-- name: commit_revisions
-- purpose: take the next revisions, close the old rows and insert the new ones; rows count their
--   revisions from the head. Closing goes through the conflict with the living row, because an
--   UPDATE joined to a batch may be planned, while the table is new, as a walk of the whole store.
--   It comes first because the count of closed rows is joined to every row inserted. A row that
--   was not there to close is not counted. Columns are packed, see rows.py; those from caveat on
--   may be empty if every row has the same: no caveat, no context, no expiry, the next revision.
-- index: store_pkey, relation_tuple_identity
WITH head AS (
    UPDATE store
    SET head_revision = head_revision + cardinality($4::bigint[]), schema_version = $2,
        stamp = ($4::bigint[])[cardinality($4::bigint[])],
        committed_at = greatest(committed_at, clock_timestamp())
    WHERE id = $1
    RETURNING head_revision - cardinality($4::bigint[]) AS before, committed_at
), recorded AS (
    INSERT INTO revision (store_id, revision, stamp, schema_version, committed_at,
        schema_changed, actor, metadata)
    SELECT $1, before + made.item, made.stamp, $2, committed_at, $3, made.actor, made.metadata
    FROM head,
        unnest($4::bigint[], $5::text[], $6::text[])
            WITH ORDINALITY AS made (stamp, actor, metadata, item)
    RETURNING 1
), closed AS (
    INSERT INTO relation_tuple (store_id, created_revision, object_type, object_id, relation,
        subject_type, subject_id, subject_relation, caveat, context, created_at)
    SELECT $1, before + gone.ended, gone.object_type, gone.object_id, gone.relation,
        gone.subject_type, gone.subject_id, gone.subject_relation, '', '', committed_at
    FROM head,
        unnest(
            trim_array(string_to_array($7, E'\x1f'), 1),
            trim_array(string_to_array($8, E'\x1f'), 1),
            trim_array(string_to_array($9, E'\x1f'), 1),
            trim_array(string_to_array($10, E'\x1f'), 1),
            trim_array(string_to_array($11, E'\x1f'), 1),
            trim_array(string_to_array($12, E'\x1f'), 1),
            trim_array(string_to_array($13, E'\x1f'), 1)::integer[]
        )
        AS gone (object_type, object_id, relation, subject_type, subject_id, subject_relation,
            ended)
    ON CONFLICT (store_id, object_type, object_id, relation, subject_type, subject_id,
        subject_relation, deleted_revision)
    DO UPDATE SET deleted_revision = excluded.created_revision
    RETURNING deleted_revision
), closed_count AS (
    SELECT count(*) AS n FROM closed WHERE deleted_revision < 9223372036854775807
), inserted AS (
    INSERT INTO relation_tuple (store_id, object_type, object_id, relation,
        subject_type, subject_id, subject_relation, caveat, context, expires_at,
        created_revision, deleted_revision, created_at)
    SELECT $1, made.object_type, made.object_id, made.relation, made.subject_type,
        made.subject_id, made.subject_relation, coalesce(made.caveat, ''),
        coalesce(made.context, ''), made.expires_at, before + coalesce(made.began, 1),
        coalesce(before + nullif(made.ended, 0), 9223372036854775807),
        committed_at
    FROM head, closed_count,
        unnest(
            trim_array(string_to_array($14, E'\x1f'), 1),
            trim_array(string_to_array($15, E'\x1f'), 1),
            trim_array(string_to_array($16, E'\x1f'), 1),
            trim_array(string_to_array($17, E'\x1f'), 1),
            trim_array(string_to_array($18, E'\x1f'), 1),
            trim_array(string_to_array($19, E'\x1f'), 1),
            trim_array(string_to_array($20, E'\x1f'), 1),
            trim_array(string_to_array($21, E'\x1f'), 1),
            $22::timestamptz[],
            trim_array(string_to_array($23, E'\x1f'), 1)::integer[],
            trim_array(string_to_array($24, E'\x1f'), 1)::integer[]
        )
        AS made (object_type, object_id, relation, subject_type, subject_id, subject_relation,
            caveat, context, expires_at, began, ended)
    RETURNING 1
)
SELECT head.before, head.committed_at, (SELECT count(*) FROM recorded) AS recorded,
    closed_count.n AS closed, (SELECT count(*) FROM inserted) AS inserted
FROM head, closed_count;

-- name: expired
-- purpose: living tuples that are expired at a moment, the longest expired first
-- index: relation_tuple_expiry
SELECT object_type, object_id, relation, subject_type, subject_id, subject_relation,
    caveat, context, expires_at
FROM relation_tuple
WHERE store_id = $1 AND expires_at <= $2 AND deleted_revision = 9223372036854775807
ORDER BY expires_at
LIMIT $3;

-- name: any_expired
-- purpose: whether there is anything to remove, asked without the lock
-- index: store_pkey, relation_tuple_expiry
SELECT store.head_revision AS revision, store.stamp, store.schema_version, store.committed_at,
    EXISTS (
        SELECT FROM relation_tuple
        WHERE store_id = $1 AND expires_at <= $2 AND deleted_revision = 9223372036854775807
    ) AS any_expired
FROM store
WHERE id = $1 AND deleted_at IS NULL;

-- name: tuples_of_shapes
-- purpose: living tuples of the shapes that a schema write takes away; one empty row for none
-- index: relation_tuple_shape, store_pkey
SELECT found.*
FROM store LEFT JOIN LATERAL (
    SELECT found.*
    FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::boolean[], $7::text[],
            $8::boolean[])
        AS shape (
            object_type, relation, subject_type, subject_relation, wildcard, caveat, expiration
        ),
        LATERAL (
            SELECT object_type, object_id, relation, subject_type, subject_id, subject_relation,
                caveat, context, expires_at
            FROM relation_tuple
            WHERE store_id = $1
                AND object_type = shape.object_type
                AND relation = shape.relation
                AND relation <> ''
                AND (shape.subject_type IS NULL OR subject_type = shape.subject_type)
                AND (shape.subject_relation IS NULL OR subject_relation = shape.subject_relation)
                AND (shape.wildcard IS NULL OR shape.wildcard = (subject_id = '*'))
                AND (shape.caveat IS NULL OR caveat = shape.caveat)
                AND (shape.expiration IS NULL OR shape.expiration = (expires_at IS NOT NULL))
                AND deleted_revision = 9223372036854775807
                AND (expires_at IS NULL OR expires_at > $9)
            LIMIT $10
        ) AS found
) AS found ON true
WHERE store.id = $1 AND store.deleted_at IS NULL;

-- name: current_schema
-- purpose: the text and language of the schema version in force
-- index: schema_version_pkey
SELECT text, language FROM schema_version WHERE store_id = $1 AND version = $2;

-- name: add_schema
-- purpose: a new schema version, in the revision just taken, unless its name is another one's
-- index: schema_version_name
INSERT INTO schema_version (store_id, version, text, language, created_revision, name)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (store_id, name) WHERE name <> '' DO NOTHING
RETURNING version;

-- name: notify
-- purpose: tell other nodes that stores have changed, after the commits that changed them
-- index: none
SELECT pg_notify($1, store_id) FROM unnest($2::text[]) AS store_id;
