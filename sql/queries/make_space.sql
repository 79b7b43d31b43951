-- Makes a space's table, once its dimension is known.
--
-- Called by: spaces::learn_dimension. See the function in V29 for what two callers at once do.
SELECT make_space($1::int4, $2::int4)
