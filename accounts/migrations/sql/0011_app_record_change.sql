CREATE OR REPLACE FUNCTION app_record_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- What people call the row; what is not worth a line; what nobody may read.
    label text := TG_ARGV[0];
    ignored text[] := string_to_array(TG_ARGV[1], ',');
    secret text[] := string_to_array(TG_ARGV[2], ',');
    before jsonb := CASE WHEN TG_OP = 'INSERT' THEN '{}'::jsonb ELSE to_jsonb(OLD) END;
    after jsonb := CASE WHEN TG_OP = 'DELETE' THEN '{}'::jsonb ELSE to_jsonb(NEW) END;
    whole jsonb := CASE WHEN TG_OP = 'DELETE' THEN to_jsonb(OLD) ELSE to_jsonb(NEW) END;
    actor jsonb := coalesce(nullif(current_setting('app.actor', true), ''), '{}')::jsonb;
    account uuid := whole ->> CASE WHEN TG_TABLE_NAME = 'accounts' THEN 'id' ELSE 'account_id' END;
    told text := whole ->> label;
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
            -- The account is being erased: of it only its end is told, and not to itself.
            IF TG_TABLE_NAME <> 'accounts' THEN
                RETURN NULL;
            END IF;
            account := NULL;
        END IF;
    END IF;
    -- What has no name of its own is told by whose it is: a membership as “ann@… as owner”.
    IF label = 'user_id' THEN
        EXECUTE format('SELECT coalesce(max(email), $2) FROM %I.users WHERE id = $1',
            TG_TABLE_SCHEMA) INTO told USING (whole ->> label)::uuid, told;
        told := concat_ws(' as ', told, whole ->> 'role');
    ELSIF label = 'account_id' THEN
        EXECUTE format('SELECT coalesce(max(slug), $2) FROM %I.accounts WHERE id = $1',
            TG_TABLE_SCHEMA) INTO told USING (whole ->> label)::uuid, told;
    END IF;
    -- The clock's time, and not the transaction's: entries read in the order in which things were
    -- done.
    EXECUTE format(
        'INSERT INTO %I.audit_log (id, account_id, created_at, actor_kind, actor_id, actor, '
        'action, object_type, object_id, object, changes, reason) '
        'VALUES ($1, $2, clock_timestamp(), $3, $4, $5, $6, $7, $8, $9, $10, $11)', TG_TABLE_SCHEMA)
        USING gen_random_uuid(), account, coalesce(actor ->> 'kind', 'system'),
            coalesce(actor ->> 'id', ''), coalesce(actor ->> 'name', ''),
            CASE TG_OP WHEN 'INSERT' THEN 'created' WHEN 'UPDATE' THEN 'changed' ELSE 'deleted' END,
            TG_TABLE_NAME, coalesce(whole ->> 'id', whole ->> 'account_id'),
            left(coalesce(told, ''), 255), changes, coalesce(actor ->> 'reason', '');
    RETURN NULL;
END $$;
