-- Where a passage begins in its record's text, in characters, so that a result leads to its place in a long text. NULL in rows that a program of the
-- previous version wrote: a recall then looks for the passage in the text.
ALTER TABLE passages ADD COLUMN starts_at int CHECK (starts_at >= 0);
