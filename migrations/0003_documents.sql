-- What dialects keep beside tuples and schemas, which no answer depends on; and when a store's title
-- was last changed, NULL while it has its first.

CREATE TABLE document (
    store_id uuid NOT NULL,
    kind     text COLLATE "C" NOT NULL,
    name     text COLLATE "C" NOT NULL,
    text     text COLLATE "C" NOT NULL,
    PRIMARY KEY (store_id, kind, name)
);

ALTER TABLE store ADD COLUMN updated_at timestamptz;
