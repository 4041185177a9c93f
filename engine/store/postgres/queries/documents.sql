-- Documents: what dialects keep beside tuples and schemas.

-- name: put_document
-- purpose: write or replace a document of a living store
-- index: store_pkey, document_pkey
INSERT INTO document (store_id, kind, name, text)
SELECT id, $2, $3, $4 FROM store WHERE id = $1 AND deleted_at IS NULL FOR SHARE
ON CONFLICT (store_id, kind, name) DO UPDATE SET text = excluded.text;

-- name: document
-- purpose: a document of a living store; its text is NULL where there is none
-- index: store_pkey, document_pkey
SELECT document.text
FROM store
LEFT JOIN document ON document.store_id = $1 AND document.kind = $2 AND document.name = $3
WHERE store.id = $1 AND store.deleted_at IS NULL;
