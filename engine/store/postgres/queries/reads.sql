-- What evaluation and reads ask, at one revision. Each statement guards itself: it answers only
-- while the revision lies in the store's history window, and says so by its guard row.

-- name: fetch
-- purpose: one round of an evaluation: all its probes and scans; part 0 is the guard row
-- index: relation_tuple_identity, relation_tuple_usersets, store_pkey
WITH guard AS MATERIALIZED (
    SELECT id FROM store
    WHERE id = $1 AND deleted_at IS NULL AND oldest_revision <= $2 AND head_revision >= $2
)
SELECT 0 AS part, 0::bigint AS item, NULL AS subject_type, NULL AS subject_id,
    NULL AS subject_relation, NULL AS caveat, NULL AS context, NULL::timestamptz AS expires_at
FROM guard
UNION ALL
SELECT 1, wanted.item, NULL, NULL, NULL, found.caveat, found.context, found.expires_at
FROM guard, unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[])
    WITH ORDINALITY AS wanted (
        object_type, object_id, relation, subject_type, subject_id, subject_relation, item
    ),
    LATERAL (
        SELECT tuple.caveat, tuple.context, tuple.expires_at
        FROM relation_tuple AS tuple
        WHERE tuple.store_id = $1
            AND tuple.object_type = wanted.object_type
            AND tuple.object_id = wanted.object_id
            AND tuple.relation = wanted.relation
            AND tuple.subject_type = wanted.subject_type
            AND tuple.subject_id = wanted.subject_id
            AND tuple.subject_relation = wanted.subject_relation
            AND tuple.deleted_revision > $2
            AND tuple.created_revision <= $2
        OFFSET 0
    ) AS found
UNION ALL
(
    SELECT 2, wanted.item, found.subject_type, found.subject_id, found.subject_relation,
        found.caveat, found.context, found.expires_at
    FROM guard, unnest($9::text[], $10::text[], $11::text[])
        WITH ORDINALITY AS wanted (object_type, object_id, relation, item),
        LATERAL (
            SELECT tuple.subject_type, tuple.subject_id, tuple.subject_relation,
                tuple.caveat, tuple.context, tuple.expires_at
            FROM relation_tuple AS tuple
            WHERE tuple.store_id = $1
                AND tuple.object_type = wanted.object_type
                AND tuple.object_id = wanted.object_id
                AND tuple.relation = wanted.relation
                AND tuple.deleted_revision > $2
                AND tuple.created_revision <= $2
            OFFSET 0
        ) AS found
    LIMIT $15
)
UNION ALL
(
    SELECT 3, wanted.item, found.subject_type, found.subject_id, found.subject_relation,
        found.caveat, found.context, found.expires_at
    FROM guard, unnest($12::text[], $13::text[], $14::text[])
        WITH ORDINALITY AS wanted (object_type, object_id, relation, item),
        LATERAL (
            SELECT tuple.subject_type, tuple.subject_id, tuple.subject_relation,
                tuple.caveat, tuple.context, tuple.expires_at
            FROM relation_tuple AS tuple
            WHERE tuple.store_id = $1
                AND tuple.object_type = wanted.object_type
                AND tuple.object_id = wanted.object_id
                AND tuple.relation = wanted.relation
                AND tuple.subject_relation <> ''
                AND tuple.deleted_revision > $2
                AND tuple.created_revision <= $2
            OFFSET 0
        ) AS found
    LIMIT $15
);

-- name: objects_of
-- purpose: one round of a walk from subjects to objects, each scan sorted; item 0 is the guard row
-- index: relation_tuple_subject, store_pkey
WITH guard AS MATERIALIZED (
    SELECT id FROM store
    WHERE id = $1 AND deleted_at IS NULL AND oldest_revision <= $2 AND head_revision >= $2
)
SELECT 0::bigint AS item, NULL AS object_id, NULL AS caveat, NULL AS context,
    NULL::timestamptz AS expires_at
FROM guard
UNION ALL
(
    SELECT wanted.item, found.object_id, found.caveat, found.context, found.expires_at
    FROM guard, unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[])
        WITH ORDINALITY AS wanted (
            subject_type, subject_id, subject_relation, object_type, relation, after, item
        ),
        LATERAL (
            SELECT tuple.object_id, tuple.caveat, tuple.context, tuple.expires_at
            FROM relation_tuple AS tuple
            WHERE tuple.store_id = $1 AND tuple.subject_id <> ''
                AND tuple.subject_type = wanted.subject_type
                AND tuple.subject_id = wanted.subject_id
                AND tuple.subject_relation = wanted.subject_relation
                AND tuple.object_type = wanted.object_type
                AND tuple.object_id > wanted.after
                AND tuple.relation = wanted.relation
                AND tuple.deleted_revision > $2
                AND tuple.created_revision <= $2
            ORDER BY tuple.object_id
            LIMIT $9
        ) AS found
    LIMIT $10
);

-- name: created
-- purpose: what wrote tuples as they stand, and when; one empty row when there are none
-- index: relation_tuple_identity, revision_pkey, store_pkey
WITH guard AS MATERIALIZED (
    SELECT id, created_at FROM store
    WHERE id = $1 AND deleted_at IS NULL AND oldest_revision <= $2 AND head_revision >= $2
)
SELECT found.item, found.created_revision, coalesce(
    found.created_at,
    (SELECT committed_at FROM revision
        WHERE store_id = $1 AND revision = found.created_revision),
    guard.created_at
)
FROM guard LEFT JOIN LATERAL (
    SELECT wanted.item, tuple.created_revision, tuple.created_at
    FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[])
        WITH ORDINALITY AS wanted (
            object_type, object_id, relation, subject_type, subject_id, subject_relation, item
        ),
        LATERAL (
            SELECT tuple.created_revision, tuple.created_at
            FROM relation_tuple AS tuple
            WHERE tuple.store_id = $1
                AND tuple.object_type = wanted.object_type
                AND tuple.object_id = wanted.object_id
                AND tuple.relation = wanted.relation
                AND tuple.subject_type = wanted.subject_type
                AND tuple.subject_id = wanted.subject_id
                AND tuple.subject_relation = wanted.subject_relation
                AND tuple.deleted_revision > $2
                AND tuple.created_revision <= $2
            OFFSET 0
        ) AS tuple
) AS found ON true;

-- name: standing
-- purpose: the tuples of a span of revisions, in the order they were written, after one; one empty
--   row when there are none
-- index: relation_tuple_created, revision_pkey, store_pkey
WITH guard AS MATERIALIZED (
    SELECT id, created_at FROM store
    WHERE id = $1 AND deleted_at IS NULL AND oldest_revision <= $2 AND head_revision >= $2
)
SELECT page.created_revision, coalesce(
    page.created_at,
    (SELECT committed_at FROM revision
        WHERE store_id = $1 AND revision = page.created_revision),
    guard.created_at
), page.object_type, page.object_id, page.relation, page.subject_type, page.subject_id,
    page.subject_relation, page.caveat, page.context, page.expires_at
FROM guard LEFT JOIN LATERAL (
    SELECT created_revision, created_at, object_type, object_id, relation, subject_type,
        subject_id, subject_relation, caveat, context, expires_at
    FROM relation_tuple
    WHERE store_id = $1
        AND created_revision > 0
        AND created_revision >= $3 AND created_revision <= $4
        AND created_revision <= $2 AND deleted_revision > $2
        AND (created_revision, object_type, object_id, relation,
                subject_type, subject_id, subject_relation)
            > ($3, $5, $6, $7, $8, $9, $10)
    ORDER BY created_revision, object_type, object_id, relation,
        subject_type, subject_id, subject_relation
    LIMIT $11
) AS page ON true;

-- The six ways to read one page of tuples in identity order. They differ in which parts of the
-- filter are fixed, and so in the index range walked; parts that are NULL match anything. The
-- parameters are alike: $1 store, $2 revision, $3 now, $4 limit, $5 to $10 the filter, $11 to $16
-- the identity after which the page begins. The guard makes one empty row when the page is empty.

-- name: read_relation
-- purpose: a page of the subjects of one object and relation
-- index: relation_tuple_identity, store_pkey
WITH guard AS MATERIALIZED (
    SELECT id FROM store
    WHERE id = $1 AND deleted_at IS NULL AND oldest_revision <= $2 AND head_revision >= $2
)
SELECT page.*
FROM guard LEFT JOIN LATERAL (
    SELECT object_type, object_id, relation, subject_type, subject_id, subject_relation,
        caveat, context, expires_at
    FROM relation_tuple
    WHERE store_id = $1
        AND object_type = $5
        AND object_id = $6
        AND relation = $7
        AND ($8::text IS NULL OR subject_type = $8)
        AND ($9::text IS NULL OR subject_id = $9)
        AND ($10::text IS NULL OR subject_relation = $10)
        AND (subject_type, subject_id, subject_relation)
            >= ($14, $15, $16)
        AND (object_type, object_id, relation, subject_type, subject_id, subject_relation)
            > ($11, $12, $13, $14, $15, $16)
        AND created_revision <= $2 AND deleted_revision > $2
        AND (expires_at IS NULL OR expires_at > $3)
    ORDER BY object_type, object_id, relation, subject_type, subject_id, subject_relation
    LIMIT $4
) AS page ON true;

-- name: read_object
-- purpose: a page of the tuples of one object
-- index: relation_tuple_identity, store_pkey
WITH guard AS MATERIALIZED (
    SELECT id FROM store
    WHERE id = $1 AND deleted_at IS NULL AND oldest_revision <= $2 AND head_revision >= $2
)
SELECT page.*
FROM guard LEFT JOIN LATERAL (
    SELECT object_type, object_id, relation, subject_type, subject_id, subject_relation,
        caveat, context, expires_at
    FROM relation_tuple
    WHERE store_id = $1
        AND object_type = $5
        AND object_id = $6
        AND ($7::text IS NULL OR relation = $7)
        AND ($8::text IS NULL OR subject_type = $8)
        AND ($9::text IS NULL OR subject_id = $9)
        AND ($10::text IS NULL OR subject_relation = $10)
        AND (relation, subject_type, subject_id, subject_relation)
            >= ($13, $14, $15, $16)
        AND (object_type, object_id, relation, subject_type, subject_id, subject_relation)
            > ($11, $12, $13, $14, $15, $16)
        AND created_revision <= $2 AND deleted_revision > $2
        AND (expires_at IS NULL OR expires_at > $3)
    ORDER BY object_type, object_id, relation, subject_type, subject_id, subject_relation
    LIMIT $4
) AS page ON true;

-- name: read_type
-- purpose: a page of the tuples of one object type
-- index: relation_tuple_identity, store_pkey
WITH guard AS MATERIALIZED (
    SELECT id FROM store
    WHERE id = $1 AND deleted_at IS NULL AND oldest_revision <= $2 AND head_revision >= $2
)
SELECT page.*
FROM guard LEFT JOIN LATERAL (
    SELECT object_type, object_id, relation, subject_type, subject_id, subject_relation,
        caveat, context, expires_at
    FROM relation_tuple
    WHERE store_id = $1
        AND object_type = $5
        AND ($6::text IS NULL OR object_id = $6)
        AND ($7::text IS NULL OR relation = $7)
        AND ($8::text IS NULL OR subject_type = $8)
        AND ($9::text IS NULL OR subject_id = $9)
        AND ($10::text IS NULL OR subject_relation = $10)
        AND (object_id, relation, subject_type, subject_id, subject_relation)
            >= ($12, $13, $14, $15, $16)
        AND (object_type, object_id, relation, subject_type, subject_id, subject_relation)
            > ($11, $12, $13, $14, $15, $16)
        AND created_revision <= $2 AND deleted_revision > $2
        AND (expires_at IS NULL OR expires_at > $3)
    ORDER BY object_type, object_id, relation, subject_type, subject_id, subject_relation
    LIMIT $4
) AS page ON true;

-- name: read_store
-- purpose: a page of a whole store, filtered
-- index: relation_tuple_identity, store_pkey
WITH guard AS MATERIALIZED (
    SELECT id FROM store
    WHERE id = $1 AND deleted_at IS NULL AND oldest_revision <= $2 AND head_revision >= $2
)
SELECT page.*
FROM guard LEFT JOIN LATERAL (
    SELECT object_type, object_id, relation, subject_type, subject_id, subject_relation,
        caveat, context, expires_at
    FROM relation_tuple
    WHERE store_id = $1
        AND ($5::text IS NULL OR object_type = $5)
        AND ($6::text IS NULL OR object_id = $6)
        AND ($7::text IS NULL OR relation = $7)
        AND ($8::text IS NULL OR subject_type = $8)
        AND ($9::text IS NULL OR subject_id = $9)
        AND ($10::text IS NULL OR subject_relation = $10)
        AND (object_type, object_id, relation, subject_type, subject_id, subject_relation)
            > ($11, $12, $13, $14, $15, $16)
        AND created_revision <= $2 AND deleted_revision > $2
        AND (expires_at IS NULL OR expires_at > $3)
    ORDER BY object_type, object_id, relation, subject_type, subject_id, subject_relation
    LIMIT $4
) AS page ON true;

-- name: read_subject
-- purpose: a page of the tuples of one subject, its relation known
-- index: relation_tuple_subject, store_pkey
WITH guard AS MATERIALIZED (
    SELECT id FROM store
    WHERE id = $1 AND deleted_at IS NULL AND oldest_revision <= $2 AND head_revision >= $2
)
SELECT page.*
FROM guard LEFT JOIN LATERAL (
    SELECT object_type, object_id, relation, subject_type, subject_id, subject_relation,
        caveat, context, expires_at
    FROM relation_tuple
    WHERE store_id = $1 AND subject_id <> ''
        AND ($5::text IS NULL OR object_type = $5)
        AND ($6::text IS NULL OR object_id = $6)
        AND ($7::text IS NULL OR relation = $7)
        AND subject_type = $8
        AND subject_id = $9
        AND subject_relation = $10
        AND (object_type, object_id, relation)
            >= ($11, $12, $13)
        AND (object_type, object_id, relation, subject_type, subject_id, subject_relation)
            > ($11, $12, $13, $14, $15, $16)
        AND created_revision <= $2 AND deleted_revision > $2
        AND (expires_at IS NULL OR expires_at > $3)
    ORDER BY object_type, object_id, relation, subject_type, subject_id, subject_relation
    LIMIT $4
) AS page ON true;

-- name: read_subject_id
-- purpose: a page of the tuples of one subject under any subject relation
-- index: relation_tuple_subject, store_pkey
WITH guard AS MATERIALIZED (
    SELECT id FROM store
    WHERE id = $1 AND deleted_at IS NULL AND oldest_revision <= $2 AND head_revision >= $2
)
SELECT page.*
FROM guard LEFT JOIN LATERAL (
    SELECT * FROM (
        SELECT object_type, object_id, relation, subject_type, subject_id, subject_relation,
            caveat, context, expires_at
        FROM relation_tuple
        WHERE store_id = $1 AND subject_id <> ''
            AND ($5::text IS NULL OR object_type = $5)
            AND ($6::text IS NULL OR object_id = $6)
            AND ($7::text IS NULL OR relation = $7)
            AND subject_type = $8
            AND subject_id = $9
            AND ($10::text IS NULL OR subject_relation = $10)
            AND (object_type, object_id, relation, subject_type, subject_id, subject_relation)
                > ($11, $12, $13, $14, $15, $16)
            AND created_revision <= $2 AND deleted_revision > $2
            AND (expires_at IS NULL OR expires_at > $3)
        OFFSET 0  -- sorted below: the order must not lead to a walk of the whole store
    ) AS related
    ORDER BY object_type, object_id, relation, subject_type, subject_id, subject_relation
    LIMIT $4
) AS page ON true;
