-- What a statement on the queue paid for beside its work. A lease token is made by the worker that claims, by chance, since this version; the
-- sequence `lease_tokens` stays for those that still run as the version before.

-- Each statement that writes a job reads the constraints anew, word by word: these were a fifth of a single enqueue. What they keep out is what
-- would leave a job in limbo: one that is held by nobody and is neither ready nor has a time, or one that is held without a holder.
ALTER TABLE index_jobs
    DROP CONSTRAINT counts_are_counts,
    DROP CONSTRAINT status_tells_the_rest,
    ADD CONSTRAINT status_tells_the_rest CHECK (
        (lease_token IS NULL) = (worker IS NULL)
        AND CASE WHEN lease_token IS NULL THEN status = 'pending' OR next_run_at IS NOT NULL ELSE status = 'running' END);
