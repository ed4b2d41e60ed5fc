-- Trigger function of usage_days: deletes the kept totals of a day that was over and has changed.
--
-- The triggers fire only for days before yesterday, so settling a turn costs no more than
-- comparing the date. It runs as the tables' owner: no role may delete totals.
-- Locks: the shared advisory lock of usage_totals, which whoever sums a day holds exclusively;
-- then the deleted rows. Raises: nothing of its own.
CREATE OR REPLACE FUNCTION app_forget_totals() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtextextended('usage_totals', 0));
    EXECUTE format('DELETE FROM %I.usage_totals WHERE day = $1', TG_TABLE_SCHEMA)
        USING CASE WHEN TG_OP = 'DELETE' THEN OLD.day ELSE NEW.day END;
    RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION app_forget_totals() FROM PUBLIC;
