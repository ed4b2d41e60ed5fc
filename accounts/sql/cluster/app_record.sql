-- Writes an entry of the audit log as the tables' owner, for app_record_change.
--
-- told   actor_kind, actor_id, actor, action, object_type, object_id, object, reason
-- Locks: the new audit_log row. Raises: nothing of its own.
CREATE OR REPLACE FUNCTION app_record(account uuid, told text[], changes jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO {schema}.audit_log (id, account_id, created_at, actor_kind, actor_id, actor, action,
            object_type, object_id, object, changes, reason)
        VALUES (gen_random_uuid(), account, clock_timestamp(), told[1], told[2], told[3], told[4],
            told[5], told[6], told[7], changes, told[8]);
END $$;
