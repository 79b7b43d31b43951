-- Creates a space's table, once its dimension is known.
--
-- Called by: spaces::learn_dimension. The function in V29 handles two concurrent calls.
SELECT make_space($1::int4, $2::int4)
