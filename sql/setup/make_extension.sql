-- Makes pgvector's extension.
--
-- Called by: pgrecall_runtime::embedded::extension, as the superuser, over the first connection to a new private database.
CREATE EXTENSION IF NOT EXISTS vector
