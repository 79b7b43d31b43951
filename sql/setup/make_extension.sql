-- Creates pgvector's extension.
--
-- Called by: runtime::embedded::extension, as the superuser, on the first connection to a new
-- private database.
CREATE EXTENSION IF NOT EXISTS vector
