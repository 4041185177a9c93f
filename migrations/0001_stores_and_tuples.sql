-- The first schema: stores with their own revisions, and tuples in many versions.
--
-- A row of relation_tuple is visible at revision R when created_revision <= R < deleted_revision.
-- deleted_revision is the greatest bigint, 9223372036854775807, while the tuple is alive.
-- Text compares as bytes (COLLATE "C"), so that ids are never folded and sort as in the engine.
-- Stamps are unsigned 64-bit numbers kept in the signed bigint of the same bits.
--
-- On a new table, of which nothing is known, several indexes look alike to the planner, and a plan
-- made then may be kept for long. So one index of a table serves every statement, and the others
-- are partial, some under a condition that always holds: they are open only to the statements
-- that state the condition.

CREATE TABLE store (
    id              uuid        PRIMARY KEY,
    name            text        COLLATE "C" NOT NULL,
    created_at      timestamptz NOT NULL,
    head_revision   bigint      NOT NULL,
    oldest_revision bigint      NOT NULL,
    stamp           bigint      NOT NULL,
    schema_version  integer     NOT NULL,
    committed_at    timestamptz NOT NULL,
    deleted_at      timestamptz,
    CHECK (0 <= oldest_revision AND oldest_revision <= head_revision)
) WITH (fillfactor = 50);  -- every write updates its store row: room for heap-only updates

CREATE UNIQUE INDEX store_living_name ON store (name) WHERE name <> '' AND deleted_at IS NULL;
CREATE INDEX store_deleted ON store (id) WHERE deleted_at IS NOT NULL;

CREATE TABLE revision (
    store_id       uuid        NOT NULL,
    revision       bigint      NOT NULL,
    stamp          bigint      NOT NULL,
    schema_version integer     NOT NULL,
    committed_at   timestamptz NOT NULL,
    schema_changed boolean     NOT NULL,
    actor          text        COLLATE "C" NOT NULL,
    metadata       text        COLLATE "C" NOT NULL,
    PRIMARY KEY (store_id, revision)
);

CREATE INDEX revision_committed ON revision (store_id, committed_at, revision)
    WHERE revision >= 0;

CREATE TABLE schema_version (
    store_id         uuid    NOT NULL,
    version          integer NOT NULL,
    text             text    COLLATE "C" NOT NULL,
    language         text    COLLATE "C" NOT NULL,
    created_revision bigint  NOT NULL,
    PRIMARY KEY (store_id, version)
);

CREATE TABLE relation_tuple (
    store_id         uuid   NOT NULL,
    object_type      text   COLLATE "C" NOT NULL,
    object_id        text   COLLATE "C" NOT NULL,
    relation         text   COLLATE "C" NOT NULL,
    subject_type     text   COLLATE "C" NOT NULL,
    subject_id       text   COLLATE "C" NOT NULL,
    subject_relation text   COLLATE "C" NOT NULL,
    caveat           text   COLLATE "C" NOT NULL,
    context          text   COLLATE "C" NOT NULL,
    expires_at       timestamptz,
    created_revision bigint NOT NULL,
    deleted_revision bigint NOT NULL DEFAULT 9223372036854775807,
    CHECK (created_revision < deleted_revision)
);

-- Probes, scans and sorted reads. Being unique, it allows one living row per identity.
CREATE UNIQUE INDEX relation_tuple_identity ON relation_tuple (
    store_id, object_type, object_id, relation,
    subject_type, subject_id, subject_relation, deleted_revision
);

-- Scans for usersets alone, on objects that have very many direct subjects.
CREATE INDEX relation_tuple_usersets ON relation_tuple (
    store_id, object_type, object_id, relation, deleted_revision
) WHERE subject_relation <> '';

-- What a subject is related to. For one subject its order is that of tuple identities.
CREATE INDEX relation_tuple_subject ON relation_tuple (
    store_id, subject_type, subject_id, subject_relation,
    object_type, object_id, relation, deleted_revision
) WHERE subject_id <> '';

-- Whether a schema write would orphan tuples. Few distinct keys, so it stays small.
CREATE INDEX relation_tuple_shape ON relation_tuple (
    store_id, object_type, relation, subject_type, subject_relation
) WHERE relation <> '' AND deleted_revision = 9223372036854775807;

-- The changelog: what a revision created, and what it closed. The second serves collection too.
CREATE INDEX relation_tuple_created ON relation_tuple (store_id, created_revision)
    WHERE created_revision > 0;
CREATE INDEX relation_tuple_closed ON relation_tuple (store_id, deleted_revision)
    WHERE deleted_revision < 9223372036854775807;

CREATE INDEX relation_tuple_expiry ON relation_tuple (store_id, expires_at)
    WHERE expires_at IS NOT NULL AND deleted_revision = 9223372036854775807;

CREATE TABLE idempotency (
    store_id       uuid        NOT NULL,
    key            text        COLLATE "C" NOT NULL,
    digest         bytea       NOT NULL,
    outcome        text        COLLATE "C" NOT NULL,
    revision       bigint      NOT NULL,
    stamp          bigint      NOT NULL,
    schema_version integer     NOT NULL,
    committed_at   timestamptz NOT NULL,
    used_at        timestamptz NOT NULL,
    PRIMARY KEY (store_id, key)
);

CREATE INDEX idempotency_used ON idempotency (used_at);

-- Secrets that seal cursors, the greatest generation first.
CREATE TABLE secret (
    generation bigint      PRIMARY KEY,
    value      bytea       NOT NULL,
    created_at timestamptz NOT NULL
);
