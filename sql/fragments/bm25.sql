-- Computes a term's factor of the BM25 score, without the term's weight.
--
-- Used by: word_scores.sql. $22 is the mean length of a source, $24 is k1 and $25 is b.
p.frequency * ($24::float8 + 1) / (p.frequency + $24::float8 * (1 - $25::float8 + $25::float8 * p.length / $22::float8))
