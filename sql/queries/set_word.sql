-- Leaves a word on this connection, for read_word.sql to find.
--
-- Called by: session::keeps. Behind a transaction pooler the word stays on somebody's backend, where nobody looks for it.
SELECT set_config('pgrecall.word', $1, false)
