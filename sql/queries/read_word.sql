-- Returns the word of set_word.sql; NULL or empty if none was set.
--
-- Called by: session::keeps.
SELECT current_setting('pgrecall.word', true) AS word
