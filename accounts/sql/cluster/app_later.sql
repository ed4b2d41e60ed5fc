-- Returns when all calls of a rate are allowed, as app_take_limits counts: IMMUTABLE, which Citus
-- wants of what stands in ON CONFLICT DO UPDATE. The sums are of hours and less: no time zone matters.
-- Locks: none. Raises: nothing of its own.
CREATE OR REPLACE FUNCTION app_later(
    known timestamptz, moment timestamptz, asked timestamptz
) RETURNS timestamptz LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN greatest(known, moment) + (asked - moment);
END $$;
