-- Restricts a claim to single writes that start within the next $6 passages of virtual time.
--
-- Used by: claim.sql, for a claim ahead ($7). In a bulk write, only the last job has a flow.
AND order_key <= (SELECT timestamptz 'epoch' + $6::int8 * interval '1 millisecond'
                         + pg_sequence_last_value(('queue_clock_' || $1::int4 % 4)::regclass) * interval '1 microsecond')
      AND flow IS NOT NULL AND items_total <= $6::int8 AND crash_count = 0
