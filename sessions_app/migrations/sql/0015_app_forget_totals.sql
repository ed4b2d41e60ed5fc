CREATE OR REPLACE FUNCTION app_forget_totals() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtextextended('usage_totals', 0));
    EXECUTE format('DELETE FROM %I.usage_totals WHERE day = $1', TG_TABLE_SCHEMA)
        USING CASE WHEN TG_OP = 'DELETE' THEN OLD.day ELSE NEW.day END;
    RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION app_forget_totals() FROM PUBLIC;
