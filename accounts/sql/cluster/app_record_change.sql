-- As sql/app_record_change.sql does, for rows on workers: it writes as whoever changes the row, for
-- Citus lets one transaction write a shard as one user only; names of people and accounts stay on the
-- coordinator, so an entry of a worker shows ids; entries of no account have the nil id.
-- Locks: the new audit_log row. Raises: nothing of its own.
CREATE OR REPLACE FUNCTION app_record_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
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
    -- On a worker the table has the number of its shard behind its name.
    the_table text := regexp_replace(TG_TABLE_NAME, '_[0-9]{5,}$', '');
    on_shard boolean := TG_TABLE_NAME <> the_table;
    still_there boolean;
    values_of text[];
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
    IF account IS NOT NULL AND NOT on_shard THEN
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
    IF label = 'user_id' AND NOT on_shard THEN
        EXECUTE format('SELECT coalesce(max(email), $2) FROM %I.users WHERE id = $1',
            TG_TABLE_SCHEMA) INTO shown USING (whole ->> label)::uuid, shown;
        shown := concat_ws(' as ', shown, whole ->> 'role');
    ELSIF label = 'account_id' AND NOT on_shard THEN
        EXECUTE format('SELECT coalesce(max(slug), $2) FROM %I.accounts WHERE id = $1',
            TG_TABLE_SCHEMA) INTO shown USING (whole ->> label)::uuid, shown;
    END IF;
    -- The clock's time and not the transaction's, so that entries are in the order of
    -- the changes.
    account := coalesce(account, '00000000-0000-0000-0000-000000000000');
    values_of := ARRAY[coalesce(actor ->> 'kind', 'system'), coalesce(actor ->> 'id', ''),
        coalesce(actor ->> 'name', ''),
        CASE TG_OP WHEN 'INSERT' THEN 'created' WHEN 'UPDATE' THEN 'changed' ELSE 'deleted' END,
        the_table, coalesce(whole ->> 'id', whole ->> 'account_id'), left(coalesce(shown, ''), 255),
        coalesce(actor ->> 'reason', '')];
    IF current_user IN ('salient_tenant', 'salient_platform') THEN
        INSERT INTO {schema}.audit_log (id, account_id, created_at, actor_kind, actor_id, actor,
                action, object_type, object_id, object, changes, reason)
            VALUES (gen_random_uuid(), account, clock_timestamp(), values_of[1], values_of[2],
                values_of[3], values_of[4], values_of[5], values_of[6], values_of[7], changes,
                values_of[8]);
    ELSE
        -- A login outside of any context: it may not write the log itself.
        PERFORM {schema}.app_record(account, values_of, changes);
    END IF;
    RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION app_record_change() FROM PUBLIC;
