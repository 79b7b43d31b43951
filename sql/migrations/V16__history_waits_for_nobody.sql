-- A new day's partition, and the drop of an old one, need a lock on the whole history that waits for every reader of it, and every settle waits behind
-- it, with its jobs locked. They give up soon; tomorrow's partition has a day of hours to be made in, and a day without one stays in the rest.
CREATE OR REPLACE FUNCTION rotate_history(retention_days int) RETURNS int
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET timezone = 'UTC' SET lock_timeout = '500ms'
AS $$
DECLARE
    day       date;
    partition text;
    dropped   int := 0;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('pgrecall.rotate_history')) THEN
        RETURN 0;
    END IF;
    FOR day IN SELECT current_date + n FROM generate_series(0, 1) n LOOP
        partition := 'index_job_history_' || to_char(day, 'YYYYMMDD');
        -- Rows that fell into the rest before the partition was made would block it: that day then stays in the rest.
        IF to_regclass(partition) IS NULL
            AND NOT EXISTS (SELECT FROM index_job_history_rest WHERE finished_at >= day AND finished_at < day + 1) THEN
            BEGIN
                EXECUTE format('CREATE TABLE %I PARTITION OF index_job_history FOR VALUES FROM (%L) TO (%L)', partition, day, day + 1);
            EXCEPTION WHEN lock_not_available THEN
                NULL;
            END;
        END IF;
    END LOOP;
    FOR partition IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'index_job_history'::regclass AND c.relname ~ '^index_job_history_\d{8}$'
          AND to_date(right(c.relname, 8), 'YYYYMMDD') < current_date - retention_days
    LOOP
        BEGIN
            EXECUTE format('DROP TABLE %I', partition);
            dropped := dropped + 1;
        EXCEPTION WHEN lock_not_available THEN
            NULL;
        END;
    END LOOP;
    DELETE FROM index_job_history_rest WHERE finished_at < current_date - retention_days;
    RETURN dropped;
END
$$;
