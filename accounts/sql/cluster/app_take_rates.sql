-- Takes calls from rates, as the statement of accounts/limits/call_rates.py does for plain PostgreSQL.
--
-- steps   how many microseconds the calls take from each rate, in the order of the subjects
-- Returns each subject with how far its rate is ahead then, in microseconds.
-- Locks: the account's rate_states rows, in the order of the subjects. Raises: nothing of its own.
CREATE OR REPLACE FUNCTION app_take_rates(
    the_account uuid, subjects text[], steps bigint[]
) RETURNS TABLE (subject text, ahead bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    moment timestamptz := now();
    arrived timestamptz;
    each record;
BEGIN
    FOR each IN SELECT * FROM unnest(subjects, steps) AS asked (whose, step) LOOP
        arrived := moment + each.step * interval '1 microsecond';
        INSERT INTO rate_states AS known (account_id, subject, arrival)
            VALUES (the_account, each.whose, arrived)
            ON CONFLICT (account_id, subject) DO UPDATE
                SET arrival = app_later(known.arrival, moment, excluded.arrival)
            RETURNING arrival INTO arrived;
        RETURN QUERY SELECT each.whose, (extract(epoch FROM arrived - moment) * 1000000)::bigint;
    END LOOP;
END
$$;
