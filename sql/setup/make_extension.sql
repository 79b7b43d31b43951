-- Makes pgvector's extension.
--
-- Called by: shared::embedded::extension, as the superuser, over the first connection to a new private database.
CREATE EXTENSION IF NOT EXISTS vector
