-- Trigger function: writes one audit_log row for each row that was inserted, updated or deleted.
--
-- Trigger arguments, in this order:
--     1  the column that names the row (for “user_id” and “account_id”: the e-mail, the slug)
--     2  columns that are not recorded, separated by commas; their changes write nothing
--     3  columns whose values are secret, separated by commas: recorded as “(secret)”
-- app.actor, which the context sets, is JSON: {"kind", "id", "name", "reason"}; empty: the system.
-- audit_log.changes: {column: [before, after]}.
--
-- It runs as the tables' owner, so that no role needs the right to write the log.
-- Locks: the new audit_log row. Raises: nothing of its own.
CREATE OR REPLACE FUNCTION app_record_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- The column that names the row; columns not recorded; columns recorded without values.
    label text := TG_ARGV[0];
    ignored text[] := string_to_array(TG_ARGV[1], ',');
    secret text[] := string_to_array(TG_ARGV[2], ',');
    before jsonb := CASE WHEN TG_OP = 'INSERT' THEN '{}'::jsonb ELSE to_jsonb(OLD) END;
    after jsonb := CASE WHEN TG_OP = 'DELETE' THEN '{}'::jsonb ELSE to_jsonb(NEW) END;
    whole jsonb := CASE WHEN TG_OP = 'DELETE' THEN to_jsonb(OLD) ELSE to_jsonb(NEW) END;
    actor jsonb := coalesce(nullif(current_setting('app.actor', true), ''), '{}')::jsonb;
    account uuid := whole ->> CASE WHEN TG_TABLE_NAME = 'accounts' THEN 'id' ELSE 'account_id' END;
    shown text := whole ->> label;
    changes jsonb;
    still_there boolean;
BEGIN
    SELECT coalesce(jsonb_object_agg(name, CASE
            WHEN name = ANY (secret) THEN '["(secret)", "(secret)"]'::jsonb
            ELSE jsonb_build_array(before -> name, after -> name)
        END), '{}')
        INTO changes
        FROM jsonb_object_keys(whole) AS name
        WHERE name <> ALL (ignored) AND before -> name IS DISTINCT FROM after -> name
            AND (coalesce(before ->> name, '') <> '' OR coalesce(after ->> name, '') <> '');
    IF TG_OP = 'UPDATE' AND changes = '{}' THEN
        RETURN NULL;
    END IF;
    IF account IS NOT NULL THEN
        EXECUTE format('SELECT EXISTS (SELECT FROM %I.accounts WHERE id = $1)', TG_TABLE_SCHEMA)
            INTO still_there USING account;
        IF NOT still_there THEN
            -- The account is being erased: only its own deletion is recorded, and the
            -- entry belongs to no account.
            IF TG_TABLE_NAME <> 'accounts' THEN
                RETURN NULL;
            END IF;
            account := NULL;
        END IF;
    END IF;
    -- A row without a name of its own is shown by its owner: a membership as “ann@… as owner”.
    IF label = 'user_id' THEN
        EXECUTE format('SELECT coalesce(max(email), $2) FROM %I.users WHERE id = $1',
            TG_TABLE_SCHEMA) INTO shown USING (whole ->> label)::uuid, shown;
        shown := concat_ws(' as ', shown, whole ->> 'role');
    ELSIF label = 'account_id' THEN
        EXECUTE format('SELECT coalesce(max(slug), $2) FROM %I.accounts WHERE id = $1',
            TG_TABLE_SCHEMA) INTO shown USING (whole ->> label)::uuid, shown;
    END IF;
    -- The clock's time and not the transaction's, so that entries are in the order of
    -- the changes.
    EXECUTE format(
        'INSERT INTO %I.audit_log (id, account_id, created_at, actor_kind, actor_id, actor, '
        'action, object_type, object_id, object, changes, reason) '
        'VALUES ($1, $2, clock_timestamp(), $3, $4, $5, $6, $7, $8, $9, $10, $11)', TG_TABLE_SCHEMA)
        USING gen_random_uuid(), account, coalesce(actor ->> 'kind', 'system'),
            coalesce(actor ->> 'id', ''), coalesce(actor ->> 'name', ''),
            CASE TG_OP WHEN 'INSERT' THEN 'created' WHEN 'UPDATE' THEN 'changed' ELSE 'deleted' END,
            TG_TABLE_NAME, coalesce(whole ->> 'id', whole ->> 'account_id'),
            left(coalesce(shown, ''), 255), changes, coalesce(actor ->> 'reason', '');
    RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION app_record_change() FROM PUBLIC;
