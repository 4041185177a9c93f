-- What happened to the tuples of one object or one subject, a page at a time, by revision.
--
-- The parameters are alike: $1 store, $2 revision, $3 to $8 the filter, $9 the most versions that
-- are looked at, $10 is 1 for oldest first and -1 for newest first, $11 the revision and $12 to $17
-- the identity after which the page begins, $18 limit. A version whose end is the beginning of the
-- next one was replaced, which is one event. The guard makes one row when the page is empty.

-- name: history_of_object
-- purpose: a page of what happened to the tuples of one object
-- index: relation_tuple_identity, revision_pkey, store_pkey
WITH guard AS MATERIALIZED (
    SELECT id, oldest_revision FROM store
    WHERE id = $1 AND deleted_at IS NULL AND oldest_revision <= $2 AND head_revision >= $2
), version AS MATERIALIZED (
    SELECT found.*, lead(created_revision) OVER (
        PARTITION BY object_type, object_id, relation, subject_type, subject_id, subject_relation
        ORDER BY created_revision
    ) AS next_revision
    FROM guard, LATERAL (
        SELECT object_type, object_id, relation, subject_type, subject_id, subject_relation,
            caveat, context, expires_at, created_revision, deleted_revision
        FROM relation_tuple
        WHERE store_id = $1
            AND object_type = $3
            AND object_id = $4
            AND ($5::text IS NULL OR relation = $5)
            AND ($6::text IS NULL OR subject_type = $6)
            AND ($7::text IS NULL OR subject_id = $7)
            AND ($8::text IS NULL OR subject_relation = $8)
            AND created_revision <= $2
            AND (created_revision > guard.oldest_revision
                OR (deleted_revision > guard.oldest_revision AND deleted_revision <= $2))
        LIMIT $9
    ) AS found
), event AS (
    SELECT created_revision AS revision, false AS closed, version.*
    FROM guard, version
    WHERE created_revision > guard.oldest_revision
    UNION ALL
    SELECT deleted_revision, true, version.*
    FROM guard, version
    WHERE deleted_revision > guard.oldest_revision AND deleted_revision <= $2
        AND deleted_revision IS DISTINCT FROM next_revision
), page AS MATERIALIZED (
    SELECT *
    FROM event
    WHERE (revision * $10::bigint, object_type, object_id, relation,
            subject_type, subject_id, subject_relation)
        > ($11::bigint * $10::bigint, $12, $13, $14, $15, $16, $17)
    ORDER BY revision * $10::bigint, object_type, object_id, relation,
        subject_type, subject_id, subject_relation
    LIMIT $18
)
SELECT (SELECT count(*) FROM version) AS versions, page.closed, page.object_type, page.object_id,
    page.relation, page.subject_type, page.subject_id, page.subject_relation, page.caveat,
    page.context, page.expires_at, made.*
FROM guard LEFT JOIN page ON true LEFT JOIN LATERAL (
    SELECT revision, stamp, schema_version, committed_at, actor, metadata
    FROM revision
    WHERE store_id = $1 AND revision = page.revision
    OFFSET 0
) AS made ON true
ORDER BY page.revision * $10::bigint, page.object_type, page.object_id, page.relation,
    page.subject_type, page.subject_id, page.subject_relation;

-- name: history_of_subject
-- purpose: a page of what happened to the tuples of one subject
-- index: relation_tuple_subject, revision_pkey, store_pkey
WITH guard AS MATERIALIZED (
    SELECT id, oldest_revision FROM store
    WHERE id = $1 AND deleted_at IS NULL AND oldest_revision <= $2 AND head_revision >= $2
), version AS MATERIALIZED (
    SELECT found.*, lead(created_revision) OVER (
        PARTITION BY object_type, object_id, relation, subject_type, subject_id, subject_relation
        ORDER BY created_revision
    ) AS next_revision
    FROM guard, LATERAL (
        SELECT object_type, object_id, relation, subject_type, subject_id, subject_relation,
            caveat, context, expires_at, created_revision, deleted_revision
        FROM relation_tuple
        WHERE store_id = $1 AND subject_id <> ''
            AND ($3::text IS NULL OR object_type = $3)
            AND ($4::text IS NULL OR object_id = $4)
            AND ($5::text IS NULL OR relation = $5)
            AND subject_type = $6
            AND subject_id = $7
            AND ($8::text IS NULL OR subject_relation = $8)
            AND created_revision <= $2
            AND (created_revision > guard.oldest_revision
                OR (deleted_revision > guard.oldest_revision AND deleted_revision <= $2))
        LIMIT $9
    ) AS found
), event AS (
    SELECT created_revision AS revision, false AS closed, version.*
    FROM guard, version
    WHERE created_revision > guard.oldest_revision
    UNION ALL
    SELECT deleted_revision, true, version.*
    FROM guard, version
    WHERE deleted_revision > guard.oldest_revision AND deleted_revision <= $2
        AND deleted_revision IS DISTINCT FROM next_revision
), page AS MATERIALIZED (
    SELECT *
    FROM event
    WHERE (revision * $10::bigint, object_type, object_id, relation,
            subject_type, subject_id, subject_relation)
        > ($11::bigint * $10::bigint, $12, $13, $14, $15, $16, $17)
    ORDER BY revision * $10::bigint, object_type, object_id, relation,
        subject_type, subject_id, subject_relation
    LIMIT $18
)
SELECT (SELECT count(*) FROM version) AS versions, page.closed, page.object_type, page.object_id,
    page.relation, page.subject_type, page.subject_id, page.subject_relation, page.caveat,
    page.context, page.expires_at, made.*
FROM guard LEFT JOIN page ON true LEFT JOIN LATERAL (
    SELECT revision, stamp, schema_version, committed_at, actor, metadata
    FROM revision
    WHERE store_id = $1 AND revision = page.revision
    OFFSET 0
) AS made ON true
ORDER BY page.revision * $10::bigint, page.object_type, page.object_id, page.relation,
    page.subject_type, page.subject_id, page.subject_relation;
