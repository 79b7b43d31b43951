-- Sets a word on this connection, which read_word.sql looks for.
--
-- Called by: session::keeps. Behind a transaction pooler the word stays on another client's
-- backend, where nothing reads it.
SELECT set_config('pgrecall.word', $1, false)
