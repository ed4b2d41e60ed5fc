-- A database of the last commit before the migrations were squashed (2e2dc50), as pg_dump --no-owner
-- --no-privileges --inserts wrote it: two accounts with a row in every table.
SET check_function_bodies = false;

CREATE FUNCTION public.app_count_budget(the_account uuid, the_instance uuid, since timestamp with time zone, OUT spent numeric, OUT reserved numeric) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
BEGIN
    -- The caller holds the account's account_limits row, so no turn is opened or settled meanwhile.
    SELECT coalesce(sum(charged_cost), 0) INTO spent FROM llm_requests
        WHERE account_id = the_account AND settled_at >= since
            AND created_at >= since - interval '1 day'
            AND agent_instance_id = coalesce(the_instance, agent_instance_id);
    SELECT coalesce(sum(reserved_cost), 0) INTO reserved FROM llm_requests
        WHERE account_id = the_account AND completion_status = 'running'
            AND agent_instance_id = coalesce(the_instance, agent_instance_id);
END
$$;

CREATE FUNCTION public.app_count_turn(the_account uuid, the_request uuid) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
DECLARE
    done llm_requests%ROWTYPE;
BEGIN
    SELECT * INTO done FROM llm_requests WHERE account_id = the_account AND id = the_request;
    UPDATE sessions SET
            turn_count = turn_count + 1,
            total_cost = total_cost + coalesce(done.total_cost, 0),
            unpriced_turns = unpriced_turns + (done.total_cost IS NULL)::integer,
            last_status = done.completion_status
        WHERE account_id = the_account AND id = done.session_id;
    PERFORM app_count_turns(the_account, done.agent_instance_id,
        (coalesce(done.settled_at, done.created_at) AT TIME ZONE 'UTC')::date,
        jsonb_build_array(to_jsonb(done)));
END
$$;

CREATE FUNCTION public.app_count_turns(the_account uuid, the_instance uuid, the_day date, turns jsonb) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
DECLARE
    used record;
    bucket integer;
    added integer[];
BEGIN
    FOR used IN
        SELECT provider || ':' || model AS model, count(*)::integer AS requests,
            (count(*) FILTER (WHERE completion_status IN ('error', 'partial')))::integer AS failed,
            (count(*) FILTER (WHERE completion_status = 'cancelled'))::integer AS cancelled,
            (count(*) FILTER (WHERE total_cost IS NULL))::integer AS unpriced,
            coalesce(sum(prompt_tokens), 0) AS input_tokens,
            coalesce(sum(cached_tokens), 0) AS cached_tokens,
            coalesce(sum(completion_tokens), 0) AS output_tokens,
            coalesce(sum(total_cost), 0) AS cost,
            coalesce(sum(latency_ms), 0) AS latency_ms,
            array_agg(width_bucket(latency_ms, ARRAY[
                2, 2, 3, 4, 6, 8, 12, 16, 23, 32, 46, 64, 91, 128, 182, 256, 363, 512, 725,
                1024, 1449, 2048, 2897, 4096, 5793, 8192, 11586, 16384, 23171, 32768, 46341,
                65536, 92682
            ]) + 1)
                FILTER (WHERE latency_ms IS NOT NULL) AS buckets
        FROM jsonb_to_recordset(turns) AS asked (
            provider text, model text, completion_status text, total_cost numeric(20, 8),
            prompt_tokens integer, cached_tokens integer, completion_tokens integer,
            latency_ms integer
        )
        GROUP BY 1 ORDER BY 1
    LOOP
        added := array_fill(0, ARRAY[34]);
        FOREACH bucket IN ARRAY coalesce(used.buckets, '{}') LOOP
            added[bucket] := added[bucket] + 1;
        END LOOP;
        UPDATE usage_days SET
                requests = requests + used.requests,
                failed = failed + used.failed,
                cancelled = cancelled + used.cancelled,
                unpriced = unpriced + used.unpriced,
                input_tokens = input_tokens + used.input_tokens,
                cached_tokens = cached_tokens + used.cached_tokens,
                output_tokens = output_tokens + used.output_tokens,
                cost = cost + used.cost,
                latency_ms = latency_ms + used.latency_ms,
                latency_buckets = ARRAY(
                    SELECT was + more
                    FROM unnest(latency_buckets, added) WITH ORDINALITY AS each (was, more, place)
                    ORDER BY place
                )
            WHERE account_id = the_account AND agent_instance_id = the_instance
                AND day = the_day AND model = used.model;
        IF NOT FOUND THEN
            INSERT INTO usage_days (account_id, agent_instance_id, day, model, requests, failed,
                    cancelled, unpriced, input_tokens, cached_tokens, output_tokens, cost,
                    latency_ms, latency_buckets)
                VALUES (the_account, the_instance, the_day, used.model, used.requests, used.failed,
                    used.cancelled, used.unpriced, used.input_tokens, used.cached_tokens,
                    used.output_tokens, used.cost, used.latency_ms, added);
        END IF;
    END LOOP;
END
$$;

CREATE FUNCTION public.app_count_usage(the_account uuid, the_instance uuid, the_day date, turn jsonb) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
DECLARE
    the_model text := (turn ->> 'provider') || ':' || (turn ->> 'model');
    status text := turn ->> 'completion_status';
    latency integer := turn ->> 'latency_ms';
    price numeric(12, 8) := turn ->> 'total_cost';
    has_failed integer := (status IN ('error', 'partial'))::integer;
    was_cancelled integer := (status = 'cancelled')::integer;
    is_unpriced integer := (price IS NULL)::integer;
    tokens_in integer := coalesce((turn ->> 'prompt_tokens')::integer, 0);
    tokens_cached integer := coalesce((turn ->> 'cached_tokens')::integer, 0);
    tokens_out integer := coalesce((turn ->> 'completion_tokens')::integer, 0);
    was_timed integer := (latency IS NOT NULL)::integer;
    bucket integer := least(33, floor(2 * log(2, greatest(latency, 1)))) + 1;
    buckets integer[];
BEGIN
    UPDATE usage_days SET
            requests = requests + 1,
            failed = failed + has_failed,
            cancelled = cancelled + was_cancelled,
            unpriced = unpriced + is_unpriced,
            input_tokens = input_tokens + tokens_in,
            cached_tokens = cached_tokens + tokens_cached,
            output_tokens = output_tokens + tokens_out,
            cost = cost + coalesce(price, 0),
            latency_ms = latency_ms + coalesce(latency, 0),
            latency_buckets[bucket] = latency_buckets[bucket] + was_timed
        WHERE account_id = the_account AND agent_instance_id = the_instance
            AND day = the_day AND model = the_model;
    IF NOT FOUND THEN
        buckets := array_fill(0, ARRAY[34]);
        buckets[bucket] := was_timed;
        INSERT INTO usage_days (account_id, agent_instance_id, day, model, requests, failed,
                cancelled, unpriced, input_tokens, cached_tokens, output_tokens, cost, latency_ms,
                latency_buckets)
            VALUES (the_account, the_instance, the_day, the_model, 1, has_failed, was_cancelled,
                is_unpriced, tokens_in, tokens_cached, tokens_out, coalesce(price, 0),
                coalesce(latency, 0), buckets);
    END IF;
END
$$;

CREATE FUNCTION public.app_current_account() RETURNS uuid
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
DECLARE
    account text := pg_catalog.current_setting('app.account_id', true);
BEGIN
    IF account IS NULL OR account = '' THEN
        RAISE insufficient_privilege USING MESSAGE = 'no account is set: open a tenant context';
    END IF;
    RETURN account::uuid;
END $$;

CREATE FUNCTION public.app_find_account(wanted text) RETURNS TABLE(id uuid, slug text, name text, status text)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$ SELECT id, slug, name, status FROM "public".accounts WHERE slug = $1 $_$;

CREATE FUNCTION public.app_find_api_key(wanted text) RETURNS TABLE(id uuid, account_id uuid, account_slug text, account_status text, key_id text, secret_hash text, kind text, mode text, scopes text[], instance_ids uuid[], origins text[], networks text[], expires_at timestamp with time zone, revoked_at timestamp with time zone, rotated_at timestamp with time zone, last_used_at timestamp with time zone)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
    SELECT k.id, k.account_id, a.slug, a.status, k.key_id, k.secret_hash,
        k.kind, k.mode, k.scopes, k.instance_ids, k.origins, k.networks, k.expires_at,
        k.revoked_at, k.rotated_at, k.last_used_at
    FROM "public".api_keys k JOIN "public".accounts a
        ON a.id = k.account_id
    WHERE k.key_id = $1
$_$;

CREATE FUNCTION public.app_forget_totals() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtextextended('usage_totals', 0));
    EXECUTE format('DELETE FROM %I.usage_totals WHERE day = $1', TG_TABLE_SCHEMA)
        USING CASE WHEN TG_OP = 'DELETE' THEN OLD.day ELSE NEW.day END;
    RETURN NULL;
END $_$;

CREATE FUNCTION public.app_lock_sessions(the_account uuid, turns jsonb) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
DECLARE
    wanted uuid[];
BEGIN
    IF jsonb_array_length(turns) > 1 THEN
        wanted := ARRAY(
            SELECT (turn ->> 'session_id')::uuid FROM jsonb_array_elements(turns) AS turn
        );
        PERFORM FROM sessions WHERE account_id = the_account AND id = ANY(wanted)
            ORDER BY id FOR NO KEY UPDATE NOWAIT;
    END IF;
END
$$;

CREATE FUNCTION public.app_open_turn(turn jsonb) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
DECLARE
    the_account uuid := turn ->> 'account_id';
    the_instance uuid := turn ->> 'agent_instance_id';
    wanted uuid := turn ->> 'session_id';
    visitor text := turn ->> 'session_key';
    person text := turn ->> 'end_user';
    staff uuid := turn ->> 'staff_id';
    the_session uuid;
    said jsonb := '[]';
    messages integer := 0;
    bytes bigint := 0;
    reserved numeric;
    taken jsonb;
BEGIN
    IF wanted IS NOT NULL THEN
        SELECT id INTO the_session FROM sessions
            WHERE account_id = the_account AND id = wanted
                AND agent_instance_id = the_instance AND deleted_at IS NULL
                AND (visitor IS NULL OR session_key = visitor)
                AND (person IS NULL OR end_user = person)
                AND (staff IS NULL OR user_id = staff)
            FOR NO KEY UPDATE;
        IF the_session IS NULL THEN
            RAISE EXCEPTION USING ERRCODE = 'SL404', MESSAGE = 'no such session';
        END IF;
    ELSIF visitor IS NOT NULL THEN
        SELECT id INTO the_session FROM sessions
            WHERE account_id = the_account AND session_key = visitor
                AND agent_instance_id = the_instance AND deleted_at IS NULL
            FOR NO KEY UPDATE;
    END IF;
    IF the_session IS NOT NULL THEN
        SELECT coalesce(jsonb_agg(jsonb_build_array(role, content)), '[]'), count(*),
                coalesce(sum(octet_length(content)), 0)
            INTO said, messages, bytes
            FROM (
                SELECT role, content FROM messages
                WHERE account_id = the_account AND session_id = the_session
                    AND agent_instance_id = the_instance AND role IN ('human', 'assistant')
                ORDER BY created_at DESC, id DESC
                LIMIT (turn ->> 'most_messages')::integer
            ) AS newest;
    ELSE
        -- Of two first messages of one visitor, the second waits here and finds the first one's
        -- session; its messages are not there yet.
        INSERT INTO sessions (id, account_id, account_slug, agent_instance_id,
                agent_instance_slug, session_key, end_user, user_id, is_anonymous)
            VALUES ((turn ->> 'new_session_id')::uuid, the_account, turn ->> 'account_slug',
                the_instance, turn ->> 'agent_instance_slug',
                coalesce(visitor, turn ->> 'new_session_key'), person, staff,
                coalesce(person, staff::text) IS NULL)
            ON CONFLICT (session_key, account_id) DO UPDATE SET session_key = excluded.session_key
                WHERE sessions.account_id = excluded.account_id
                    AND sessions.agent_instance_id = excluded.agent_instance_id
            RETURNING id INTO the_session;
        IF the_session IS NULL THEN
            RAISE EXCEPTION USING ERRCODE = 'SL404', MESSAGE = 'another agent''s session';
        END IF;
    END IF;

    -- The most that the turn may cost: what is known of it, and what its history adds.
    reserved := least(9999, round((turn ->> 'cost')::numeric
        + (turn ->> 'cost_per_byte')::numeric * bytes
        + (turn ->> 'cost_per_message')::numeric * messages, 8));
    INSERT INTO llm_requests (id, account_id, account_slug, agent_instance_id,
            agent_instance_slug, agent_type, session_id, config_version_id, provider, model,
            request_body, completion_status, error_code, requests, tokens_estimated, cost_source,
            caller, idempotency_key, idempotency_hash, is_test, reserved_cost)
        VALUES ((turn ->> 'request_id')::uuid, the_account, turn ->> 'account_slug', the_instance,
            turn ->> 'agent_instance_slug', turn ->> 'agent_type', the_session,
            (turn ->> 'config_version_id')::uuid, turn ->> 'provider', turn ->> 'model',
            (turn -> 'request_body')
                || jsonb_build_object('history_messages', messages, 'history_bytes', bytes),
            'running', '', 0, false, 'unknown', turn ->> 'caller', turn ->> 'idempotency_key',
            coalesce(turn ->> 'idempotency_hash', ''), (turn ->> 'is_test')::boolean, reserved);
    INSERT INTO messages (id, account_id, agent_instance_id, session_id, llm_request_id,
            config_version_id, role, content)
        VALUES ((turn ->> 'message_id')::uuid, the_account, the_instance, the_session,
            (turn ->> 'request_id')::uuid, (turn ->> 'config_version_id')::uuid, 'human',
            turn ->> 'message');

    taken := app_take_limits(the_account, the_instance,
        ARRAY(SELECT jsonb_array_elements_text(turn -> 'policies')),
        ARRAY(SELECT jsonb_array_elements_text(turn -> 'subjects')),
        ARRAY(SELECT jsonb_array_elements_text(turn -> 'quotas'))::integer[],
        (turn ->> 'most_turns')::integer, true, reserved, NULL);
    IF taken ->> 'refused' IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'SL429', MESSAGE =
            (taken || jsonb_build_object('cost', reserved::text))::text;
    END IF;
    RETURN jsonb_build_object('session_id', the_session, 'history', said,
        'reserved', reserved::text, 'rates', taken -> 'rates');
END
$$;

CREATE FUNCTION public.app_open_turns(turns jsonb) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
BEGIN
    RETURN app_open_turns((turns -> 0 ->> 'account_id')::uuid, turns);
END
$$;

CREATE FUNCTION public.app_open_turns(the_account uuid, turns jsonb) RETURNS jsonb
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $_$
DECLARE
    the_instance uuid := turns -> 0 ->> 'agent_instance_id';
    many integer := jsonb_array_length(turns);
    caller_timeout text := current_setting('lock_timeout');
    turn record;
    session record;
    history record;
    -- In the order of the turns; null for a turn that begins a conversation.
    known uuid[];
    histories jsonb[];
    messages integer[];
    bytes bigint[];
    the_sessions uuid[];
    reserved numeric[];
    total numeric;
    opened jsonb;
    limits jsonb;
BEGIN
    -- Existing sessions are locked by id, before any other row.
    IF turns @? '$[*] ? (@.session_id != null || @.session_key != null)' THEN
        IF many > 1 THEN
            PERFORM set_config('lock_timeout', '1ms', true);
        END IF;
        FOR turn IN
            SELECT *, coalesce(session_id, (
                    SELECT id FROM sessions
                    WHERE account_id = the_account AND session_key = asked.session_key
                        AND agent_instance_id = the_instance AND deleted_at IS NULL
                )) AS wanted
            FROM ROWS FROM (jsonb_to_recordset(turns) AS (
                session_id uuid, session_key text, end_user text, staff_id uuid,
                most_messages integer
            )) WITH ORDINALITY AS asked
            ORDER BY wanted
        LOOP
            CONTINUE WHEN turn.wanted IS NULL;
            SELECT id INTO session FROM sessions
                WHERE account_id = the_account AND id = turn.wanted
                    AND agent_instance_id = the_instance AND deleted_at IS NULL
                    AND (turn.session_key IS NULL OR session_key = turn.session_key)
                    AND (turn.session_id IS NULL OR (
                        (turn.end_user IS NULL OR end_user = turn.end_user)
                        AND (turn.staff_id IS NULL OR user_id = turn.staff_id)))
                FOR NO KEY UPDATE;
            IF FOUND THEN
                SELECT coalesce(jsonb_agg(jsonb_build_array(role, content)), '[]') AS texts,
                        count(*) AS messages, coalesce(sum(octet_length(content)), 0) AS bytes
                    INTO history
                    FROM (
                        SELECT role, content FROM messages
                        WHERE account_id = the_account AND session_id = session.id
                            AND agent_instance_id = the_instance
                            AND role IN ('human', 'assistant')
                        ORDER BY created_at DESC, id DESC
                        LIMIT turn.most_messages
                    ) AS newest;
                known[turn.ordinality] := session.id;
                histories[turn.ordinality] := history.texts;
                messages[turn.ordinality] := history.messages;
                bytes[turn.ordinality] := history.bytes;
            ELSIF turn.session_id IS NOT NULL THEN
                RAISE EXCEPTION USING ERRCODE = 'SL404', MESSAGE = 'no such session';
            END IF;
        END LOOP;
        PERFORM set_config('lock_timeout', caller_timeout, true);
    END IF;

    -- Of two first messages of one visitor the second waits here and gets the session of the first.
    -- The messages of the first are not visible yet.
    WITH made AS (
        INSERT INTO sessions (id, account_id, account_slug, agent_instance_id,
                agent_instance_slug, session_key, end_user, user_id, is_anonymous)
            SELECT new_session_id, the_account, account_slug, the_instance, agent_instance_slug,
                coalesce(session_key, new_session_key), end_user, staff_id,
                coalesce(end_user, staff_id::text) IS NULL
            FROM ROWS FROM (jsonb_to_recordset(turns) AS (
                new_session_id uuid, account_slug text, agent_instance_slug text, session_key text,
                new_session_key text, end_user text, staff_id uuid
            )) WITH ORDINALITY AS asked
            WHERE known[ordinality] IS NULL
            ON CONFLICT (session_key, account_id) DO UPDATE SET session_key = excluded.session_key
                WHERE sessions.agent_instance_id = excluded.agent_instance_id
            RETURNING id, session_key
    ), placed AS (
        SELECT ordinality AS place, coalesce(known[ordinality], made.id) AS session_id,
            -- The most that the turn may cost: the request itself, and what its history adds.
            least(999999999, round(cost + cost_per_byte * coalesce(bytes[ordinality], 0)
                + cost_per_message * coalesce(messages[ordinality], 0), 8)) AS most
        FROM ROWS FROM (jsonb_to_recordset(turns) AS (
            session_key text, new_session_key text, cost numeric, cost_per_byte numeric,
            cost_per_message numeric
        )) WITH ORDINALITY AS asked
        LEFT JOIN made ON made.session_key = coalesce(asked.session_key, asked.new_session_key)
    )
    SELECT array_agg(session_id ORDER BY place), array_agg(most ORDER BY place), sum(most),
            jsonb_agg(jsonb_build_object(
                'session_id', session_id, 'history', coalesce(histories[place], '[]'),
                'reserved', most::text
            ) ORDER BY place)
        INTO the_sessions, reserved, total, opened FROM placed;
    IF array_position(the_sessions, NULL) IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'SL404', MESSAGE = 'another agent''s session';
    END IF;

    INSERT INTO llm_requests (id, account_id, account_slug, agent_instance_id,
            agent_instance_slug, agent_type, session_id, config_version_id, provider, model,
            request_body, completion_status, error_code, requests, tokens_estimated,
            cost_source, caller, idempotency_key, idempotency_hash, is_test, server_process_id,
            reserved_cost)
        SELECT request_id, the_account, account_slug, the_instance, agent_instance_slug,
            agent_type, the_sessions[ordinality], config_version_id, provider, model,
            request_body || jsonb_build_object(
                'history_messages', coalesce(messages[ordinality], 0),
                'history_bytes', coalesce(bytes[ordinality], 0)
            ),
            'running', '', 0, false, 'unknown', caller, idempotency_key,
            coalesce(idempotency_hash, ''), is_test, server_process_id, reserved[ordinality]
        FROM ROWS FROM (jsonb_to_recordset(turns) AS (
            request_id uuid, account_slug text, agent_instance_slug text, agent_type text,
            config_version_id uuid, provider text, model text, request_body jsonb, caller text,
            idempotency_key text, idempotency_hash text, is_test boolean, server_process_id uuid
        )) WITH ORDINALITY AS asked;
    INSERT INTO messages (id, account_id, agent_instance_id, session_id, llm_request_id,
            config_version_id, role, content)
        SELECT message_id, the_account, the_instance, the_sessions[ordinality], request_id,
            config_version_id, 'human', message
        FROM ROWS FROM (jsonb_to_recordset(turns) AS (
            message_id uuid, request_id uuid, config_version_id uuid, message text
        )) WITH ORDINALITY AS asked;

    limits := app_take_limits(the_account, the_instance, turns -> 0 -> 'rates',
        (turns -> 0 ->> 'most_turns')::integer, many, many, total, NULL);
    IF limits ->> 'refused' IS NOT NULL THEN
        -- The error rolls the statement back, with all rows that it has written.
        RAISE EXCEPTION USING ERRCODE = 'SL429', MESSAGE =
            (limits || jsonb_build_object('cost', total::text))::text;
    END IF;
    RETURN jsonb_build_object('each', opened, 'all', limits -> 'rates');
END
$_$;

CREATE FUNCTION public.app_record_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
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
END $_$;

CREATE FUNCTION public.app_release_limits(the_account uuid, the_instance uuid, reservation numeric, cost numeric, moment timestamp with time zone) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
DECLARE
    alerts jsonb := '[]';
BEGIN
    UPDATE account_limits SET running = greatest(running - 1, 0) WHERE account_id = the_account;
    moment := coalesce(moment, clock_timestamp());
    IF cost > 0 OR reservation > 0 THEN
        -- A turn counts in the period in which it is settled; what others reserved stays reserved.
        UPDATE budgets
            SET spent = cost + CASE
                    WHEN period_start < date_trunc(period, moment, 'UTC') THEN 0 ELSE spent
                END,
                alerted_percent = CASE
                    WHEN period_start < date_trunc(period, moment, 'UTC') THEN 0
                    ELSE alerted_percent
                END,
                period_start = greatest(period_start, date_trunc(period, moment, 'UTC')),
                reserved = greatest(reserved - reservation, 0)
            WHERE account_id = the_account
                AND coalesce(agent_instance_id, the_instance) = the_instance;
        WITH reached AS (
            SELECT id, max(percent) AS percent
            FROM budgets, unnest(alert_percents) AS percent
            WHERE account_id = the_account
                AND coalesce(agent_instance_id, the_instance) = the_instance
                AND percent > alerted_percent AND spent > 0 AND spent * 100 >= percent * "limit"
            GROUP BY id
        ), told AS (
            UPDATE budgets SET alerted_percent = reached.percent
            FROM reached WHERE budgets.id = reached.id AND budgets.account_id = the_account
            RETURNING budgets.*
        )
        SELECT coalesce(jsonb_agg(jsonb_build_object(
            'percent', alerted_percent, 'instance', agent_instance_id, 'period', period,
            'period_start', period_start, 'limit', "limit"::text, 'spent', spent::text
        )), '[]') INTO alerts FROM told;
    END IF;
    RETURN jsonb_build_object('moment', moment, 'alerts', alerts);
END
$$;

CREATE FUNCTION public.app_release_limits(the_account uuid, the_instance uuid, turns integer, reservation numeric, cost numeric, moment timestamp with time zone) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
DECLARE
    has_alerts boolean := false;
    alerts jsonb := '[]';
BEGIN
    UPDATE account_limits SET running = greatest(running - turns, 0)
        WHERE account_id = the_account;
    moment := coalesce(moment, clock_timestamp());
    IF cost > 0 OR reservation > 0 THEN
        -- A turn counts in the period in which it is settled. Reservations of other turns stay.
        WITH settled AS (
            UPDATE budgets
                SET spent = cost + CASE
                        WHEN period_start < date_trunc(period, moment, 'UTC') THEN 0 ELSE spent
                    END,
                    alerted_percent = CASE
                        WHEN period_start < date_trunc(period, moment, 'UTC') THEN 0
                        ELSE alerted_percent
                    END,
                    period_start = greatest(period_start, date_trunc(period, moment, 'UTC')),
                    reserved = greatest(reserved - reservation, 0)
                WHERE account_id = the_account
                    AND coalesce(agent_instance_id, the_instance) = the_instance
                RETURNING *
        )
        SELECT bool_or(percent > alerted_percent AND spent > 0 AND spent * 100 >= percent * "limit")
            INTO has_alerts FROM settled, unnest(alert_percents) AS percent;
    END IF;
    IF has_alerts THEN
        WITH reached AS (
            SELECT id, max(percent) AS percent
            FROM budgets, unnest(alert_percents) AS percent
            WHERE account_id = the_account
                AND coalesce(agent_instance_id, the_instance) = the_instance
                AND percent > alerted_percent AND spent > 0 AND spent * 100 >= percent * "limit"
            GROUP BY id
        ), alerted AS (
            UPDATE budgets SET alerted_percent = reached.percent
            FROM reached WHERE budgets.id = reached.id AND budgets.account_id = the_account
            RETURNING budgets.*
        )
        SELECT coalesce(jsonb_agg(jsonb_build_object(
            'percent', alerted_percent, 'instance', agent_instance_id, 'period', period,
            'period_start', period_start, 'limit', "limit"::text, 'spent', spent::text
        )), '[]') INTO alerts FROM alerted;
    END IF;
    RETURN jsonb_build_object('moment', moment, 'alerts', alerts);
END
$$;

CREATE FUNCTION public.app_settle_turn(turn jsonb) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
DECLARE
    the_account uuid := turn ->> 'account_id';
    the_instance uuid := turn ->> 'agent_instance_id';
    the_session uuid := turn ->> 'session_id';
    the_request uuid := turn ->> 'request_id';
    moment timestamptz := clock_timestamp();
    released jsonb;
BEGIN
    UPDATE sessions SET last_activity_at = moment, updated_at = moment
        WHERE account_id = the_account AND id = the_session;
    UPDATE llm_requests SET
            provider = turn ->> 'provider',
            model = turn ->> 'model',
            completion_status = turn ->> 'completion_status',
            error_code = turn ->> 'error_code',
            requests = (turn ->> 'requests')::integer,
            prompt_tokens = (turn ->> 'prompt_tokens')::integer,
            completion_tokens = (turn ->> 'completion_tokens')::integer,
            cached_tokens = (turn ->> 'cached_tokens')::integer,
            total_tokens = (turn ->> 'total_tokens')::integer,
            tokens_estimated = (turn ->> 'tokens_estimated')::boolean,
            prompt_cost = (turn ->> 'prompt_cost')::numeric,
            completion_cost = (turn ->> 'completion_cost')::numeric,
            total_cost = (turn ->> 'total_cost')::numeric,
            cost_source = turn ->> 'cost_source',
            charged_cost = (turn ->> 'charged_cost')::numeric,
            latency_ms = (turn ->> 'latency_ms')::integer,
            time_to_first_token_ms = (turn ->> 'time_to_first_token_ms')::integer,
            response_body = turn -> 'response_body',
            settled_at = moment
        -- Not by its status: the index of all that run looks smaller than it is, and would be read.
        WHERE account_id = the_account AND id = the_request AND settled_at IS NULL;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'SL409', MESSAGE = 'settled before';
    END IF;
    IF turn ->> 'answer' IS NOT NULL THEN
        INSERT INTO messages (id, account_id, agent_instance_id, session_id, llm_request_id,
                config_version_id, role, content)
            VALUES ((turn ->> 'answer_id')::uuid, the_account, the_instance, the_session,
                the_request, (turn ->> 'config_version_id')::uuid, 'assistant', turn ->> 'answer')
            ON CONFLICT DO NOTHING;
    END IF;
    IF (turn ->> 'note_use')::boolean THEN
        UPDATE agent_instances SET last_used_at = moment
            WHERE account_id = the_account AND id = the_instance;
    END IF;
    released := app_release_limits(the_account, the_instance, (turn ->> 'reserved')::numeric,
        (turn ->> 'charged_cost')::numeric, NULL);
    IF ((released ->> 'moment')::timestamptz AT TIME ZONE 'UTC')::date
        <> (moment AT TIME ZONE 'UTC')::date THEN
        -- It counted in the day that began meanwhile: the row must say so too.
        UPDATE llm_requests SET settled_at = (released ->> 'moment')::timestamptz
            WHERE account_id = the_account AND id = the_request;
    END IF;
    PERFORM app_count_turn(the_account, the_request);
    RETURN released;
END
$$;

CREATE FUNCTION public.app_settle_turns(turns jsonb) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
BEGIN
    RETURN app_settle_turns((turns -> 0 ->> 'account_id')::uuid, turns);
END
$$;

CREATE FUNCTION public.app_settle_turns(the_account uuid, turns jsonb) RETURNS jsonb
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
DECLARE
    the_instance uuid := turns -> 0 ->> 'agent_instance_id';
    many integer := jsonb_array_length(turns);
    caller_timeout text := current_setting('lock_timeout');
    moment timestamptz := clock_timestamp();
    turn record;
    reserved numeric := 0;
    charged numeric := 0;
    note_use boolean := false;
    released jsonb;
    settled_at_last timestamptz;
BEGIN
    -- For rows only: the lock for extending a table is short, and worth waiting for.
    IF many > 1 THEN
        PERFORM set_config('lock_timeout', '1ms', true);
    END IF;
    FOR turn IN
        SELECT * FROM jsonb_to_recordset(turns) AS asked (session_id uuid) ORDER BY session_id
    LOOP
        PERFORM FROM sessions WHERE account_id = the_account AND id = turn.session_id
            FOR NO KEY UPDATE;
    END LOOP;
    PERFORM set_config('lock_timeout', caller_timeout, true);

    FOR turn IN
        SELECT * FROM jsonb_to_recordset(turns) AS asked (
            session_id uuid, request_id uuid, provider text, model text, completion_status text,
            error_code text, requests integer, prompt_tokens integer, completion_tokens integer,
            cached_tokens integer, total_tokens integer, tokens_estimated boolean,
            prompt_cost numeric(20, 8), completion_cost numeric(20, 8), total_cost numeric(20, 8),
            cost_source text, charged_cost numeric, latency_ms integer,
            time_to_first_token_ms integer, response_body jsonb, reserved numeric, note_use boolean
        )
    LOOP
        UPDATE sessions SET
                last_activity_at = moment,
                updated_at = moment,
                turn_count = turn_count + 1,
                total_cost = sessions.total_cost + coalesce(turn.total_cost, 0),
                unpriced_turns = unpriced_turns + (turn.total_cost IS NULL)::integer,
                last_status = turn.completion_status
            WHERE account_id = the_account AND id = turn.session_id;
        UPDATE llm_requests SET
                provider = turn.provider,
                model = turn.model,
                completion_status = turn.completion_status,
                error_code = turn.error_code,
                requests = turn.requests,
                prompt_tokens = turn.prompt_tokens,
                completion_tokens = turn.completion_tokens,
                cached_tokens = turn.cached_tokens,
                total_tokens = turn.total_tokens,
                tokens_estimated = turn.tokens_estimated,
                prompt_cost = turn.prompt_cost,
                completion_cost = turn.completion_cost,
                total_cost = turn.total_cost,
                cost_source = turn.cost_source,
                charged_cost = turn.charged_cost,
                latency_ms = turn.latency_ms,
                time_to_first_token_ms = turn.time_to_first_token_ms,
                response_body = turn.response_body,
                settled_at = moment
            -- Not by its status: the planner would read the index of running requests, which
            -- it takes for smaller than it is.
            WHERE account_id = the_account AND id = turn.request_id AND settled_at IS NULL;
        IF NOT FOUND THEN
            RAISE EXCEPTION USING ERRCODE = 'SL409', MESSAGE = 'settled before';
        END IF;
        reserved := reserved + turn.reserved;
        charged := charged + turn.charged_cost;
        note_use := note_use OR turn.note_use;
    END LOOP;

    INSERT INTO messages (id, account_id, agent_instance_id, session_id, llm_request_id,
            config_version_id, role, content)
        SELECT answer_id, the_account, the_instance, session_id, request_id, config_version_id,
            'assistant', answer
        FROM jsonb_to_recordset(turns) AS asked (
            answer_id uuid, session_id uuid, request_id uuid, config_version_id uuid, answer text
        )
        WHERE answer IS NOT NULL
        ON CONFLICT DO NOTHING;
    IF note_use THEN
        UPDATE agent_instances SET last_used_at = moment
            WHERE account_id = the_account AND id = the_instance;
    END IF;

    released := app_release_limits(the_account, the_instance, many, reserved, charged, NULL);
    settled_at_last := released ->> 'moment';
    IF (settled_at_last AT TIME ZONE 'UTC')::date <> (moment AT TIME ZONE 'UTC')::date THEN
        -- A new day began meanwhile, and the turns count in it: the rows get its date.
        FOR turn IN SELECT * FROM jsonb_to_recordset(turns) AS asked (request_id uuid) LOOP
            UPDATE llm_requests SET settled_at = settled_at_last
                WHERE account_id = the_account AND id = turn.request_id;
        END LOOP;
    END IF;
    PERFORM app_count_turns(
        the_account, the_instance, (settled_at_last AT TIME ZONE 'UTC')::date, turns);
    RETURN jsonb_build_object('all', released);
END
$$;

CREATE FUNCTION public.app_take_limits(the_account uuid, the_instance uuid, asked jsonb, most_turns integer, calls integer, turns integer, cost numeric, moment timestamp with time zone) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
DECLARE
    mine account_limits%ROWTYPE;
    short budgets%ROWTYPE;
    rates jsonb;
    is_over boolean;
    refused text;
    facts jsonb := '{}';
BEGIN
    -- Every change of an account's limits locks this row first, so no two of them can deadlock.
    UPDATE account_limits SET running = running + turns
        WHERE account_id = the_account RETURNING * INTO mine;
    IF NOT FOUND THEN
        INSERT INTO account_limits (account_id) VALUES (the_account) ON CONFLICT DO NOTHING;
        UPDATE account_limits SET running = running + turns
            WHERE account_id = the_account RETURNING * INTO mine;
    END IF;
    moment := coalesce(moment, clock_timestamp());

    -- Whole microseconds, the precision of timestamptz: the sums are exact.
    WITH policies AS (
        SELECT place, policy, subject, quota,
                ceil(60000000.0 / greatest(quota, 1))::bigint AS step
            FROM ROWS FROM (
                jsonb_to_recordset(asked) AS (policy text, subject text, usual bigint)
            ) WITH ORDINALITY AS each (policy, subject, usual, place),
            LATERAL (SELECT coalesce(
                CASE policy
                    WHEN 'account' THEN mine.requests_per_minute
                    WHEN 'key' THEN mine.requests_per_minute_per_key
                    WHEN 'visitor' THEN mine.requests_per_minute_per_visitor
                    WHEN 'network' THEN mine.requests_per_minute_per_network
                END, usual) AS quota) AS own
    ), changed AS (
        INSERT INTO rate_states AS known (account_id, subject, arrival)
            SELECT the_account, subject, moment + calls * step * interval '1 microsecond'
                FROM policies
            ON CONFLICT (account_id, subject) DO UPDATE
                SET arrival = greatest(known.arrival, moment) + (excluded.arrival - moment)
            RETURNING subject, arrival
    ), states AS (
        SELECT place, policy, quota, step,
                (extract(epoch FROM arrival - moment) * 1000000)::bigint - calls * step AS ahead
            FROM policies JOIN changed USING (subject)
    )
    SELECT jsonb_agg(jsonb_build_object(
                'policy', policy, 'quota', quota, 'step', step, 'ahead', ahead
            ) ORDER BY place),
            bool_or(ahead + calls * step > quota * step)
        INTO rates, is_over FROM states;
    IF is_over THEN
        refused := 'rate_limited';
    ELSIF turns > 0 AND mine.running > coalesce(mine.concurrent_turns, most_turns) THEN
        refused := 'too_many_turns';
        facts := jsonb_build_object('limit', coalesce(mine.concurrent_turns, most_turns));
    ELSIF cost > 0 THEN
        WITH reserved_in AS (
            UPDATE budgets
                SET spent = CASE
                        WHEN period_start < date_trunc(period, moment, 'UTC') THEN 0 ELSE spent
                    END,
                    alerted_percent = CASE
                        WHEN period_start < date_trunc(period, moment, 'UTC') THEN 0
                        ELSE alerted_percent
                    END,
                    period_start = greatest(period_start, date_trunc(period, moment, 'UTC')),
                    reserved = reserved + cost
                WHERE account_id = the_account
                    AND coalesce(agent_instance_id, the_instance) = the_instance
                RETURNING *
        )
        SELECT * INTO short FROM reserved_in WHERE "limit" < spent + reserved
            ORDER BY "limit" - spent - reserved, period DESC, agent_instance_id LIMIT 1;
        IF FOUND THEN
            refused := 'budget_exceeded';
            facts := jsonb_build_object(
                'instance', short.agent_instance_id, 'period', short.period,
                'period_start', short.period_start, 'limit', short."limit"::text,
                'spent', short.spent::text, 'reserved', (short.reserved - cost)::text
            );
        END IF;
    END IF;
    RETURN jsonb_build_object('refused', refused, 'rates', coalesce(rates, '[]'), 'facts', facts);
END
$$;

CREATE FUNCTION public.app_take_limits(the_account uuid, the_instance uuid, policies text[], subjects text[], quotas integer[], most_turns integer, is_turn boolean, cost numeric, moment timestamp with time zone) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
DECLARE
    mine account_limits%ROWTYPE;
    short budgets%ROWTYPE;
    arrived timestamptz;
    quota bigint;
    step bigint;
    ahead bigint;
    arrivals timestamptz[] := '{}';
    rates jsonb := '[]';
    refused text;
    facts jsonb := '{}';
BEGIN
    -- All that an account takes and gives back waits here, so nothing else can wait in a circle.
    SELECT * INTO mine FROM account_limits WHERE account_id = the_account FOR UPDATE;
    IF NOT FOUND THEN
        INSERT INTO account_limits (account_id) VALUES (the_account) ON CONFLICT DO NOTHING;
        SELECT * INTO mine FROM account_limits WHERE account_id = the_account FOR UPDATE;
    END IF;
    moment := coalesce(moment, clock_timestamp());

    FOR i IN 1 .. cardinality(policies) LOOP
        quota := coalesce(
            CASE policies[i]
                WHEN 'account' THEN mine.requests_per_minute
                WHEN 'key' THEN mine.requests_per_minute_per_key
                WHEN 'visitor' THEN mine.requests_per_minute_per_visitor
                WHEN 'network' THEN mine.requests_per_minute_per_network
            END,
            quotas[i]
        );
        -- Whole microseconds, as timestamps have them: the sums are exact.
        step := ceil(60000000.0 / greatest(quota, 1));
        SELECT arrival INTO arrived FROM rate_states
            WHERE account_id = the_account AND subject = subjects[i];
        ahead := greatest(0, extract(epoch FROM arrived - moment) * 1000000);
        IF ahead + step > quota * step THEN
            refused := 'rate_limited';
        END IF;
        arrivals := arrivals || (moment + (ahead + step) * interval '1 microsecond');
        rates := rates || jsonb_build_object(
            'policy', policies[i], 'quota', quota, 'step', step, 'ahead', ahead
        );
    END LOOP;

    IF refused IS NULL AND is_turn
        AND mine.running >= coalesce(mine.concurrent_turns, most_turns) THEN
        refused := 'too_many_turns';
        facts := jsonb_build_object('limit', coalesce(mine.concurrent_turns, most_turns));
    END IF;

    IF refused IS NULL AND cost > 0 THEN
        UPDATE budgets
            SET period_start = date_trunc(period, moment, 'UTC'), spent = 0, alerted_percent = 0
            WHERE account_id = the_account AND period_start < date_trunc(period, moment, 'UTC');
        SELECT * INTO short FROM budgets
            WHERE account_id = the_account
                AND coalesce(agent_instance_id, the_instance) = the_instance
                AND "limit" - spent - reserved < cost
            ORDER BY "limit" - spent - reserved, period DESC, agent_instance_id
            LIMIT 1;
        IF FOUND THEN
            refused := 'budget_exceeded';
            facts := jsonb_build_object(
                'instance', short.agent_instance_id, 'period', short.period,
                'period_start', short.period_start, 'limit', short."limit"::text,
                'spent', short.spent::text, 'reserved', short.reserved::text
            );
        END IF;
    END IF;

    IF refused IS NULL THEN
        INSERT INTO rate_states (account_id, subject, arrival)
            SELECT the_account, taken.subject, taken.arrival
            FROM unnest(subjects, arrivals) AS taken (subject, arrival)
            ON CONFLICT (account_id, subject) DO UPDATE SET arrival = excluded.arrival;
        IF is_turn THEN
            UPDATE account_limits SET running = running + 1 WHERE account_id = the_account;
        END IF;
        IF cost > 0 THEN
            UPDATE budgets SET reserved = reserved + cost
                WHERE account_id = the_account
                    AND coalesce(agent_instance_id, the_instance) = the_instance;
        END IF;
    END IF;
    RETURN jsonb_build_object('refused', refused, 'rates', rates, 'facts', facts);
END
$$;

CREATE TABLE public.account_limits (
    account_id uuid NOT NULL,
    requests_per_minute integer,
    requests_per_minute_per_key integer,
    requests_per_minute_per_visitor integer,
    requests_per_minute_per_network integer,
    concurrent_turns integer,
    message_bytes integer,
    history_messages integer,
    output_tokens integer,
    running integer DEFAULT 0 NOT NULL,
    CONSTRAINT ck_account_limits_running CHECK ((running >= 0))
)
WITH (fillfactor='50');

CREATE TABLE public.accounts (
    id uuid NOT NULL,
    slug character varying(63) NOT NULL,
    name character varying(255) NOT NULL,
    status character varying(9) DEFAULT 'active'::character varying NOT NULL,
    subscription_tier character varying(10),
    created_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    updated_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    CONSTRAINT ck_accounts_slug CHECK (((slug)::text ~ '^[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?$'::text)),
    CONSTRAINT ck_accounts_status CHECK (((status)::text = ANY ((ARRAY['active'::character varying, 'suspended'::character varying, 'deleted'::character varying])::text[]))),
    CONSTRAINT ck_accounts_subscription_tier CHECK (((subscription_tier IS NULL) OR ((subscription_tier)::text = ANY ((ARRAY['free'::character varying, 'standard'::character varying, 'premium'::character varying, 'enterprise'::character varying])::text[]))))
);

CREATE TABLE public.agent_instances (
    id uuid NOT NULL,
    instance_slug character varying(63) NOT NULL,
    agent_type character varying(50) NOT NULL,
    display_name character varying(255) NOT NULL,
    status character varying(8) DEFAULT 'active'::character varying NOT NULL,
    created_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    updated_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    last_used_at timestamp with time zone,
    account_id uuid NOT NULL,
    allowed_origins character varying(255)[] NOT NULL,
    override jsonb,
    CONSTRAINT ck_agent_instances_slug CHECK (((instance_slug)::text ~ '^[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?$'::text)),
    CONSTRAINT ck_agent_instances_status CHECK (((status)::text = ANY ((ARRAY['active'::character varying, 'inactive'::character varying, 'archived'::character varying])::text[])))
);

CREATE TABLE public.api_keys (
    id uuid NOT NULL,
    name character varying(100) NOT NULL,
    key_id character varying(12) NOT NULL,
    secret_hash character varying(64) NOT NULL,
    scopes character varying(32)[] NOT NULL,
    created_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    expires_at timestamp with time zone,
    revoked_at timestamp with time zone,
    last_used_at timestamp with time zone,
    account_id uuid NOT NULL,
    rotated_at timestamp with time zone,
    rotated_from character varying(12) DEFAULT ''::character varying NOT NULL,
    instance_ids uuid[] NOT NULL,
    kind character varying(11) NOT NULL,
    mode character varying(4) NOT NULL,
    networks character varying(43)[] NOT NULL,
    origins character varying(255)[] NOT NULL,
    support_access_id uuid,
    taker character varying(254) DEFAULT ''::character varying NOT NULL,
    offer_hash character varying(64) DEFAULT ''::character varying NOT NULL,
    offer_expires_at timestamp with time zone,
    CONSTRAINT ck_api_keys_kind CHECK (((((kind)::text = 'secret'::text) AND (origins = '{}'::character varying(255)[])) OR ((
CASE
    WHEN (instance_ids IS NULL) THEN NULL::integer
    ELSE COALESCE(array_length(instance_ids, 1), 0)
END = 1) AND ((kind)::text = 'publishable'::text) AND (
CASE
    WHEN (origins IS NULL) THEN NULL::integer
    ELSE COALESCE(array_length(origins, 1), 0)
END >= 1) AND (scopes = ARRAY['visitors:write'::character varying(32)])))),
    CONSTRAINT ck_api_keys_mode CHECK (((mode)::text = ANY ((ARRAY['live'::character varying, 'test'::character varying])::text[]))),
    CONSTRAINT ck_api_keys_scopes CHECK ((scopes <@ ARRAY['chat'::character varying(32), 'history:read'::character varying(32), 'history:delete'::character varying(32), 'agents:read'::character varying(32), 'usage:read'::character varying(32), 'members:read'::character varying(32), 'members:write'::character varying(32), 'visitors:write'::character varying(32), 'connections:read'::character varying(32), 'connections:write'::character varying(32), 'audit:read'::character varying(32)])),
    CONSTRAINT ck_api_keys_support_access CHECK (((support_access_id IS NULL) OR (expires_at IS NOT NULL)))
);

CREATE TABLE public.attempt_rates (
    subject character varying(100) NOT NULL,
    arrival timestamp with time zone NOT NULL
);

CREATE TABLE public.audit_log (
    id uuid NOT NULL,
    created_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    actor_kind character varying(7) DEFAULT 'system'::character varying NOT NULL,
    actor_id character varying(100) DEFAULT ''::character varying NOT NULL,
    actor character varying(255) DEFAULT ''::character varying NOT NULL,
    action character varying(7) NOT NULL,
    object_type character varying(63) NOT NULL,
    object_id character varying(100) NOT NULL,
    object character varying(255) DEFAULT ''::character varying NOT NULL,
    changes jsonb NOT NULL,
    reason text DEFAULT ''::text NOT NULL,
    account_id uuid,
    CONSTRAINT ck_audit_log_action CHECK (((action)::text = ANY ((ARRAY['created'::character varying, 'changed'::character varying, 'deleted'::character varying, 'noted'::character varying])::text[]))),
    CONSTRAINT ck_audit_log_actor_kind CHECK (((actor_kind)::text = ANY ((ARRAY['staff'::character varying, 'member'::character varying, 'key'::character varying, 'visitor'::character varying, 'command'::character varying, 'system'::character varying])::text[])))
);

CREATE TABLE public.auth_group (
    id integer NOT NULL,
    name character varying(150) NOT NULL
);

ALTER TABLE public.auth_group ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.auth_group_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.auth_group_permissions (
    id bigint NOT NULL,
    group_id integer NOT NULL,
    permission_id integer NOT NULL
);

ALTER TABLE public.auth_group_permissions ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.auth_group_permissions_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.auth_permission (
    id integer NOT NULL,
    name character varying(255) NOT NULL,
    content_type_id integer NOT NULL,
    codename character varying(100) NOT NULL
);

ALTER TABLE public.auth_permission ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.auth_permission_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.budgets (
    account_id uuid NOT NULL,
    id uuid NOT NULL,
    agent_instance_id uuid,
    period character varying(5) NOT NULL,
    "limit" numeric(14,8) NOT NULL,
    period_start timestamp with time zone NOT NULL,
    spent numeric(20,8) DEFAULT 0 NOT NULL,
    reserved numeric(20,8) DEFAULT 0 NOT NULL,
    alert_percents integer[] NOT NULL,
    alerted_percent integer DEFAULT 0 NOT NULL,
    updated_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    CONSTRAINT ck_budgets_amounts CHECK ((("limit" >= (0)::numeric) AND (reserved >= (0)::numeric) AND (spent >= (0)::numeric))),
    CONSTRAINT ck_budgets_period CHECK (((period)::text = ANY ((ARRAY['day'::character varying, 'month'::character varying])::text[])))
)
WITH (fillfactor='50');

CREATE TABLE public.config_drafts (
    id uuid NOT NULL,
    text text NOT NULL,
    author_name character varying(255) DEFAULT ''::character varying NOT NULL,
    created_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    updated_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    account_id uuid NOT NULL,
    agent_instance_id uuid NOT NULL,
    author_id uuid,
    base integer DEFAULT 0 NOT NULL
);

CREATE TABLE public.config_publications (
    id uuid NOT NULL,
    number integer NOT NULL,
    text text NOT NULL,
    override jsonb,
    note text NOT NULL,
    restores integer,
    gate_reason text DEFAULT ''::text NOT NULL,
    author_name character varying(255) DEFAULT ''::character varying NOT NULL,
    created_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    account_id uuid NOT NULL,
    agent_instance_id uuid NOT NULL,
    author_id uuid,
    config_version_id uuid NOT NULL,
    CONSTRAINT ck_config_publications_note CHECK ((note ~ '\S'::text)),
    CONSTRAINT ck_config_publications_number CHECK ((number >= 1))
);

CREATE TABLE public.config_versions (
    id uuid NOT NULL,
    digest character varying(64) NOT NULL,
    content jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    last_served_at timestamp with time zone DEFAULT statement_timestamp(),
    account_id uuid NOT NULL,
    agent_instance_id uuid NOT NULL
);

CREATE TABLE public.django_admin_log (
    id integer NOT NULL,
    action_time timestamp with time zone NOT NULL,
    object_id text,
    object_repr character varying(200) NOT NULL,
    action_flag smallint NOT NULL,
    change_message text NOT NULL,
    content_type_id integer,
    user_id uuid NOT NULL,
    CONSTRAINT django_admin_log_action_flag_check CHECK ((action_flag >= 0))
);

ALTER TABLE public.django_admin_log ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.django_admin_log_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.django_content_type (
    id integer NOT NULL,
    app_label character varying(100) NOT NULL,
    model character varying(100) NOT NULL
);

ALTER TABLE public.django_content_type ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.django_content_type_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.django_migrations (
    id bigint NOT NULL,
    app character varying(255) NOT NULL,
    name character varying(255) NOT NULL,
    applied timestamp with time zone NOT NULL
);

ALTER TABLE public.django_migrations ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.django_migrations_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.django_session (
    session_key character varying(40) NOT NULL,
    session_data text NOT NULL,
    expire_date timestamp with time zone NOT NULL
);

CREATE TABLE public.invitations (
    account_id uuid NOT NULL,
    id uuid NOT NULL,
    email character varying(254) NOT NULL,
    role character varying(6) NOT NULL,
    invited_by character varying(254) NOT NULL,
    token_hash character varying(64) NOT NULL,
    created_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    accepted_at timestamp with time zone,
    revoked_at timestamp with time zone,
    CONSTRAINT ck_invitations_role CHECK (((role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying, 'member'::character varying, 'viewer'::character varying])::text[])))
);

CREATE TABLE public.llm_requests (
    id uuid NOT NULL,
    session_id uuid NOT NULL,
    provider character varying(50) NOT NULL,
    model character varying(255) NOT NULL,
    request_body jsonb,
    response_body jsonb,
    prompt_tokens integer,
    completion_tokens integer,
    total_tokens integer,
    prompt_cost numeric(20,8),
    completion_cost numeric(20,8),
    total_cost numeric(20,8),
    latency_ms integer,
    created_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    account_id uuid NOT NULL,
    account_slug character varying(63) NOT NULL,
    agent_instance_id uuid NOT NULL,
    agent_instance_slug character varying(63) NOT NULL,
    agent_type character varying(50) NOT NULL,
    completion_status character varying(9) DEFAULT 'running'::character varying NOT NULL,
    config_version_id uuid,
    error_code character varying(50) DEFAULT ''::character varying NOT NULL,
    requests integer DEFAULT 0 NOT NULL,
    cached_tokens integer,
    tokens_estimated boolean DEFAULT false NOT NULL,
    cost_source character varying(12) DEFAULT 'unknown'::character varying NOT NULL,
    time_to_first_token_ms integer,
    settled_at timestamp with time zone,
    caller character varying(100) DEFAULT ''::character varying NOT NULL,
    idempotency_hash character varying(64) DEFAULT ''::character varying NOT NULL,
    idempotency_key character varying(255),
    is_test boolean DEFAULT false NOT NULL,
    reserved_cost numeric(20,8),
    charged_cost numeric(20,8),
    server_process_id uuid,
    CONSTRAINT ck_llm_requests_completion_status CHECK (((completion_status)::text = ANY ((ARRAY['running'::character varying, 'complete'::character varying, 'partial'::character varying, 'error'::character varying, 'cancelled'::character varying])::text[]))),
    CONSTRAINT ck_llm_requests_cost_source CHECK (((cost_source)::text = ANY ((ARRAY['reported'::character varying, 'genai-prices'::character varying, 'free'::character varying, 'configured'::character varying, 'mixed'::character varying, 'unknown'::character varying])::text[])))
);

CREATE TABLE public.memberships (
    account_id uuid NOT NULL,
    user_id uuid NOT NULL,
    id uuid NOT NULL,
    role character varying(6) NOT NULL,
    created_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    updated_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    CONSTRAINT ck_memberships_role CHECK (((role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying, 'member'::character varying, 'viewer'::character varying])::text[])))
);

CREATE TABLE public.message_feedback (
    id uuid NOT NULL,
    rating smallint NOT NULL,
    comment text DEFAULT ''::text NOT NULL,
    caller character varying(100) NOT NULL,
    created_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    updated_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    account_id uuid NOT NULL,
    agent_instance_id uuid NOT NULL,
    message_id uuid NOT NULL,
    session_id uuid NOT NULL,
    CONSTRAINT ck_message_feedback_rating CHECK ((rating = ANY (ARRAY[1, '-1'::integer])))
);

CREATE TABLE public.messages (
    id uuid NOT NULL,
    session_id uuid NOT NULL,
    role character varying(20) NOT NULL,
    content text NOT NULL,
    meta jsonb,
    created_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    account_id uuid NOT NULL,
    agent_instance_id uuid NOT NULL,
    llm_request_id uuid,
    config_version_id uuid,
    CONSTRAINT ck_messages_role CHECK (((role)::text = ANY ((ARRAY['human'::character varying, 'assistant'::character varying, 'system'::character varying, 'tool'::character varying, 'developer'::character varying])::text[])))
);

CREATE TABLE public.profiles (
    id uuid NOT NULL,
    session_id uuid NOT NULL,
    customer_name character varying(255),
    phone character varying(50),
    email character varying(255),
    address_street character varying(500),
    address_city character varying(100),
    address_state character varying(50),
    address_zip character varying(20),
    products_of_interest character varying[],
    services_of_interest character varying[],
    preferences jsonb,
    updated_at timestamp with time zone NOT NULL,
    account_id uuid NOT NULL
);

CREATE TABLE public.prompt_sections (
    id uuid NOT NULL,
    digest character varying(64) NOT NULL,
    text text NOT NULL,
    created_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    account_id uuid NOT NULL
);

CREATE TABLE public.provider_connections (
    id uuid NOT NULL,
    name character varying(39) NOT NULL,
    base_url character varying(500) NOT NULL,
    secret text DEFAULT ''::text NOT NULL,
    secret_host character varying(255) DEFAULT ''::character varying NOT NULL,
    secret_hint character varying(8) DEFAULT ''::character varying NOT NULL,
    created_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    updated_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    account_id uuid NOT NULL
);

CREATE TABLE public.rate_states (
    account_id uuid NOT NULL,
    subject character varying(100) NOT NULL,
    arrival timestamp with time zone NOT NULL
)
WITH (fillfactor='50');

CREATE TABLE public.saved_chat_runs (
    id uuid NOT NULL,
    passed boolean NOT NULL,
    answers jsonb NOT NULL,
    cost numeric(20,8),
    latency_ms integer NOT NULL,
    created_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    account_id uuid NOT NULL,
    agent_instance_id uuid NOT NULL,
    config_version_id uuid,
    saved_chat_id uuid NOT NULL
);

CREATE TABLE public.saved_chats (
    id uuid NOT NULL,
    name character varying(100) NOT NULL,
    messages jsonb NOT NULL,
    expected jsonb NOT NULL,
    is_gate boolean NOT NULL,
    session_id uuid,
    created_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    updated_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    account_id uuid NOT NULL,
    agent_instance_id uuid NOT NULL
);

CREATE TABLE public.server_processes (
    id uuid NOT NULL,
    host character varying(255) DEFAULT ''::character varying NOT NULL,
    pid integer NOT NULL,
    pid_started bigint DEFAULT 0 NOT NULL,
    started_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    seen_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL
);

CREATE TABLE public.sessions (
    id uuid NOT NULL,
    session_key character varying(255) NOT NULL,
    email character varying(255),
    is_anonymous boolean NOT NULL,
    created_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    last_activity_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    meta jsonb,
    account_id uuid NOT NULL,
    account_slug character varying(63) NOT NULL,
    agent_instance_id uuid NOT NULL,
    agent_instance_slug character varying(63) NOT NULL,
    user_id uuid,
    updated_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    deleted_at timestamp with time zone,
    end_user character varying(255),
    feedback smallint,
    last_status character varying(9) DEFAULT ''::character varying NOT NULL,
    total_cost numeric(20,8) DEFAULT 0 NOT NULL,
    turn_count integer DEFAULT 0 NOT NULL,
    unpriced_turns integer DEFAULT 0 NOT NULL,
    copied_from uuid
);

CREATE TABLE public.support_accesses (
    id uuid NOT NULL,
    staff character varying(255) NOT NULL,
    reason text NOT NULL,
    created_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone,
    account_id uuid NOT NULL,
    user_id uuid NOT NULL,
    CONSTRAINT ck_support_accesses_reason CHECK ((reason ~ '\S'::text))
);

CREATE TABLE public.usage_days (
    account_id uuid NOT NULL,
    agent_instance_id uuid NOT NULL,
    day date NOT NULL,
    model character varying(306) NOT NULL,
    requests integer DEFAULT 0 NOT NULL,
    failed integer DEFAULT 0 NOT NULL,
    cancelled integer DEFAULT 0 NOT NULL,
    unpriced integer DEFAULT 0 NOT NULL,
    input_tokens bigint DEFAULT 0 NOT NULL,
    cached_tokens bigint DEFAULT 0 NOT NULL,
    output_tokens bigint DEFAULT 0 NOT NULL,
    cost numeric(20,8) DEFAULT 0 NOT NULL,
    latency_ms bigint DEFAULT 0 NOT NULL,
    latency_buckets integer[] NOT NULL
)
WITH (fillfactor='50');

CREATE TABLE public.usage_totals (
    day date NOT NULL,
    model character varying(306) NOT NULL,
    requests integer DEFAULT 0 NOT NULL,
    failed integer DEFAULT 0 NOT NULL,
    cancelled integer DEFAULT 0 NOT NULL,
    unpriced integer DEFAULT 0 NOT NULL,
    input_tokens bigint DEFAULT 0 NOT NULL,
    cached_tokens bigint DEFAULT 0 NOT NULL,
    output_tokens bigint DEFAULT 0 NOT NULL,
    cost numeric(20,8) DEFAULT 0 NOT NULL,
    latency_ms bigint DEFAULT 0 NOT NULL,
    latency_buckets integer[] NOT NULL,
    id uuid NOT NULL,
    account_id uuid
);

CREATE TABLE public.users (
    password character varying(128) NOT NULL,
    last_login timestamp with time zone,
    is_superuser boolean NOT NULL,
    first_name character varying(150) NOT NULL,
    last_name character varying(150) NOT NULL,
    is_staff boolean NOT NULL,
    is_active boolean NOT NULL,
    date_joined timestamp with time zone NOT NULL,
    id uuid NOT NULL,
    email character varying(254) NOT NULL,
    is_auditor boolean NOT NULL,
    CONSTRAINT ck_users_auditor CHECK ((NOT (is_auditor AND is_superuser)))
);

CREATE TABLE public.users_groups (
    id bigint NOT NULL,
    user_id uuid NOT NULL,
    group_id integer NOT NULL
);

ALTER TABLE public.users_groups ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.users_groups_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.users_user_permissions (
    id bigint NOT NULL,
    user_id uuid NOT NULL,
    permission_id integer NOT NULL
);

ALTER TABLE public.users_user_permissions ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.users_user_permissions_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

INSERT INTO public.account_limits VALUES
	('01a2272f-a757-76d6-b207-a037ce2cd0be', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0),
	('01a2272f-aa1e-714a-a9ef-5afcdd2bfc9c', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0);

INSERT INTO public.accounts VALUES
	('01a22719-a231-780f-b07b-4f3471e7224a', 'default', 'Default Account', 'active', NULL, '2026-11-29 11:38:41.074127+00', '2026-11-29 11:38:41.073816+00'),
	('01a2272f-a757-76d6-b207-a037ce2cd0be', 'acme', 'Acme', 'active', NULL, '2026-11-29 12:02:44.255192+00', '2026-11-29 12:02:44.254932+00'),
	('01a2272f-aa1e-714a-a9ef-5afcdd2bfc9c', 'beta', 'Beta', 'active', NULL, '2026-11-29 12:02:44.9167+00', '2026-11-29 12:02:44.916531+00');

INSERT INTO public.agent_instances VALUES
	('01a22719-a986-71dc-b263-3ff22ca4fec6', 'simple-chat', 'simple_chat', 'Simple Chat', 'active', '2026-11-29 11:38:42.950596+00', '2026-11-29 11:38:42.950385+00', NULL, '01a22719-a231-780f-b07b-4f3471e7224a', '{}', NULL),
	('01a2272f-a7cf-73e4-8a2f-bd66fa060483', 'bot', 'simple_chat', 'Bot', 'active', '2026-11-29 12:02:44.330642+00', '2026-11-29 12:02:44.330364+00', NULL, '01a2272f-a757-76d6-b207-a037ce2cd0be', '{}', NULL),
	('01a2272f-a8fd-789d-9aa0-5de869269448', 'bot2', 'simple_chat', 'Bot2', 'active', '2026-11-29 12:02:44.678924+00', '2026-11-29 12:02:44.678621+00', NULL, '01a2272f-a757-76d6-b207-a037ce2cd0be', '{}', NULL),
	('01a2272f-aa45-7c35-a19b-c8c53b362fd8', 'bot', 'simple_chat', 'Bot', 'active', '2026-11-29 12:02:44.965447+00', '2026-11-29 12:02:44.965087+00', NULL, '01a2272f-aa1e-714a-a9ef-5afcdd2bfc9c', '{}', NULL),
	('01a2272f-aad8-7630-9852-6ed205dca7dd', 'bot2', 'simple_chat', 'Bot2', 'active', '2026-11-29 12:02:45.109435+00', '2026-11-29 12:02:45.109075+00', NULL, '01a2272f-aa1e-714a-a9ef-5afcdd2bfc9c', '{}', NULL);

INSERT INTO public.api_keys VALUES
	('01a2272f-a7ad-711b-be98-c45d4f7079eb', 'tests', 'xdAtbzFWJZNS', '82dd85295aac3b0976eded98d7cf5a77121c8272efdf09c07be4cd9d93e17b3c', '{chat,history:read,history:delete,agents:read,usage:read,members:read,members:write,visitors:write,connections:read,connections:write,audit:read}', '2026-11-29 12:02:44.292105+00', NULL, NULL, NULL, '01a2272f-a757-76d6-b207-a037ce2cd0be', NULL, '', '{}', 'secret', 'live', '{}', '{}', NULL, '', '', NULL),
	('01a2272f-aa39-7c7f-becc-3eec965e5069', 'tests', 'pq9wnIb865xi', '6510cb608b4e7e69cf1f43d4e2f7c0ce7432143f0f3c1e23c05cbca6e02c0e93', '{chat,history:read,history:delete,agents:read,usage:read,members:read,members:write,visitors:write,connections:read,connections:write,audit:read}', '2026-11-29 12:02:44.929214+00', NULL, NULL, NULL, '01a2272f-aa1e-714a-a9ef-5afcdd2bfc9c', NULL, '', '{}', 'secret', 'live', '{}', '{}', NULL, '', '', NULL);

INSERT INTO public.attempt_rates VALUES
	('01a2272f-a757-76d6-b207-a037ce2cd0be', '2026-11-29 12:02:44.77581+00'),
	('01a2272f-aa1e-714a-a9ef-5afcdd2bfc9c', '2026-11-29 12:02:45.160388+00');

INSERT INTO public.audit_log VALUES
	('880f9a68-e14b-4bb9-a143-f591f2cd6c04', '2026-11-29 12:02:44.258239+00', 'system', '', '', 'created', 'accounts', '01a2272f-a757-76d6-b207-a037ce2cd0be', 'acme', '{"name": [null, "Acme"], "slug": [null, "acme"], "status": [null, "active"]}', '', '01a2272f-a757-76d6-b207-a037ce2cd0be'),
	('47cdd122-b0be-4d93-8dd2-4b40df07e39a', '2026-11-29 12:02:44.294623+00', 'system', '', '', 'created', 'api_keys', '01a2272f-a7ad-711b-be98-c45d4f7079eb', 'tests', '{"kind": [null, "secret"], "mode": [null, "live"], "name": [null, "tests"], "key_id": [null, "xdAtbzFWJZNS"], "scopes": [null, ["chat", "history:read", "history:delete", "agents:read", "usage:read", "members:read", "members:write", "visitors:write", "connections:read", "connections:write", "audit:read"]], "origins": [null, []], "networks": [null, []], "secret_hash": ["(secret)", "(secret)"], "instance_ids": [null, []]}', '', '01a2272f-a757-76d6-b207-a037ce2cd0be'),
	('dc27cdf5-4b7e-4492-b430-720126a3ea32', '2026-11-29 12:02:44.331992+00', 'system', '', '', 'created', 'agent_instances', '01a2272f-a7cf-73e4-8a2f-bd66fa060483', 'bot', '{"status": [null, "active"], "agent_type": [null, "simple_chat"], "display_name": [null, "Bot"], "instance_slug": [null, "bot"], "allowed_origins": [null, []]}', '', '01a2272f-a757-76d6-b207-a037ce2cd0be'),
	('2ab18546-fedb-4b59-96ec-7a58190fe5c1', '2026-11-29 12:02:44.516663+00', 'system', '', '', 'created', 'users', '01a2272f-a8a2-7129-97ea-658ae76fa6cb', 'user2@example.com', '{"email": [null, "user2@example.com"], "is_staff": [null, false], "password": ["(secret)", "(secret)"], "is_active": [null, true], "is_auditor": [null, true], "is_superuser": [null, false]}', '', NULL),
	('139b03f2-b532-45be-b1fd-e6b6595af6b8', '2026-11-29 12:02:44.560738+00', 'system', '', '', 'created', 'profiles', '01a2272f-a8ca-792d-ae5a-fdab5d1283c6', '01a2272f-a8c4-7ff4-86dd-4ad7915a1e26', '{"session_id": [null, "01a2272f-a8c4-7ff4-86dd-4ad7915a1e26"], "customer_name": ["(secret)", "(secret)"]}', '', '01a2272f-a757-76d6-b207-a037ce2cd0be'),
	('90004f11-2811-471a-9c9c-a6676cb4894c', '2026-11-29 12:02:44.562745+00', 'system', '', '', 'created', 'users', '01a2272f-a8d1-7936-8c1c-30662fffcc37', 'user5@example.com', '{"email": [null, "user5@example.com"], "is_staff": [null, false], "password": ["(secret)", "(secret)"], "is_active": [null, true], "is_auditor": [null, false], "is_superuser": [null, false]}', '', NULL),
	('ea102899-52a1-4a85-8b4e-6a18902b42fa', '2026-11-29 12:02:44.5732+00', 'system', '', '', 'created', 'memberships', '01a2272f-a8d6-72b3-b4f9-563d8704095a', 'user5@example.com as member', '{"role": [null, "member"], "user_id": [null, "01a2272f-a8d1-7936-8c1c-30662fffcc37"]}', '', '01a2272f-a757-76d6-b207-a037ce2cd0be'),
	('f9d0785a-1835-403f-9a19-35ca2af5ea3d', '2026-11-29 12:02:44.588638+00', 'system', '', '', 'created', 'invitations', '01a2272f-a8e5-7a26-9026-1ca62a018830', 'guest6@example.com', '{"role": [null, "member"], "email": [null, "guest6@example.com"], "expires_at": [null, "2026-12-06T12:02:44.580882+00:00"], "token_hash": ["(secret)", "(secret)"]}', '', '01a2272f-a757-76d6-b207-a037ce2cd0be'),
	('8e4b91f1-0509-4308-b19f-70c959cdbc97', '2026-11-29 12:02:44.59967+00', 'system', '', '', 'created', 'account_limits', '01a2272f-a757-76d6-b207-a037ce2cd0be', 'acme', '{}', '', '01a2272f-a757-76d6-b207-a037ce2cd0be'),
	('e13605e9-dedd-4d75-a6fe-0e5e5b9a817a', '2026-11-29 12:02:44.679615+00', 'system', '', '', 'created', 'agent_instances', '01a2272f-a8fd-789d-9aa0-5de869269448', 'bot2', '{"status": [null, "active"], "agent_type": [null, "simple_chat"], "display_name": [null, "Bot2"], "instance_slug": [null, "bot2"], "allowed_origins": [null, []]}', '', '01a2272f-a757-76d6-b207-a037ce2cd0be'),
	('99a2ce36-43cd-48e8-99ca-7e5571ab4a15', '2026-11-29 12:02:44.694491+00', 'system', '', '', 'created', 'budgets', '01a2272f-a953-75f5-8b2a-c0bb1c6f18cf', 'month', '{"limit": [null, 10.00000000], "period": [null, "month"], "alert_percents": [null, [80, 100]], "agent_instance_id": [null, "01a2272f-a8fd-789d-9aa0-5de869269448"]}', '', '01a2272f-a757-76d6-b207-a037ce2cd0be'),
	('144e7327-b1cc-4b2b-bc6b-51fa608b5480', '2026-11-29 12:02:44.749054+00', 'system', '', '', 'created', 'config_publications', '01a2272f-a984-7fd0-9b84-d1c8d00674fd', 'Shorter answers.', '{"note": [null, "Shorter answers."], "number": [null, 1], "override": [null, {}], "agent_instance_id": [null, "01a2272f-a8fd-789d-9aa0-5de869269448"]}', '', '01a2272f-a757-76d6-b207-a037ce2cd0be'),
	('3fda1023-bdcd-41df-a496-dca8d92e88d4', '2026-11-29 12:02:44.769823+00', 'system', '', '', 'created', 'provider_connections', '01a2272f-a997-7b11-b947-78aadbc257bc', 'server-9', '{"name": [null, "server-9"], "base_url": [null, "https://models.example/v1"]}', '', '01a2272f-a757-76d6-b207-a037ce2cd0be'),
	('7aa4fa3f-5bb5-4d24-9626-cc4d7ce45046', '2026-11-29 12:02:44.808677+00', 'system', '', '', 'created', 'saved_chats', '01a2272f-a9c0-7f74-bc67-27d210b5943f', 'chat 10', '{"name": [null, "chat 10"], "is_gate": [null, true], "expected": [null, []], "messages": ["(secret)", "(secret)"], "agent_instance_id": [null, "01a2272f-a7cf-73e4-8a2f-bd66fa060483"]}', '', '01a2272f-a757-76d6-b207-a037ce2cd0be'),
	('84e03249-d635-4d52-9441-4fcce0ff4647', '2026-11-29 12:02:44.885509+00', 'system', '', '', 'created', 'support_accesses', '01a2272f-aa11-7f35-ba7b-a0ef445ed98d', 'user2@example.com', '{"staff": [null, "user2@example.com"], "reason": [null, "ticket 7"], "user_id": [null, "01a2272f-a8a2-7129-97ea-658ae76fa6cb"], "expires_at": [null, "2026-11-29T13:02:44.88029+00:00"]}', '', '01a2272f-a757-76d6-b207-a037ce2cd0be'),
	('01a2272f-aa1a-71e9-98d8-9be43dcee003', '2026-11-29 12:02:44.890866+00', 'system', '', '', 'noted', 'accounts', '13', '', '{}', '', '01a2272f-a757-76d6-b207-a037ce2cd0be'),
	('7da672cd-be45-4c18-a0c3-614c7eeec178', '2026-11-29 12:02:44.917239+00', 'system', '', '', 'created', 'accounts', '01a2272f-aa1e-714a-a9ef-5afcdd2bfc9c', 'beta', '{"name": [null, "Beta"], "slug": [null, "beta"], "status": [null, "active"]}', '', '01a2272f-aa1e-714a-a9ef-5afcdd2bfc9c'),
	('58b772f0-afd2-4986-8b72-4e0d93fa3f59', '2026-11-29 12:02:44.929943+00', 'system', '', '', 'created', 'api_keys', '01a2272f-aa39-7c7f-becc-3eec965e5069', 'tests', '{"kind": [null, "secret"], "mode": [null, "live"], "name": [null, "tests"], "key_id": [null, "pq9wnIb865xi"], "scopes": [null, ["chat", "history:read", "history:delete", "agents:read", "usage:read", "members:read", "members:write", "visitors:write", "connections:read", "connections:write", "audit:read"]], "origins": [null, []], "networks": [null, []], "secret_hash": ["(secret)", "(secret)"], "instance_ids": [null, []]}', '', '01a2272f-aa1e-714a-a9ef-5afcdd2bfc9c'),
	('640d722c-66e6-4f9e-925c-ebe9eafeb232', '2026-11-29 12:02:44.966292+00', 'system', '', '', 'created', 'agent_instances', '01a2272f-aa45-7c35-a19b-c8c53b362fd8', 'bot', '{"status": [null, "active"], "agent_type": [null, "simple_chat"], "display_name": [null, "Bot"], "instance_slug": [null, "bot"], "allowed_origins": [null, []]}', '', '01a2272f-aa1e-714a-a9ef-5afcdd2bfc9c'),
	('2e922492-73fc-43a5-9188-4edda1b526f7', '2026-11-29 12:02:44.983282+00', 'system', '', '', 'created', 'users', '01a2272f-aa76-7296-9355-400b25c45bdd', 'user15@example.com', '{"email": [null, "user15@example.com"], "is_staff": [null, false], "password": ["(secret)", "(secret)"], "is_active": [null, true], "is_auditor": [null, true], "is_superuser": [null, false]}', '', NULL),
	('bfaafb90-1269-4e03-8336-c8a50ece77b3', '2026-11-29 12:02:45.022964+00', 'system', '', '', 'created', 'profiles', '01a2272f-aa9c-7bf8-9cad-e8dd5c86de80', '01a2272f-aa94-7d42-805c-8f717693e6aa', '{"session_id": [null, "01a2272f-aa94-7d42-805c-8f717693e6aa"], "customer_name": ["(secret)", "(secret)"]}', '', '01a2272f-aa1e-714a-a9ef-5afcdd2bfc9c'),
	('4e094769-f9d5-4b34-a886-bd915a52e4d3', '2026-11-29 12:02:45.039973+00', 'system', '', '', 'created', 'users', '01a2272f-aaa5-7046-948b-7bf009372f18', 'user18@example.com', '{"email": [null, "user18@example.com"], "is_staff": [null, false], "password": ["(secret)", "(secret)"], "is_active": [null, true], "is_auditor": [null, false], "is_superuser": [null, false]}', '', NULL),
	('6f011eb4-4bbd-41d0-af37-b5a32c540479', '2026-11-29 12:02:45.045854+00', 'system', '', '', 'created', 'memberships', '01a2272f-aab2-75f7-b04e-dfe08c2c8139', 'user18@example.com as member', '{"role": [null, "member"], "user_id": [null, "01a2272f-aaa5-7046-948b-7bf009372f18"]}', '', '01a2272f-aa1e-714a-a9ef-5afcdd2bfc9c'),
	('9acdc34b-0c56-40aa-bc72-90981001894c', '2026-11-29 12:02:45.066302+00', 'system', '', '', 'created', 'invitations', '01a2272f-aac8-7aee-941a-264b09c5c196', 'guest19@example.com', '{"role": [null, "member"], "email": [null, "guest19@example.com"], "expires_at": [null, "2026-12-06T12:02:45.059363+00:00"], "token_hash": ["(secret)", "(secret)"]}', '', '01a2272f-aa1e-714a-a9ef-5afcdd2bfc9c'),
	('19091265-5372-4dea-86e7-3edd83213b5a', '2026-11-29 12:02:45.074605+00', 'system', '', '', 'created', 'account_limits', '01a2272f-aa1e-714a-a9ef-5afcdd2bfc9c', 'beta', '{}', '', '01a2272f-aa1e-714a-a9ef-5afcdd2bfc9c'),
	('ad2c0ba3-c463-4c91-98ca-a7bd962c27a9', '2026-11-29 12:02:45.110242+00', 'system', '', '', 'created', 'agent_instances', '01a2272f-aad8-7630-9852-6ed205dca7dd', 'bot2', '{"status": [null, "active"], "agent_type": [null, "simple_chat"], "display_name": [null, "Bot2"], "instance_slug": [null, "bot2"], "allowed_origins": [null, []]}', '', '01a2272f-aa1e-714a-a9ef-5afcdd2bfc9c'),
	('fc1c5227-83a2-4247-b9f1-ae0dfbea3e6f', '2026-11-29 12:02:45.123232+00', 'system', '', '', 'created', 'budgets', '01a2272f-ab00-7d11-88e2-6e80760bac0f', 'month', '{"limit": [null, 10.00000000], "period": [null, "month"], "alert_percents": [null, [80, 100]], "agent_instance_id": [null, "01a2272f-aad8-7630-9852-6ed205dca7dd"]}', '', '01a2272f-aa1e-714a-a9ef-5afcdd2bfc9c'),
	('02f8931e-9844-416c-9df8-c4330dc7841e', '2026-11-29 12:02:45.143139+00', 'system', '', '', 'created', 'config_publications', '01a2272f-ab15-7692-80b8-dcf6f9644759', 'Shorter answers.', '{"note": [null, "Shorter answers."], "number": [null, 1], "override": [null, {}], "agent_instance_id": [null, "01a2272f-aad8-7630-9852-6ed205dca7dd"]}', '', '01a2272f-aa1e-714a-a9ef-5afcdd2bfc9c'),
	('a890e5b4-3593-4adc-8c59-87d6f64adb2d', '2026-11-29 12:02:45.156376+00', 'system', '', '', 'created', 'provider_connections', '01a2272f-ab22-7e09-ade9-b30f4e986f8d', 'server-22', '{"name": [null, "server-22"], "base_url": [null, "https://models.example/v1"]}', '', '01a2272f-aa1e-714a-a9ef-5afcdd2bfc9c'),
	('e8df569f-5b5b-4035-97e8-13e2965b3af6', '2026-11-29 12:02:45.169058+00', 'system', '', '', 'created', 'saved_chats', '01a2272f-ab2f-76d1-ae56-025baa9ec9c0', 'chat 23', '{"name": [null, "chat 23"], "is_gate": [null, true], "expected": [null, []], "messages": ["(secret)", "(secret)"], "agent_instance_id": [null, "01a2272f-aa45-7c35-a19b-c8c53b362fd8"]}', '', '01a2272f-aa1e-714a-a9ef-5afcdd2bfc9c'),
	('facbcc24-4ea2-4b34-b6c9-bed0d2715539', '2026-11-29 12:02:45.208857+00', 'system', '', '', 'created', 'support_accesses', '01a2272f-ab56-7b3f-b243-20a8fe6eb97c', 'user15@example.com', '{"staff": [null, "user15@example.com"], "reason": [null, "ticket 7"], "user_id": [null, "01a2272f-aa76-7296-9355-400b25c45bdd"], "expires_at": [null, "2026-11-29T13:02:45.203578+00:00"]}', '', '01a2272f-aa1e-714a-a9ef-5afcdd2bfc9c'),
	('01a2272f-ab5e-7915-bc75-4def8f3ac33c', '2026-11-29 12:02:45.215039+00', 'system', '', '', 'noted', 'accounts', '26', '', '{}', '', '01a2272f-aa1e-714a-a9ef-5afcdd2bfc9c'),
	('43611601-1c5e-488b-86eb-b45539e5d50e', '2026-11-29 12:02:45.217873+00', 'system', '', '', 'created', 'auth_group', '1', 'support', '{"name": [null, "support"]}', '', NULL),
	('cba12cfb-0afa-4644-8821-7f241f34802e', '2026-11-29 12:02:45.227916+00', 'system', '', '', 'created', 'auth_group_permissions', '1', '1', '{"group_id": [null, 1], "permission_id": [null, 1]}', '', NULL),
	('2a21d0f4-d665-4c31-ae38-7dc4c8d7753e', '2026-11-29 12:02:45.237859+00', 'system', '', '', 'created', 'users', '01a2272f-ab74-7ccd-ac27-76885cec776f', 'user27@example.com', '{"email": [null, "user27@example.com"], "is_staff": [null, false], "password": ["(secret)", "(secret)"], "is_active": [null, true], "is_auditor": [null, false], "is_superuser": [null, false]}', '', NULL),
	('a5ded085-94a4-42c6-bf1b-4a874797f46b', '2026-11-29 12:02:45.240359+00', 'system', '', '', 'created', 'users_groups', '1', 'user27@example.com', '{"user_id": [null, "01a2272f-ab74-7ccd-ac27-76885cec776f"], "group_id": [null, 1]}', '', NULL),
	('2b8e297c-3689-4e99-93ec-89f525e3df15', '2026-11-29 12:02:45.258168+00', 'system', '', '', 'created', 'users_user_permissions', '1', 'user27@example.com', '{"user_id": [null, "01a2272f-ab74-7ccd-ac27-76885cec776f"], "permission_id": [null, 104]}', '', NULL);

INSERT INTO public.auth_group VALUES
	(1, 'support');

INSERT INTO public.auth_group_permissions VALUES
	(1, 1, 1);

INSERT INTO public.auth_permission VALUES
	(1, 'Can add account', 1, 'add_account'),
	(2, 'Can change account', 1, 'change_account'),
	(3, 'Can delete account', 1, 'delete_account'),
	(4, 'Can view account', 1, 'view_account'),
	(5, 'Can add user', 11, 'add_user'),
	(6, 'Can change user', 11, 'change_user'),
	(7, 'Can delete user', 11, 'delete_user'),
	(8, 'Can view user', 11, 'view_user'),
	(9, 'Can add API key', 3, 'add_apikey'),
	(10, 'Can change API key', 3, 'change_apikey'),
	(11, 'Can delete API key', 3, 'delete_apikey'),
	(12, 'Can view API key', 3, 'view_apikey'),
	(13, 'Can add account limits', 2, 'add_accountlimits'),
	(14, 'Can change account limits', 2, 'change_accountlimits'),
	(15, 'Can delete account limits', 2, 'delete_accountlimits'),
	(16, 'Can view account limits', 2, 'view_accountlimits'),
	(17, 'Can add budget', 6, 'add_budget'),
	(18, 'Can change budget', 6, 'change_budget'),
	(19, 'Can delete budget', 6, 'delete_budget'),
	(20, 'Can view budget', 6, 'view_budget'),
	(21, 'Can add invitation', 7, 'add_invitation'),
	(22, 'Can change invitation', 7, 'change_invitation'),
	(23, 'Can delete invitation', 7, 'delete_invitation'),
	(24, 'Can view invitation', 7, 'view_invitation'),
	(25, 'Can add membership', 8, 'add_membership'),
	(26, 'Can change membership', 8, 'change_membership'),
	(27, 'Can delete membership', 8, 'delete_membership'),
	(28, 'Can view membership', 8, 'view_membership'),
	(29, 'Can add rate state', 9, 'add_ratestate'),
	(30, 'Can change rate state', 9, 'change_ratestate'),
	(31, 'Can delete rate state', 9, 'delete_ratestate'),
	(32, 'Can view rate state', 9, 'view_ratestate'),
	(33, 'Can add audit entry', 5, 'add_auditentry'),
	(34, 'Can change audit entry', 5, 'change_auditentry'),
	(35, 'Can delete audit entry', 5, 'delete_auditentry'),
	(36, 'Can view audit entry', 5, 'view_auditentry'),
	(37, 'Can add support access', 10, 'add_supportaccess'),
	(38, 'Can change support access', 10, 'change_supportaccess'),
	(39, 'Can delete support access', 10, 'delete_supportaccess'),
	(40, 'Can view support access', 10, 'view_supportaccess'),
	(41, 'Can add attempt rate', 4, 'add_attemptrate'),
	(42, 'Can change attempt rate', 4, 'change_attemptrate'),
	(43, 'Can delete attempt rate', 4, 'delete_attemptrate'),
	(44, 'Can view attempt rate', 4, 'view_attemptrate'),
	(45, 'Can add agent instance', 12, 'add_agentinstance'),
	(46, 'Can change agent instance', 12, 'change_agentinstance'),
	(47, 'Can delete agent instance', 12, 'delete_agentinstance'),
	(48, 'Can view agent instance', 12, 'view_agentinstance'),
	(49, 'Can add config version', 15, 'add_configversion'),
	(50, 'Can change config version', 15, 'change_configversion'),
	(51, 'Can delete config version', 15, 'delete_configversion'),
	(52, 'Can view config version', 15, 'view_configversion'),
	(53, 'Can add provider connection', 16, 'add_providerconnection'),
	(54, 'Can change provider connection', 16, 'change_providerconnection'),
	(55, 'Can delete provider connection', 16, 'delete_providerconnection'),
	(56, 'Can view provider connection', 16, 'view_providerconnection'),
	(57, 'Can add config draft', 13, 'add_configdraft'),
	(58, 'Can change config draft', 13, 'change_configdraft'),
	(59, 'Can delete config draft', 13, 'delete_configdraft'),
	(60, 'Can view config draft', 13, 'view_configdraft'),
	(61, 'Can add config publication', 14, 'add_configpublication'),
	(62, 'Can change config publication', 14, 'change_configpublication'),
	(63, 'Can delete config publication', 14, 'delete_configpublication'),
	(64, 'Can view config publication', 14, 'view_configpublication'),
	(65, 'Can add session', 25, 'add_session'),
	(66, 'Can change session', 25, 'change_session'),
	(67, 'Can delete session', 25, 'delete_session'),
	(68, 'Can view session', 25, 'view_session'),
	(69, 'Can add message', 18, 'add_message'),
	(70, 'Can change message', 18, 'change_message'),
	(71, 'Can delete message', 18, 'delete_message'),
	(72, 'Can view message', 18, 'view_message'),
	(73, 'Can add LLM request', 17, 'add_llmrequest'),
	(74, 'Can change LLM request', 17, 'change_llmrequest'),
	(75, 'Can delete LLM request', 17, 'delete_llmrequest'),
	(76, 'Can view LLM request', 17, 'view_llmrequest'),
	(77, 'Can add profile', 20, 'add_profile'),
	(78, 'Can change profile', 20, 'change_profile'),
	(79, 'Can delete profile', 20, 'delete_profile'),
	(80, 'Can view profile', 20, 'view_profile'),
	(81, 'Can add message feedback', 19, 'add_messagefeedback'),
	(82, 'Can change message feedback', 19, 'change_messagefeedback'),
	(83, 'Can delete message feedback', 19, 'delete_messagefeedback'),
	(84, 'Can view message feedback', 19, 'view_messagefeedback'),
	(85, 'Can add prompt section', 21, 'add_promptsection'),
	(86, 'Can change prompt section', 21, 'change_promptsection'),
	(87, 'Can delete prompt section', 21, 'delete_promptsection'),
	(88, 'Can view prompt section', 21, 'view_promptsection'),
	(89, 'Can add test chat', 22, 'add_savedchat'),
	(90, 'Can change test chat', 22, 'change_savedchat'),
	(91, 'Can delete test chat', 22, 'delete_savedchat'),
	(92, 'Can view test chat', 22, 'view_savedchat'),
	(93, 'Can add test chat run', 23, 'add_savedchatrun'),
	(94, 'Can change test chat run', 23, 'change_savedchatrun'),
	(95, 'Can delete test chat run', 23, 'delete_savedchatrun'),
	(96, 'Can view test chat run', 23, 'view_savedchatrun'),
	(97, 'Can add usage day', 26, 'add_usageday'),
	(98, 'Can change usage day', 26, 'change_usageday'),
	(99, 'Can delete usage day', 26, 'delete_usageday'),
	(100, 'Can view usage day', 26, 'view_usageday'),
	(101, 'Can add usage total', 27, 'add_usagetotal'),
	(102, 'Can change usage total', 27, 'change_usagetotal'),
	(103, 'Can delete usage total', 27, 'delete_usagetotal'),
	(104, 'Can view usage total', 27, 'view_usagetotal'),
	(105, 'Can add server process', 24, 'add_serverprocess'),
	(106, 'Can change server process', 24, 'change_serverprocess'),
	(107, 'Can delete server process', 24, 'delete_serverprocess'),
	(108, 'Can view server process', 24, 'view_serverprocess'),
	(109, 'Can add log entry', 28, 'add_logentry'),
	(110, 'Can change log entry', 28, 'change_logentry'),
	(111, 'Can delete log entry', 28, 'delete_logentry'),
	(112, 'Can view log entry', 28, 'view_logentry'),
	(113, 'Can add permission', 30, 'add_permission'),
	(114, 'Can change permission', 30, 'change_permission'),
	(115, 'Can delete permission', 30, 'delete_permission'),
	(116, 'Can view permission', 30, 'view_permission'),
	(117, 'Can add group', 29, 'add_group'),
	(118, 'Can change group', 29, 'change_group'),
	(119, 'Can delete group', 29, 'delete_group'),
	(120, 'Can view group', 29, 'view_group'),
	(121, 'Can add content type', 31, 'add_contenttype'),
	(122, 'Can change content type', 31, 'change_contenttype'),
	(123, 'Can delete content type', 31, 'delete_contenttype'),
	(124, 'Can view content type', 31, 'view_contenttype'),
	(125, 'Can add session', 32, 'add_session'),
	(126, 'Can change session', 32, 'change_session'),
	(127, 'Can delete session', 32, 'delete_session'),
	(128, 'Can view session', 32, 'view_session');

INSERT INTO public.budgets VALUES
	('01a2272f-a757-76d6-b207-a037ce2cd0be', '01a2272f-a953-75f5-8b2a-c0bb1c6f18cf', '01a2272f-a8fd-789d-9aa0-5de869269448', 'month', 10.00000000, '2026-11-29 12:02:44.68441+00', 0.00000000, 0.00000000, '{80,100}', 0, '2026-11-29 12:02:44.691966+00'),
	('01a2272f-aa1e-714a-a9ef-5afcdd2bfc9c', '01a2272f-ab00-7d11-88e2-6e80760bac0f', '01a2272f-aad8-7630-9852-6ed205dca7dd', 'month', 10.00000000, '2026-11-29 12:02:45.116516+00', 0.00000000, 0.00000000, '{80,100}', 0, '2026-11-29 12:02:45.121628+00');

INSERT INTO public.config_drafts VALUES
	('01a2272f-a965-7e93-8869-99c340394a08', 'model: scripted:echo
', '', '2026-11-29 12:02:44.710881+00', '2026-11-29 12:02:44.710615+00', '01a2272f-a757-76d6-b207-a037ce2cd0be', '01a2272f-a8fd-789d-9aa0-5de869269448', '01a2272f-a8a2-7129-97ea-658ae76fa6cb', 0),
	('01a2272f-ab08-7e58-9df6-7c0d53ad2d2f', 'model: scripted:echo
', '', '2026-11-29 12:02:45.129999+00', '2026-11-29 12:02:45.129661+00', '01a2272f-aa1e-714a-a9ef-5afcdd2bfc9c', '01a2272f-aad8-7630-9852-6ed205dca7dd', '01a2272f-aa76-7296-9355-400b25c45bdd', 0);

INSERT INTO public.config_publications VALUES
	('01a2272f-a984-7fd0-9b84-d1c8d00674fd', 1, '', '{}', 'Shorter answers.', NULL, '', '', '2026-11-29 12:02:44.741807+00', '01a2272f-a757-76d6-b207-a037ce2cd0be', '01a2272f-a8fd-789d-9aa0-5de869269448', '01a2272f-a8a2-7129-97ea-658ae76fa6cb', '01a2272f-a97a-7c93-bef3-7289f35eb6ed'),
	('01a2272f-ab15-7692-80b8-dcf6f9644759', 1, '', '{}', 'Shorter answers.', NULL, '', '', '2026-11-29 12:02:45.14224+00', '01a2272f-aa1e-714a-a9ef-5afcdd2bfc9c', '01a2272f-aad8-7630-9852-6ed205dca7dd', '01a2272f-aa76-7296-9355-400b25c45bdd', '01a2272f-ab0d-742c-ba44-7daba6b4cf04');

INSERT INTO public.config_versions VALUES
	('01a2272f-a7f4-78fa-825f-66c67f1aa560', '0000000000000000000000000000000000000000000000000000000000000001', '{"model": "scripted:echo"}', '2026-11-29 12:02:44.341148+00', '2026-11-29 12:02:44.341148+00', '01a2272f-a757-76d6-b207-a037ce2cd0be', '01a2272f-a7cf-73e4-8a2f-bd66fa060483'),
	('01a2272f-a97a-7c93-bef3-7289f35eb6ed', '0000000000000000000000000000000000000000000000000000000000000007', '{"model": "scripted:echo"}', '2026-11-29 12:02:44.731426+00', '2026-11-29 12:02:44.731426+00', '01a2272f-a757-76d6-b207-a037ce2cd0be', '01a2272f-a8fd-789d-9aa0-5de869269448'),
	('01a2272f-aa70-78ae-93f9-bbdab2b9b850', '000000000000000000000000000000000000000000000000000000000000000e', '{"model": "scripted:echo"}', '2026-11-29 12:02:44.980127+00', '2026-11-29 12:02:44.980127+00', '01a2272f-aa1e-714a-a9ef-5afcdd2bfc9c', '01a2272f-aa45-7c35-a19b-c8c53b362fd8'),
	('01a2272f-ab0d-742c-ba44-7daba6b4cf04', '0000000000000000000000000000000000000000000000000000000000000014', '{"model": "scripted:echo"}', '2026-11-29 12:02:45.133797+00', '2026-11-29 12:02:45.133797+00', '01a2272f-aa1e-714a-a9ef-5afcdd2bfc9c', '01a2272f-aad8-7630-9852-6ed205dca7dd');

INSERT INTO public.django_content_type VALUES
	(1, 'accounts', 'account'),
	(2, 'accounts', 'accountlimits'),
	(3, 'accounts', 'apikey'),
	(4, 'accounts', 'attemptrate'),
	(5, 'accounts', 'auditentry'),
	(6, 'accounts', 'budget'),
	(7, 'accounts', 'invitation'),
	(8, 'accounts', 'membership'),
	(9, 'accounts', 'ratestate'),
	(10, 'accounts', 'supportaccess'),
	(11, 'accounts', 'user'),
	(12, 'agents', 'agentinstance'),
	(13, 'agents', 'configdraft'),
	(14, 'agents', 'configpublication'),
	(15, 'agents', 'configversion'),
	(16, 'agents', 'providerconnection'),
	(17, 'sessions_app', 'llmrequest'),
	(18, 'sessions_app', 'message'),
	(19, 'sessions_app', 'messagefeedback'),
	(20, 'sessions_app', 'profile'),
	(21, 'sessions_app', 'promptsection'),
	(22, 'sessions_app', 'savedchat'),
	(23, 'sessions_app', 'savedchatrun'),
	(24, 'sessions_app', 'serverprocess'),
	(25, 'sessions_app', 'session'),
	(26, 'sessions_app', 'usageday'),
	(27, 'sessions_app', 'usagetotal'),
	(28, 'admin', 'logentry'),
	(29, 'auth', 'group'),
	(30, 'auth', 'permission'),
	(31, 'contenttypes', 'contenttype'),
	(32, 'sessions', 'session');

INSERT INTO public.django_migrations VALUES
	(1, 'contenttypes', '0001_initial', '2026-11-29 11:38:40.724399+00'),
	(2, 'contenttypes', '0002_remove_content_type_name', '2026-11-29 11:38:40.732418+00'),
	(3, 'auth', '0001_initial', '2026-11-29 11:38:40.757271+00'),
	(4, 'auth', '0002_alter_permission_name_max_length', '2026-11-29 11:38:40.768352+00'),
	(5, 'auth', '0003_alter_user_email_max_length', '2026-11-29 11:38:40.775523+00'),
	(6, 'auth', '0004_alter_user_username_opts', '2026-11-29 11:38:40.785642+00'),
	(7, 'auth', '0005_alter_user_last_login_null', '2026-11-29 11:38:40.797412+00'),
	(8, 'auth', '0006_require_contenttypes_0002', '2026-11-29 11:38:40.798669+00'),
	(9, 'auth', '0007_alter_validators_add_error_messages', '2026-11-29 11:38:40.803751+00'),
	(10, 'auth', '0008_alter_user_username_max_length', '2026-11-29 11:38:40.809241+00'),
	(11, 'auth', '0009_alter_user_last_name_max_length', '2026-11-29 11:38:40.815458+00'),
	(12, 'auth', '0010_alter_group_name_max_length', '2026-11-29 11:38:40.822347+00'),
	(13, 'auth', '0011_update_proxy_permissions', '2026-11-29 11:38:40.829113+00'),
	(14, 'auth', '0012_alter_user_first_name_max_length', '2026-11-29 11:38:40.839111+00'),
	(15, 'accounts', '0001_initial', '2026-11-29 11:38:40.909903+00'),
	(16, 'agents', '0001_initial', '2026-11-29 11:38:41.045246+00'),
	(17, 'accounts', '0002_default_account', '2026-11-29 11:38:41.076353+00'),
	(18, 'accounts', '0003_tables', '2026-11-29 11:38:41.798146+00'),
	(19, 'accounts', '0004_isolation', '2026-11-29 11:38:41.843755+00'),
	(20, 'accounts', '0005_limits', '2026-11-29 11:38:41.846813+00'),
	(21, 'accounts', '0006_audit', '2026-11-29 11:38:42.204909+00'),
	(22, 'accounts', '0007_audit_triggers', '2026-11-29 11:38:42.212001+00'),
	(23, 'accounts', '0008_hot_rows', '2026-11-29 11:38:42.250929+00'),
	(24, 'accounts', '0009_audit_rights', '2026-11-29 11:38:42.256864+00'),
	(25, 'accounts', '0010_limits_together', '2026-11-29 11:38:42.261483+00'),
	(26, 'accounts', '0011_audit_order', '2026-11-29 11:38:42.264802+00'),
	(27, 'accounts', '0012_key_offers', '2026-11-29 11:38:42.464894+00'),
	(28, 'accounts', '0013_email_forms', '2026-11-29 11:38:42.494435+00'),
	(29, 'accounts', '0014_attempt_rates', '2026-11-29 11:38:42.504672+00'),
	(30, 'accounts', '0015_budget_amounts', '2026-11-29 11:38:42.563052+00'),
	(31, 'accounts', '0016_function_texts', '2026-11-29 11:38:42.582299+00'),
	(32, 'accounts', '0017_account_in_keys', '2026-11-29 11:38:42.838128+00'),
	(33, 'admin', '0001_initial', '2026-11-29 11:38:42.907755+00'),
	(34, 'admin', '0002_logentry_remove_auto_add', '2026-11-29 11:38:42.916203+00'),
	(35, 'admin', '0003_logentry_add_action_flag_choices', '2026-11-29 11:38:42.926764+00'),
	(36, 'agents', '0002_default_instance', '2026-11-29 11:38:42.951423+00'),
	(37, 'agents', '0003_tables', '2026-11-29 11:38:42.986654+00'),
	(38, 'agents', '0004_isolation', '2026-11-29 11:38:42.988779+00'),
	(39, 'agents', '0005_publications', '2026-11-29 11:38:43.050204+00'),
	(40, 'agents', '0006_publications_isolation', '2026-11-29 11:38:43.053689+00'),
	(41, 'agents', '0007_drafts', '2026-11-29 11:38:43.094195+00'),
	(42, 'agents', '0008_account_in_keys', '2026-11-29 11:38:43.32614+00'),
	(43, 'sessions', '0001_initial', '2026-11-29 11:38:43.330742+00'),
	(44, 'sessions_app', '0001_initial', '2026-11-29 11:38:43.364442+00'),
	(45, 'sessions_app', '0002_tenancy', '2026-11-29 11:38:44.360621+00'),
	(46, 'sessions_app', '0003_backfill', '2026-11-29 11:38:44.44821+00'),
	(47, 'sessions_app', '0004_constraints', '2026-11-29 11:38:49.353726+00'),
	(48, 'sessions_app', '0005_tables', '2026-11-29 11:38:50.120842+00'),
	(49, 'sessions_app', '0006_isolation', '2026-11-29 11:38:50.126841+00'),
	(50, 'sessions_app', '0007_hash_session_keys', '2026-11-29 11:38:50.134012+00'),
	(51, 'sessions_app', '0008_insights', '2026-11-29 11:38:52.275428+00'),
	(52, 'sessions_app', '0009_insights_isolation', '2026-11-29 11:38:52.287548+00'),
	(53, 'sessions_app', '0010_message_text', '2026-11-29 11:38:52.369068+00'),
	(54, 'sessions_app', '0011_usage', '2026-11-29 11:38:52.379301+00'),
	(55, 'sessions_app', '0012_turns', '2026-11-29 11:38:52.388645+00'),
	(56, 'sessions_app', '0013_list_indexes', '2026-11-29 11:38:52.71445+00'),
	(57, 'sessions_app', '0014_turns_together', '2026-11-29 11:38:52.723138+00'),
	(58, 'sessions_app', '0015_usage_totals', '2026-11-29 11:38:52.789463+00'),
	(59, 'sessions_app', '0016_sum_days', '2026-11-29 11:38:52.794765+00'),
	(60, 'sessions_app', '0017_instance_activity', '2026-11-29 11:38:52.971452+00'),
	(61, 'sessions_app', '0018_copies', '2026-11-29 11:38:53.020331+00'),
	(62, 'sessions_app', '0019_copies_index', '2026-11-29 11:38:53.369424+00'),
	(63, 'sessions_app', '0020_mark_copies', '2026-11-29 11:38:53.373491+00'),
	(64, 'sessions_app', '0021_turns_in_sets', '2026-11-29 11:38:53.378152+00'),
	(65, 'sessions_app', '0022_server_processes', '2026-11-29 11:38:53.410722+00'),
	(66, 'sessions_app', '0023_money_columns', '2026-11-29 11:38:54.102273+00'),
	(67, 'sessions_app', '0024_message_text_start', '2026-11-29 11:38:54.266642+00'),
	(68, 'sessions_app', '0025_validate_cost_source', '2026-11-29 11:38:54.271458+00'),
	(69, 'sessions_app', '0026_longer_model_names', '2026-11-29 11:38:54.429692+00'),
	(70, 'sessions_app', '0027_session_keys', '2026-11-29 11:38:54.504837+00'),
	(71, 'sessions_app', '0028_functions_by_account', '2026-11-29 11:38:54.520283+00'),
	(72, 'sessions_app', '0029_account_in_keys', '2026-11-29 11:38:55.690869+00');

INSERT INTO public.invitations VALUES
	('01a2272f-a757-76d6-b207-a037ce2cd0be', '01a2272f-a8e5-7a26-9026-1ca62a018830', 'guest6@example.com', 'member', '', '0000000000000000000000000000000000000000000000000000000000000006', '2026-11-29 12:02:44.582453+00', '2026-12-06 12:02:44.580882+00', NULL, NULL),
	('01a2272f-aa1e-714a-a9ef-5afcdd2bfc9c', '01a2272f-aac8-7aee-941a-264b09c5c196', 'guest19@example.com', 'member', '', '0000000000000000000000000000000000000000000000000000000000000013', '2026-11-29 12:02:45.065613+00', '2026-12-06 12:02:45.059363+00', NULL, NULL);

INSERT INTO public.llm_requests VALUES
	('01a2272f-a8b4-7739-8e69-165b29167e0f', '01a2272f-a8ad-75a4-9775-5ce1cd821d0d', 'scripted', 'echo', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2026-11-29 12:02:44.533554+00', '01a2272f-a757-76d6-b207-a037ce2cd0be', 'acme', '01a2272f-a7cf-73e4-8a2f-bd66fa060483', 'bot', 'simple_chat', 'complete', '01a2272f-a7f4-78fa-825f-66c67f1aa560', '', 0, NULL, false, 'unknown', NULL, NULL, '', '', NULL, false, NULL, NULL, NULL),
	('01a2272f-aa7e-7f55-90a0-32a9281862c7', '01a2272f-aa78-7009-8ada-ee47f254c753', 'scripted', 'echo', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2026-11-29 12:02:44.996878+00', '01a2272f-aa1e-714a-a9ef-5afcdd2bfc9c', 'beta', '01a2272f-aa45-7c35-a19b-c8c53b362fd8', 'bot', 'simple_chat', 'complete', '01a2272f-aa70-78ae-93f9-bbdab2b9b850', '', 0, NULL, false, 'unknown', NULL, NULL, '', '', NULL, false, NULL, NULL, NULL);

INSERT INTO public.memberships VALUES
	('01a2272f-a757-76d6-b207-a037ce2cd0be', '01a2272f-a8d1-7936-8c1c-30662fffcc37', '01a2272f-a8d6-72b3-b4f9-563d8704095a', 'member', '2026-11-29 12:02:44.566797+00', '2026-11-29 12:02:44.566582+00'),
	('01a2272f-aa1e-714a-a9ef-5afcdd2bfc9c', '01a2272f-aaa5-7046-948b-7bf009372f18', '01a2272f-aab2-75f7-b04e-dfe08c2c8139', 'member', '2026-11-29 12:02:45.045171+00', '2026-11-29 12:02:45.042991+00');

INSERT INTO public.message_feedback VALUES
	('01a2272f-aa05-74a2-8eb8-873787d1ba8a', 1, '', 'key:12', '2026-11-29 12:02:44.870071+00', '2026-11-29 12:02:44.869826+00', '01a2272f-a757-76d6-b207-a037ce2cd0be', '01a2272f-a7cf-73e4-8a2f-bd66fa060483', '01a2272f-a8c0-7e25-916c-50b658090934', '01a2272f-a8ad-75a4-9775-5ce1cd821d0d'),
	('01a2272f-ab51-749b-84b5-6cc82603e05d', 1, '', 'key:25', '2026-11-29 12:02:45.201839+00', '2026-11-29 12:02:45.201654+00', '01a2272f-aa1e-714a-a9ef-5afcdd2bfc9c', '01a2272f-aa45-7c35-a19b-c8c53b362fd8', '01a2272f-aa8a-713e-83c2-7025ab5c80d5', '01a2272f-aa78-7009-8ada-ee47f254c753');

INSERT INTO public.messages VALUES
	('01a2272f-a8c0-7e25-916c-50b658090934', '01a2272f-a8ad-75a4-9775-5ce1cd821d0d', 'human', 'Hello', NULL, '2026-11-29 12:02:44.54556+00', '01a2272f-a757-76d6-b207-a037ce2cd0be', '01a2272f-a7cf-73e4-8a2f-bd66fa060483', '01a2272f-a8b4-7739-8e69-165b29167e0f', '01a2272f-a7f4-78fa-825f-66c67f1aa560'),
	('01a2272f-aa8a-713e-83c2-7025ab5c80d5', '01a2272f-aa78-7009-8ada-ee47f254c753', 'human', 'Hello', NULL, '2026-11-29 12:02:45.002756+00', '01a2272f-aa1e-714a-a9ef-5afcdd2bfc9c', '01a2272f-aa45-7c35-a19b-c8c53b362fd8', '01a2272f-aa7e-7f55-90a0-32a9281862c7', '01a2272f-aa70-78ae-93f9-bbdab2b9b850');

INSERT INTO public.profiles VALUES
	('01a2272f-a8ca-792d-ae5a-fdab5d1283c6', '01a2272f-a8c4-7ff4-86dd-4ad7915a1e26', 'Ann', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2026-11-29 12:02:44.555031+00', '01a2272f-a757-76d6-b207-a037ce2cd0be'),
	('01a2272f-aa9c-7bf8-9cad-e8dd5c86de80', '01a2272f-aa94-7d42-805c-8f717693e6aa', 'Ann', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2026-11-29 12:02:45.021294+00', '01a2272f-aa1e-714a-a9ef-5afcdd2bfc9c');

INSERT INTO public.prompt_sections VALUES
	('01a2272f-a9f8-742d-96ea-58242f37ff60', '000000000000000000000000000000000000000000000000000000000000000b', 'Be brief.', '2026-11-29 12:02:44.856789+00', '01a2272f-a757-76d6-b207-a037ce2cd0be'),
	('01a2272f-ab4f-774f-983f-b87c1cfd5544', '0000000000000000000000000000000000000000000000000000000000000018', 'Be brief.', '2026-11-29 12:02:45.200031+00', '01a2272f-aa1e-714a-a9ef-5afcdd2bfc9c');

INSERT INTO public.provider_connections VALUES
	('01a2272f-a997-7b11-b947-78aadbc257bc', 'server-9', 'https://models.example/v1', '', '', '', '2026-11-29 12:02:44.768154+00', '2026-11-29 12:02:44.764169+00', '01a2272f-a757-76d6-b207-a037ce2cd0be'),
	('01a2272f-ab22-7e09-ade9-b30f4e986f8d', 'server-22', 'https://models.example/v1', '', '', '', '2026-11-29 12:02:45.155748+00', '2026-11-29 12:02:45.155225+00', '01a2272f-aa1e-714a-a9ef-5afcdd2bfc9c');

INSERT INTO public.rate_states VALUES
	('01a2272f-a757-76d6-b207-a037ce2cd0be', 'key:8', '2026-11-29 12:02:44.749663+00'),
	('01a2272f-aa1e-714a-a9ef-5afcdd2bfc9c', 'key:21', '2026-11-29 12:02:45.147481+00');

INSERT INTO public.saved_chat_runs VALUES
	('01a2272f-a9d1-7091-9f11-21fddfc62035', true, '[]', NULL, 5, '2026-11-29 12:02:44.820127+00', '01a2272f-a757-76d6-b207-a037ce2cd0be', '01a2272f-a7cf-73e4-8a2f-bd66fa060483', '01a2272f-a7f4-78fa-825f-66c67f1aa560', '01a2272f-a9c0-7f74-bc67-27d210b5943f'),
	('01a2272f-ab34-7452-86dd-7b1c1901715f', true, '[]', NULL, 5, '2026-11-29 12:02:45.173032+00', '01a2272f-aa1e-714a-a9ef-5afcdd2bfc9c', '01a2272f-aa45-7c35-a19b-c8c53b362fd8', '01a2272f-aa70-78ae-93f9-bbdab2b9b850', '01a2272f-ab2f-76d1-ae56-025baa9ec9c0');

INSERT INTO public.saved_chats VALUES
	('01a2272f-a9c0-7f74-bc67-27d210b5943f', 'chat 10', '["Hello"]', '[]', true, NULL, '2026-11-29 12:02:44.804419+00', '2026-11-29 12:02:44.801401+00', '01a2272f-a757-76d6-b207-a037ce2cd0be', '01a2272f-a7cf-73e4-8a2f-bd66fa060483'),
	('01a2272f-ab2f-76d1-ae56-025baa9ec9c0', 'chat 23', '["Hello"]', '[]', true, NULL, '2026-11-29 12:02:45.168333+00', '2026-11-29 12:02:45.167984+00', '01a2272f-aa1e-714a-a9ef-5afcdd2bfc9c', '01a2272f-aa45-7c35-a19b-c8c53b362fd8');

INSERT INTO public.server_processes VALUES
	('01a2272f-a9a4-7f88-893a-ff3d3c7ecd91', '', 1, 0, '2026-11-29 12:02:44.773411+00', '2026-11-29 12:02:44.773411+00'),
	('01a2272f-ab26-7d71-88af-0f073133a3ab', '', 1, 0, '2026-11-29 12:02:45.159357+00', '2026-11-29 12:02:45.159357+00');

INSERT INTO public.sessions VALUES
	('01a2272f-a8ad-75a4-9775-5ce1cd821d0d', 'key-3', NULL, true, '2026-11-29 12:02:44.52815+00', '2026-11-29 12:02:44.52815+00', NULL, '01a2272f-a757-76d6-b207-a037ce2cd0be', 'acme', '01a2272f-a7cf-73e4-8a2f-bd66fa060483', 'bot', '01a2272f-a8a2-7129-97ea-658ae76fa6cb', '2026-11-29 12:02:44.525931+00', NULL, NULL, NULL, '', 0.00000000, 0, 0, NULL),
	('01a2272f-a8c4-7ff4-86dd-4ad7915a1e26', 'key-4', NULL, true, '2026-11-29 12:02:44.549613+00', '2026-11-29 12:02:44.549613+00', NULL, '01a2272f-a757-76d6-b207-a037ce2cd0be', 'acme', '01a2272f-a7cf-73e4-8a2f-bd66fa060483', 'bot', NULL, '2026-11-29 12:02:44.549391+00', NULL, NULL, NULL, '', 0.00000000, 0, 0, NULL),
	('01a2272f-aa78-7009-8ada-ee47f254c753', 'key-16', NULL, true, '2026-11-29 12:02:44.984633+00', '2026-11-29 12:02:44.984633+00', NULL, '01a2272f-aa1e-714a-a9ef-5afcdd2bfc9c', 'beta', '01a2272f-aa45-7c35-a19b-c8c53b362fd8', 'bot', '01a2272f-aa76-7296-9355-400b25c45bdd', '2026-11-29 12:02:44.98443+00', NULL, NULL, NULL, '', 0.00000000, 0, 0, NULL),
	('01a2272f-aa94-7d42-805c-8f717693e6aa', 'key-17', NULL, true, '2026-11-29 12:02:45.013734+00', '2026-11-29 12:02:45.013734+00', NULL, '01a2272f-aa1e-714a-a9ef-5afcdd2bfc9c', 'beta', '01a2272f-aa45-7c35-a19b-c8c53b362fd8', 'bot', NULL, '2026-11-29 12:02:45.013426+00', NULL, NULL, NULL, '', 0.00000000, 0, 0, NULL);

INSERT INTO public.support_accesses VALUES
	('01a2272f-aa11-7f35-ba7b-a0ef445ed98d', 'user2@example.com', 'ticket 7', '2026-11-29 12:02:44.883538+00', '2026-11-29 13:02:44.88029+00', NULL, '01a2272f-a757-76d6-b207-a037ce2cd0be', '01a2272f-a8a2-7129-97ea-658ae76fa6cb'),
	('01a2272f-ab56-7b3f-b243-20a8fe6eb97c', 'user15@example.com', 'ticket 7', '2026-11-29 12:02:45.208201+00', '2026-11-29 13:02:45.203578+00', NULL, '01a2272f-aa1e-714a-a9ef-5afcdd2bfc9c', '01a2272f-aa76-7296-9355-400b25c45bdd');

INSERT INTO public.usage_days VALUES
	('01a2272f-a757-76d6-b207-a037ce2cd0be', '01a2272f-a7cf-73e4-8a2f-bd66fa060483', '2026-11-29', 'scripted:echo', 1, 0, 0, 0, 0, 0, 0, 0.00000000, 0, '{0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0}'),
	('01a2272f-aa1e-714a-a9ef-5afcdd2bfc9c', '01a2272f-aa45-7c35-a19b-c8c53b362fd8', '2026-11-29', 'scripted:echo', 1, 0, 0, 0, 0, 0, 0, 0.00000000, 0, '{0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0}');

INSERT INTO public.usage_totals VALUES
	('2026-11-29', '', 0, 0, 0, 0, 0, 0, 0, 0.00000000, 0, '{}', '01a2272f-a9eb-71ed-becb-8f89f357b0b4', '01a2272f-a757-76d6-b207-a037ce2cd0be'),
	('2026-11-29', '', 0, 0, 0, 0, 0, 0, 0, 0.00000000, 0, '{}', '01a2272f-ab45-74dc-8d75-23952f5f6085', '01a2272f-aa1e-714a-a9ef-5afcdd2bfc9c');

INSERT INTO public.users VALUES
	('!jlduEbqdzeeZV9fOtKeuEJM06JMWg2oOLnbdcMr5', NULL, false, '', '', false, true, '2026-11-29 12:02:44.51406+00', '01a2272f-a8a2-7129-97ea-658ae76fa6cb', 'user2@example.com', true),
	('!l3wDJXeiUn6SUjgAYe1HQgXX17ZffxhDgZhrEB99', NULL, false, '', '', false, true, '2026-11-29 12:02:44.561568+00', '01a2272f-a8d1-7936-8c1c-30662fffcc37', 'user5@example.com', false),
	('!EbgCsrY7IRvg0k0qIOtTHE9TYaG1AWjmE99uUOA6', NULL, false, '', '', false, true, '2026-11-29 12:02:44.982155+00', '01a2272f-aa76-7296-9355-400b25c45bdd', 'user15@example.com', true),
	('!HzWQ1SNw5LWUi5TqTUGPPemibPPnpmtbj1rVerbE', NULL, false, '', '', false, true, '2026-11-29 12:02:45.02901+00', '01a2272f-aaa5-7046-948b-7bf009372f18', 'user18@example.com', false),
	('!GNimZXDiS86W8MYFwxektzBgjgzWYHjeJH3VsLMf', NULL, false, '', '', false, true, '2026-11-29 12:02:45.23679+00', '01a2272f-ab74-7ccd-ac27-76885cec776f', 'user27@example.com', false);

INSERT INTO public.users_groups VALUES
	(1, '01a2272f-ab74-7ccd-ac27-76885cec776f', 1);

INSERT INTO public.users_user_permissions VALUES
	(1, '01a2272f-ab74-7ccd-ac27-76885cec776f', 104);

SELECT pg_catalog.setval('public.auth_group_id_seq', 1, true);

SELECT pg_catalog.setval('public.auth_group_permissions_id_seq', 1, true);

SELECT pg_catalog.setval('public.auth_permission_id_seq', 128, true);

SELECT pg_catalog.setval('public.django_admin_log_id_seq', 1, false);

SELECT pg_catalog.setval('public.django_content_type_id_seq', 32, true);

SELECT pg_catalog.setval('public.django_migrations_id_seq', 72, true);

SELECT pg_catalog.setval('public.users_groups_id_seq', 1, true);

SELECT pg_catalog.setval('public.users_user_permissions_id_seq', 1, true);

ALTER TABLE ONLY public.account_limits
    ADD CONSTRAINT account_limits_pkey PRIMARY KEY (account_id);

ALTER TABLE ONLY public.accounts
    ADD CONSTRAINT accounts_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.agent_instances
    ADD CONSTRAINT agent_instances_pkey PRIMARY KEY (id, account_id);

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.attempt_rates
    ADD CONSTRAINT attempt_rates_pkey PRIMARY KEY (subject);

ALTER TABLE ONLY public.audit_log
    ADD CONSTRAINT audit_log_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.auth_group
    ADD CONSTRAINT auth_group_name_key UNIQUE (name);

ALTER TABLE ONLY public.auth_group_permissions
    ADD CONSTRAINT auth_group_permissions_group_id_permission_id_0cd325b0_uniq UNIQUE (group_id, permission_id);

ALTER TABLE ONLY public.auth_group_permissions
    ADD CONSTRAINT auth_group_permissions_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.auth_group
    ADD CONSTRAINT auth_group_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.auth_permission
    ADD CONSTRAINT auth_permission_content_type_id_codename_01ab375a_uniq UNIQUE (content_type_id, codename);

ALTER TABLE ONLY public.auth_permission
    ADD CONSTRAINT auth_permission_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.budgets
    ADD CONSTRAINT budgets_pkey PRIMARY KEY (id, account_id);

ALTER TABLE ONLY public.config_drafts
    ADD CONSTRAINT config_drafts_pkey PRIMARY KEY (id, account_id);

ALTER TABLE ONLY public.config_publications
    ADD CONSTRAINT config_publications_pkey PRIMARY KEY (id, account_id);

ALTER TABLE ONLY public.config_versions
    ADD CONSTRAINT config_versions_pkey PRIMARY KEY (id, account_id);

ALTER TABLE ONLY public.django_admin_log
    ADD CONSTRAINT django_admin_log_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.django_content_type
    ADD CONSTRAINT django_content_type_app_label_model_76bd3d3b_uniq UNIQUE (app_label, model);

ALTER TABLE ONLY public.django_content_type
    ADD CONSTRAINT django_content_type_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.django_migrations
    ADD CONSTRAINT django_migrations_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.django_session
    ADD CONSTRAINT django_session_pkey PRIMARY KEY (session_key);

ALTER TABLE ONLY public.invitations
    ADD CONSTRAINT invitations_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.llm_requests
    ADD CONSTRAINT llm_requests_pkey PRIMARY KEY (id, account_id);

ALTER TABLE ONLY public.memberships
    ADD CONSTRAINT memberships_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.message_feedback
    ADD CONSTRAINT message_feedback_pkey PRIMARY KEY (id, account_id);

ALTER TABLE ONLY public.messages
    ADD CONSTRAINT messages_pkey PRIMARY KEY (id, account_id);

ALTER TABLE ONLY public.profiles
    ADD CONSTRAINT profiles_pkey PRIMARY KEY (id, account_id);

ALTER TABLE ONLY public.prompt_sections
    ADD CONSTRAINT prompt_sections_pkey PRIMARY KEY (id, account_id);

ALTER TABLE ONLY public.provider_connections
    ADD CONSTRAINT provider_connections_pkey PRIMARY KEY (id, account_id);

ALTER TABLE ONLY public.rate_states
    ADD CONSTRAINT rate_states_pkey PRIMARY KEY (account_id, subject);

ALTER TABLE ONLY public.saved_chat_runs
    ADD CONSTRAINT saved_chat_runs_pkey PRIMARY KEY (id, account_id);

ALTER TABLE ONLY public.saved_chats
    ADD CONSTRAINT saved_chats_pkey PRIMARY KEY (id, account_id);

ALTER TABLE ONLY public.server_processes
    ADD CONSTRAINT server_processes_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_pkey PRIMARY KEY (id, account_id);

ALTER TABLE ONLY public.support_accesses
    ADD CONSTRAINT support_accesses_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.accounts
    ADD CONSTRAINT uq_accounts_id_slug UNIQUE (id, slug);

ALTER TABLE ONLY public.accounts
    ADD CONSTRAINT uq_accounts_slug UNIQUE (slug);

ALTER TABLE ONLY public.agent_instances
    ADD CONSTRAINT uq_agent_instances_account_id_slug UNIQUE (account_id, id, instance_slug);

ALTER TABLE ONLY public.agent_instances
    ADD CONSTRAINT uq_agent_instances_account_slug UNIQUE (account_id, instance_slug);

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT uq_api_keys_key_id UNIQUE (key_id);

ALTER TABLE ONLY public.budgets
    ADD CONSTRAINT uq_budgets_account_instance_period UNIQUE NULLS NOT DISTINCT (account_id, agent_instance_id, period);

ALTER TABLE ONLY public.config_drafts
    ADD CONSTRAINT uq_config_drafts_instance UNIQUE (agent_instance_id, account_id);

ALTER TABLE ONLY public.config_publications
    ADD CONSTRAINT uq_config_publications_number UNIQUE (agent_instance_id, number, account_id);

ALTER TABLE ONLY public.config_versions
    ADD CONSTRAINT uq_config_versions_instance_digest UNIQUE (agent_instance_id, digest, account_id);

ALTER TABLE ONLY public.config_versions
    ADD CONSTRAINT uq_config_versions_instance_id UNIQUE (account_id, agent_instance_id, id);

ALTER TABLE ONLY public.invitations
    ADD CONSTRAINT uq_invitations_token_hash UNIQUE (token_hash);

ALTER TABLE ONLY public.memberships
    ADD CONSTRAINT uq_memberships_account_user UNIQUE (account_id, user_id);

ALTER TABLE ONLY public.message_feedback
    ADD CONSTRAINT uq_message_feedback_message_caller UNIQUE (message_id, caller);

ALTER TABLE ONLY public.prompt_sections
    ADD CONSTRAINT uq_prompt_sections_account_digest UNIQUE (account_id, digest);

ALTER TABLE ONLY public.provider_connections
    ADD CONSTRAINT uq_provider_connections_account_name UNIQUE (account_id, name);

ALTER TABLE ONLY public.saved_chats
    ADD CONSTRAINT uq_saved_chats_instance_name UNIQUE (account_id, agent_instance_id, name);

ALTER TABLE ONLY public.usage_totals
    ADD CONSTRAINT uq_usage_totals_day_account_model UNIQUE NULLS NOT DISTINCT (day, account_id, model);

ALTER TABLE ONLY public.users
    ADD CONSTRAINT uq_users_email UNIQUE (email);

ALTER TABLE ONLY public.usage_days
    ADD CONSTRAINT usage_days_pkey PRIMARY KEY (account_id, agent_instance_id, day, model);

ALTER TABLE ONLY public.usage_totals
    ADD CONSTRAINT usage_totals_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.users_groups
    ADD CONSTRAINT users_groups_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.users_groups
    ADD CONSTRAINT users_groups_user_id_group_id_fc7788e8_uniq UNIQUE (user_id, group_id);

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.users_user_permissions
    ADD CONSTRAINT users_user_permissions_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.users_user_permissions
    ADD CONSTRAINT users_user_permissions_user_id_permission_id_3b86cbdf_uniq UNIQUE (user_id, permission_id);

CREATE INDEX auth_group_name_a6ea08ec_like ON public.auth_group USING btree (name varchar_pattern_ops);

CREATE INDEX auth_group_permissions_group_id_b120cbf9 ON public.auth_group_permissions USING btree (group_id);

CREATE INDEX auth_group_permissions_permission_id_84c5c92e ON public.auth_group_permissions USING btree (permission_id);

CREATE INDEX auth_permission_content_type_id_2f476e4b ON public.auth_permission USING btree (content_type_id);

CREATE INDEX django_admin_log_content_type_id_c4bce8eb ON public.django_admin_log USING btree (content_type_id);

CREATE INDEX django_admin_log_user_id_c564eba6 ON public.django_admin_log USING btree (user_id);

CREATE INDEX django_session_expire_date_a5c62663 ON public.django_session USING btree (expire_date);

CREATE INDEX django_session_session_key_c0390e0f_like ON public.django_session USING btree (session_key varchar_pattern_ops);

CREATE INDEX ix_api_keys_account_created ON public.api_keys USING btree (account_id, created_at);

CREATE INDEX ix_audit_log_account_time ON public.audit_log USING btree (account_id, created_at DESC, id DESC);

CREATE INDEX ix_audit_log_object ON public.audit_log USING btree (object_type, object_id, created_at DESC);

CREATE INDEX ix_audit_log_time ON public.audit_log USING btree (created_at DESC, id DESC);

CREATE INDEX ix_config_drafts_author ON public.config_drafts USING btree (author_id) WHERE (author_id IS NOT NULL);

CREATE INDEX ix_config_publications_author ON public.config_publications USING btree (author_id) WHERE (author_id IS NOT NULL);

CREATE INDEX ix_config_publications_version ON public.config_publications USING btree (config_version_id);

CREATE INDEX ix_config_versions_last_served ON public.config_versions USING btree (agent_instance_id, last_served_at DESC);

CREATE INDEX ix_llm_requests_account_time ON public.llm_requests USING btree (account_id, created_at DESC, id DESC);

CREATE INDEX ix_llm_requests_failed ON public.llm_requests USING btree (created_at DESC, id DESC) WHERE (((completion_status)::text = 'partial'::text) OR ((completion_status)::text = 'error'::text) OR ((completion_status)::text = 'cancelled'::text));

CREATE INDEX ix_llm_requests_instance_time ON public.llm_requests USING btree (agent_instance_id, created_at DESC);

CREATE INDEX ix_llm_requests_running ON public.llm_requests USING btree (created_at) WHERE ((completion_status)::text = 'running'::text);

CREATE INDEX ix_llm_requests_session_id ON public.llm_requests USING btree (session_id);

CREATE INDEX ix_llm_requests_time ON public.llm_requests USING btree (created_at DESC, id DESC);

CREATE INDEX ix_memberships_user ON public.memberships USING btree (user_id);

CREATE INDEX ix_message_feedback_account ON public.message_feedback USING btree (account_id, created_at DESC, id DESC);

CREATE INDEX ix_message_feedback_instance ON public.message_feedback USING btree (agent_instance_id);

CREATE INDEX ix_message_feedback_session ON public.message_feedback USING btree (session_id);

CREATE INDEX ix_message_feedback_time ON public.message_feedback USING btree (created_at DESC, id DESC);

CREATE INDEX ix_messages_account_time ON public.messages USING btree (account_id, created_at DESC, id DESC);

CREATE INDEX ix_messages_agent_instance ON public.messages USING btree (agent_instance_id);

CREATE INDEX ix_messages_history ON public.messages USING btree (session_id, agent_instance_id, created_at DESC, id DESC);

CREATE INDEX ix_messages_llm_request ON public.messages USING btree (llm_request_id) WHERE (llm_request_id IS NOT NULL);

CREATE INDEX ix_messages_text_start ON public.messages USING gin (to_tsvector('simple'::regconfig, COALESCE("left"(content, 50000), ''::text)));

CREATE INDEX ix_profiles_account ON public.profiles USING btree (account_id);

CREATE INDEX ix_profiles_email ON public.profiles USING btree (email);

CREATE UNIQUE INDEX ix_profiles_session_id ON public.profiles USING btree (session_id, account_id);

CREATE INDEX ix_saved_chat_runs_chat ON public.saved_chat_runs USING btree (saved_chat_id, config_version_id, created_at DESC);

CREATE INDEX ix_saved_chat_runs_instance ON public.saved_chat_runs USING btree (account_id, agent_instance_id);

CREATE INDEX ix_sessions_account_activity ON public.sessions USING btree (account_id, last_activity_at DESC, id DESC);

CREATE INDEX ix_sessions_activity ON public.sessions USING btree (last_activity_at DESC, id DESC);

CREATE INDEX ix_sessions_copied_from ON public.sessions USING btree (copied_from) WHERE (copied_from IS NOT NULL);

CREATE INDEX ix_sessions_email ON public.sessions USING btree (email);

CREATE INDEX ix_sessions_end_user ON public.sessions USING btree (agent_instance_id, end_user, last_activity_at DESC) WHERE (end_user IS NOT NULL);

CREATE INDEX ix_sessions_instance_activity ON public.sessions USING btree (account_id, agent_instance_id, last_activity_at DESC, id DESC);

CREATE INDEX ix_sessions_user ON public.sessions USING btree (user_id) WHERE (user_id IS NOT NULL);

CREATE INDEX ix_support_accesses_account ON public.support_accesses USING btree (account_id, user_id, expires_at DESC);

CREATE INDEX ix_support_accesses_user ON public.support_accesses USING btree (user_id);

CREATE INDEX ix_usage_days_day ON public.usage_days USING btree (day);

CREATE INDEX ix_usage_days_instance ON public.usage_days USING btree (agent_instance_id, day);

CREATE INDEX ix_usage_totals_account ON public.usage_totals USING btree (account_id, day);

CREATE UNIQUE INDEX uq_invitations_open ON public.invitations USING btree (account_id, lower((email)::text)) WHERE ((accepted_at IS NULL) AND (revoked_at IS NULL));

CREATE UNIQUE INDEX uq_llm_requests_idempotency ON public.llm_requests USING btree (account_id, caller, idempotency_key) WHERE (idempotency_key IS NOT NULL);

CREATE UNIQUE INDEX uq_llm_requests_running_in_session ON public.llm_requests USING btree (session_id, account_id) WHERE ((completion_status)::text = 'running'::text);

CREATE UNIQUE INDEX uq_sessions_session_key_account ON public.sessions USING btree (session_key, account_id);

CREATE UNIQUE INDEX uq_users_email_lower ON public.users USING btree (lower((email)::text));

CREATE INDEX users_groups_group_id_2f3517aa ON public.users_groups USING btree (group_id);

CREATE INDEX users_groups_user_id_f500bee5 ON public.users_groups USING btree (user_id);

CREATE INDEX users_user_permissions_permission_id_6d08dcd2 ON public.users_user_permissions USING btree (permission_id);

CREATE INDEX users_user_permissions_user_id_92473840 ON public.users_user_permissions USING btree (user_id);

CREATE STATISTICS public.st_sessions_agent_of_account (dependencies) ON account_id, agent_instance_id FROM public.sessions;

CREATE TRIGGER forget_on_delete AFTER DELETE ON public.usage_days FOR EACH ROW WHEN ((old.day < (((now() AT TIME ZONE 'UTC'::text))::date - 1))) EXECUTE FUNCTION public.app_forget_totals();

CREATE TRIGGER forget_on_insert AFTER INSERT ON public.usage_days FOR EACH ROW WHEN ((new.day < (((now() AT TIME ZONE 'UTC'::text))::date - 1))) EXECUTE FUNCTION public.app_forget_totals();

CREATE TRIGGER forget_on_update AFTER UPDATE ON public.usage_days FOR EACH ROW WHEN ((new.day < (((now() AT TIME ZONE 'UTC'::text))::date - 1))) EXECUTE FUNCTION public.app_forget_totals();

CREATE TRIGGER recorded AFTER INSERT OR DELETE OR UPDATE OF requests_per_minute, requests_per_minute_per_key, requests_per_minute_per_visitor, requests_per_minute_per_network, concurrent_turns, message_bytes, history_messages, output_tokens ON public.account_limits FOR EACH ROW EXECUTE FUNCTION public.app_record_change('account_id', 'running,id,account_id,created_at,updated_at', '');

CREATE TRIGGER recorded AFTER INSERT OR DELETE OR UPDATE OF slug, name, status, subscription_tier ON public.accounts FOR EACH ROW EXECUTE FUNCTION public.app_record_change('slug', 'id,account_id,created_at,updated_at', '');

CREATE TRIGGER recorded AFTER INSERT OR DELETE OR UPDATE OF instance_slug, agent_type, display_name, status, allowed_origins ON public.agent_instances FOR EACH ROW EXECUTE FUNCTION public.app_record_change('instance_slug', 'last_used_at,override,id,account_id,created_at,updated_at', '');

CREATE TRIGGER recorded AFTER INSERT OR DELETE OR UPDATE OF name, scopes, instance_ids, origins, networks, expires_at, revoked_at, rotated_at, secret_hash, taker, offer_expires_at, support_access_id ON public.api_keys FOR EACH ROW EXECUTE FUNCTION public.app_record_change('name', 'last_used_at,id,account_id,created_at,updated_at', 'secret_hash,offer_hash');

CREATE TRIGGER recorded AFTER INSERT OR DELETE OR UPDATE OF name ON public.auth_group FOR EACH ROW EXECUTE FUNCTION public.app_record_change('name', 'id,account_id,created_at,updated_at', '');

CREATE TRIGGER recorded AFTER INSERT OR DELETE OR UPDATE OF group_id, permission_id ON public.auth_group_permissions FOR EACH ROW EXECUTE FUNCTION public.app_record_change('group_id', 'id,account_id,created_at,updated_at', '');

CREATE TRIGGER recorded AFTER INSERT OR DELETE OR UPDATE OF agent_instance_id, period, "limit", alert_percents ON public.budgets FOR EACH ROW EXECUTE FUNCTION public.app_record_change('period', 'spent,reserved,period_start,alerted_percent,id,account_id,created_at,updated_at', '');

CREATE TRIGGER recorded AFTER INSERT OR DELETE OR UPDATE OF number ON public.config_publications FOR EACH ROW EXECUTE FUNCTION public.app_record_change('note', 'text,author_id,author_name,config_version_id,id,account_id,created_at,updated_at', '');

CREATE TRIGGER recorded AFTER INSERT OR DELETE OR UPDATE OF role, accepted_at, revoked_at, expires_at ON public.invitations FOR EACH ROW EXECUTE FUNCTION public.app_record_change('email', 'id,account_id,created_at,updated_at', 'token_hash');

CREATE TRIGGER recorded AFTER INSERT OR DELETE OR UPDATE OF role ON public.memberships FOR EACH ROW EXECUTE FUNCTION public.app_record_change('user_id', 'id,account_id,created_at,updated_at', '');

CREATE TRIGGER recorded AFTER INSERT OR DELETE OR UPDATE OF customer_name, phone, email, address_street, address_city, address_state, address_zip, products_of_interest, services_of_interest, preferences ON public.profiles FOR EACH ROW EXECUTE FUNCTION public.app_record_change('session_id', 'id,account_id,created_at,updated_at', 'customer_name,phone,email,address_street,address_city,address_state,address_zip,products_of_interest,services_of_interest,preferences');

CREATE TRIGGER recorded AFTER INSERT OR DELETE OR UPDATE OF name, base_url, secret, secret_host ON public.provider_connections FOR EACH ROW EXECUTE FUNCTION public.app_record_change('name', 'secret_hint,id,account_id,created_at,updated_at', 'secret');

CREATE TRIGGER recorded AFTER INSERT OR DELETE OR UPDATE OF name, messages, expected, is_gate ON public.saved_chats FOR EACH ROW EXECUTE FUNCTION public.app_record_change('name', 'id,account_id,created_at,updated_at', 'messages');

CREATE TRIGGER recorded AFTER INSERT OR DELETE OR UPDATE OF expires_at, ended_at, reason ON public.support_accesses FOR EACH ROW EXECUTE FUNCTION public.app_record_change('staff', 'id,account_id,created_at,updated_at', '');

CREATE TRIGGER recorded AFTER INSERT OR DELETE OR UPDATE OF email, password, is_active, is_staff, is_superuser, is_auditor, first_name, last_name ON public.users FOR EACH ROW EXECUTE FUNCTION public.app_record_change('email', 'last_login,date_joined,id,account_id,created_at,updated_at', 'password');

CREATE TRIGGER recorded AFTER INSERT OR DELETE OR UPDATE OF user_id, group_id ON public.users_groups FOR EACH ROW EXECUTE FUNCTION public.app_record_change('user_id', 'id,account_id,created_at,updated_at', '');

CREATE TRIGGER recorded AFTER INSERT OR DELETE OR UPDATE OF user_id, permission_id ON public.users_user_permissions FOR EACH ROW EXECUTE FUNCTION public.app_record_change('user_id', 'id,account_id,created_at,updated_at', '');

ALTER TABLE ONLY public.auth_group_permissions
    ADD CONSTRAINT auth_group_permissio_permission_id_84c5c92e_fk_auth_perm FOREIGN KEY (permission_id) REFERENCES public.auth_permission(id) DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE ONLY public.auth_group_permissions
    ADD CONSTRAINT auth_group_permissions_group_id_b120cbf9_fk_auth_group_id FOREIGN KEY (group_id) REFERENCES public.auth_group(id) DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE ONLY public.auth_permission
    ADD CONSTRAINT auth_permission_content_type_id_2f476e4b_fk_django_co FOREIGN KEY (content_type_id) REFERENCES public.django_content_type(id) DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE ONLY public.django_admin_log
    ADD CONSTRAINT django_admin_log_content_type_id_c4bce8eb_fk_django_co FOREIGN KEY (content_type_id) REFERENCES public.django_content_type(id) DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE ONLY public.django_admin_log
    ADD CONSTRAINT django_admin_log_user_id_c564eba6_fk_users_id FOREIGN KEY (user_id) REFERENCES public.users(id) DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE ONLY public.account_limits
    ADD CONSTRAINT fk_account_limits_account_id FOREIGN KEY (account_id) REFERENCES public.accounts(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.agent_instances
    ADD CONSTRAINT fk_agent_instances_account_id FOREIGN KEY (account_id) REFERENCES public.accounts(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT fk_api_keys_account_id FOREIGN KEY (account_id) REFERENCES public.accounts(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.audit_log
    ADD CONSTRAINT fk_audit_log_account_id FOREIGN KEY (account_id) REFERENCES public.accounts(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.budgets
    ADD CONSTRAINT fk_budgets_account_id FOREIGN KEY (account_id) REFERENCES public.accounts(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.budgets
    ADD CONSTRAINT fk_budgets_agent_instance_id FOREIGN KEY (account_id, agent_instance_id) REFERENCES public.agent_instances(account_id, id) ON DELETE CASCADE;

ALTER TABLE ONLY public.config_drafts
    ADD CONSTRAINT fk_config_drafts_agent_instance_id FOREIGN KEY (account_id, agent_instance_id) REFERENCES public.agent_instances(account_id, id) ON DELETE CASCADE;

ALTER TABLE ONLY public.config_drafts
    ADD CONSTRAINT fk_config_drafts_author_id FOREIGN KEY (author_id) REFERENCES public.users(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.config_publications
    ADD CONSTRAINT fk_config_publications_agent_instance_id FOREIGN KEY (account_id, agent_instance_id) REFERENCES public.agent_instances(account_id, id) ON DELETE CASCADE;

ALTER TABLE ONLY public.config_publications
    ADD CONSTRAINT fk_config_publications_author_id FOREIGN KEY (author_id) REFERENCES public.users(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.config_publications
    ADD CONSTRAINT fk_config_publications_config_version_id FOREIGN KEY (account_id, agent_instance_id, config_version_id) REFERENCES public.config_versions(account_id, agent_instance_id, id);

ALTER TABLE ONLY public.config_versions
    ADD CONSTRAINT fk_config_versions_agent_instance_id FOREIGN KEY (account_id, agent_instance_id) REFERENCES public.agent_instances(account_id, id) ON DELETE CASCADE;

ALTER TABLE ONLY public.invitations
    ADD CONSTRAINT fk_invitations_account_id FOREIGN KEY (account_id) REFERENCES public.accounts(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.llm_requests
    ADD CONSTRAINT fk_llm_requests_account_id FOREIGN KEY (account_id, account_slug) REFERENCES public.accounts(id, slug) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY public.llm_requests
    ADD CONSTRAINT fk_llm_requests_agent_instance_id FOREIGN KEY (account_id, agent_instance_id, agent_instance_slug) REFERENCES public.agent_instances(account_id, id, instance_slug) ON UPDATE CASCADE;

ALTER TABLE ONLY public.llm_requests
    ADD CONSTRAINT fk_llm_requests_config_version_id FOREIGN KEY (account_id, agent_instance_id, config_version_id) REFERENCES public.config_versions(account_id, agent_instance_id, id);

ALTER TABLE ONLY public.llm_requests
    ADD CONSTRAINT fk_llm_requests_session_id FOREIGN KEY (account_id, session_id) REFERENCES public.sessions(account_id, id) ON DELETE CASCADE;

ALTER TABLE ONLY public.memberships
    ADD CONSTRAINT fk_memberships_account_id FOREIGN KEY (account_id) REFERENCES public.accounts(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.memberships
    ADD CONSTRAINT fk_memberships_user_id FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.message_feedback
    ADD CONSTRAINT fk_message_feedback_account_id FOREIGN KEY (account_id) REFERENCES public.accounts(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.message_feedback
    ADD CONSTRAINT fk_message_feedback_agent_instance_id FOREIGN KEY (account_id, agent_instance_id) REFERENCES public.agent_instances(account_id, id);

ALTER TABLE ONLY public.message_feedback
    ADD CONSTRAINT fk_message_feedback_message_id FOREIGN KEY (account_id, message_id) REFERENCES public.messages(account_id, id) ON DELETE CASCADE;

ALTER TABLE ONLY public.message_feedback
    ADD CONSTRAINT fk_message_feedback_session_id FOREIGN KEY (account_id, session_id) REFERENCES public.sessions(account_id, id) ON DELETE CASCADE;

ALTER TABLE ONLY public.messages
    ADD CONSTRAINT fk_messages_account_id FOREIGN KEY (account_id) REFERENCES public.accounts(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.messages
    ADD CONSTRAINT fk_messages_agent_instance_id FOREIGN KEY (account_id, agent_instance_id) REFERENCES public.agent_instances(account_id, id);

ALTER TABLE ONLY public.messages
    ADD CONSTRAINT fk_messages_config_version_id FOREIGN KEY (account_id, agent_instance_id, config_version_id) REFERENCES public.config_versions(account_id, agent_instance_id, id);

ALTER TABLE ONLY public.messages
    ADD CONSTRAINT fk_messages_llm_request_id FOREIGN KEY (account_id, llm_request_id) REFERENCES public.llm_requests(account_id, id) ON DELETE SET NULL (llm_request_id);

ALTER TABLE ONLY public.messages
    ADD CONSTRAINT fk_messages_session_id FOREIGN KEY (account_id, session_id) REFERENCES public.sessions(account_id, id) ON DELETE CASCADE;

ALTER TABLE ONLY public.profiles
    ADD CONSTRAINT fk_profiles_session_id FOREIGN KEY (account_id, session_id) REFERENCES public.sessions(account_id, id) ON DELETE CASCADE;

ALTER TABLE ONLY public.prompt_sections
    ADD CONSTRAINT fk_prompt_sections_account_id FOREIGN KEY (account_id) REFERENCES public.accounts(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.provider_connections
    ADD CONSTRAINT fk_provider_connections_account_id FOREIGN KEY (account_id) REFERENCES public.accounts(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.rate_states
    ADD CONSTRAINT fk_rate_states_account_id FOREIGN KEY (account_id) REFERENCES public.accounts(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.saved_chat_runs
    ADD CONSTRAINT fk_saved_chat_runs_account_id FOREIGN KEY (account_id) REFERENCES public.accounts(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.saved_chat_runs
    ADD CONSTRAINT fk_saved_chat_runs_agent_instance_id FOREIGN KEY (account_id, agent_instance_id) REFERENCES public.agent_instances(account_id, id);

ALTER TABLE ONLY public.saved_chat_runs
    ADD CONSTRAINT fk_saved_chat_runs_config_version_id FOREIGN KEY (account_id, agent_instance_id, config_version_id) REFERENCES public.config_versions(account_id, agent_instance_id, id);

ALTER TABLE ONLY public.saved_chat_runs
    ADD CONSTRAINT fk_saved_chat_runs_saved_chat_id FOREIGN KEY (account_id, saved_chat_id) REFERENCES public.saved_chats(account_id, id) ON DELETE CASCADE;

ALTER TABLE ONLY public.saved_chats
    ADD CONSTRAINT fk_saved_chats_account_id FOREIGN KEY (account_id) REFERENCES public.accounts(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.saved_chats
    ADD CONSTRAINT fk_saved_chats_agent_instance_id FOREIGN KEY (account_id, agent_instance_id) REFERENCES public.agent_instances(account_id, id);

ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT fk_sessions_account_id FOREIGN KEY (account_id, account_slug) REFERENCES public.accounts(id, slug) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT fk_sessions_agent_instance_id FOREIGN KEY (account_id, agent_instance_id, agent_instance_slug) REFERENCES public.agent_instances(account_id, id, instance_slug) ON UPDATE CASCADE;

ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT fk_sessions_user_id FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.support_accesses
    ADD CONSTRAINT fk_support_accesses_account_id FOREIGN KEY (account_id) REFERENCES public.accounts(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.support_accesses
    ADD CONSTRAINT fk_support_accesses_user_id FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.usage_days
    ADD CONSTRAINT fk_usage_days_account_id FOREIGN KEY (account_id) REFERENCES public.accounts(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.usage_days
    ADD CONSTRAINT fk_usage_days_agent_instance_id FOREIGN KEY (account_id, agent_instance_id) REFERENCES public.agent_instances(account_id, id);

ALTER TABLE ONLY public.usage_totals
    ADD CONSTRAINT fk_usage_totals_account_id FOREIGN KEY (account_id) REFERENCES public.accounts(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.users_groups
    ADD CONSTRAINT users_groups_group_id_2f3517aa_fk_auth_group_id FOREIGN KEY (group_id) REFERENCES public.auth_group(id) DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE ONLY public.users_groups
    ADD CONSTRAINT users_groups_user_id_f500bee5_fk_users_id FOREIGN KEY (user_id) REFERENCES public.users(id) DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE ONLY public.users_user_permissions
    ADD CONSTRAINT users_user_permissio_permission_id_6d08dcd2_fk_auth_perm FOREIGN KEY (permission_id) REFERENCES public.auth_permission(id) DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE ONLY public.users_user_permissions
    ADD CONSTRAINT users_user_permissions_user_id_92473840_fk_users_id FOREIGN KEY (user_id) REFERENCES public.users(id) DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE public.account_limits ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.accounts ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.agent_instances ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.api_keys ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.audit_log ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.budgets ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.config_drafts ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.config_publications ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.config_versions ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.invitations ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.llm_requests ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.memberships ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.message_feedback ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.messages ENABLE ROW LEVEL SECURITY;

CREATE POLICY people ON public.users USING (true) WITH CHECK (true);

CREATE POLICY platform ON public.account_limits TO salient_platform USING (true) WITH CHECK (true);

CREATE POLICY platform ON public.accounts TO salient_platform USING (true) WITH CHECK (true);

CREATE POLICY platform ON public.agent_instances TO salient_platform USING (true) WITH CHECK (true);

CREATE POLICY platform ON public.api_keys TO salient_platform USING (true) WITH CHECK (true);

CREATE POLICY platform ON public.audit_log TO salient_platform USING (true) WITH CHECK (true);

CREATE POLICY platform ON public.budgets TO salient_platform USING (true) WITH CHECK (true);

CREATE POLICY platform ON public.config_drafts TO salient_platform USING (true) WITH CHECK (true);

CREATE POLICY platform ON public.config_publications TO salient_platform USING (true) WITH CHECK (true);

CREATE POLICY platform ON public.config_versions TO salient_platform USING (true) WITH CHECK (true);

CREATE POLICY platform ON public.invitations TO salient_platform USING (true) WITH CHECK (true);

CREATE POLICY platform ON public.llm_requests TO salient_platform USING (true) WITH CHECK (true);

CREATE POLICY platform ON public.memberships TO salient_platform USING (true) WITH CHECK (true);

CREATE POLICY platform ON public.message_feedback TO salient_platform USING (true) WITH CHECK (true);

CREATE POLICY platform ON public.messages TO salient_platform USING (true) WITH CHECK (true);

CREATE POLICY platform ON public.profiles TO salient_platform USING (true) WITH CHECK (true);

CREATE POLICY platform ON public.prompt_sections TO salient_platform USING (true) WITH CHECK (true);

CREATE POLICY platform ON public.provider_connections TO salient_platform USING (true) WITH CHECK (true);

CREATE POLICY platform ON public.rate_states TO salient_platform USING (true) WITH CHECK (true);

CREATE POLICY platform ON public.saved_chat_runs TO salient_platform USING (true) WITH CHECK (true);

CREATE POLICY platform ON public.saved_chats TO salient_platform USING (true) WITH CHECK (true);

CREATE POLICY platform ON public.sessions TO salient_platform USING (true) WITH CHECK (true);

CREATE POLICY platform ON public.support_accesses TO salient_platform USING (true) WITH CHECK (true);

CREATE POLICY platform ON public.usage_days TO salient_platform USING (true) WITH CHECK (true);

CREATE POLICY platform ON public.usage_totals TO salient_platform USING (true) WITH CHECK (true);

ALTER TABLE public.profiles ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.prompt_sections ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.provider_connections ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.rate_states ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.saved_chat_runs ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.saved_chats ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.sessions ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.support_accesses ENABLE ROW LEVEL SECURITY;

CREATE POLICY tenant ON public.account_limits TO salient_tenant USING ((account_id = public.app_current_account())) WITH CHECK ((account_id = public.app_current_account()));

CREATE POLICY tenant ON public.accounts TO salient_tenant USING ((id = public.app_current_account())) WITH CHECK ((id = public.app_current_account()));

CREATE POLICY tenant ON public.agent_instances TO salient_tenant USING ((account_id = public.app_current_account())) WITH CHECK ((account_id = public.app_current_account()));

CREATE POLICY tenant ON public.api_keys TO salient_tenant USING ((account_id = public.app_current_account())) WITH CHECK ((account_id = public.app_current_account()));

CREATE POLICY tenant ON public.audit_log TO salient_tenant USING ((account_id = public.app_current_account())) WITH CHECK ((account_id = public.app_current_account()));

CREATE POLICY tenant ON public.budgets TO salient_tenant USING ((account_id = public.app_current_account())) WITH CHECK ((account_id = public.app_current_account()));

CREATE POLICY tenant ON public.config_drafts TO salient_tenant USING ((account_id = public.app_current_account())) WITH CHECK ((account_id = public.app_current_account()));

CREATE POLICY tenant ON public.config_publications TO salient_tenant USING ((account_id = public.app_current_account())) WITH CHECK ((account_id = public.app_current_account()));

CREATE POLICY tenant ON public.config_versions TO salient_tenant USING ((account_id = public.app_current_account())) WITH CHECK ((account_id = public.app_current_account()));

CREATE POLICY tenant ON public.invitations TO salient_tenant USING ((account_id = public.app_current_account())) WITH CHECK ((account_id = public.app_current_account()));

CREATE POLICY tenant ON public.llm_requests TO salient_tenant USING ((account_id = public.app_current_account())) WITH CHECK ((account_id = public.app_current_account()));

CREATE POLICY tenant ON public.memberships TO salient_tenant USING ((account_id = public.app_current_account())) WITH CHECK ((account_id = public.app_current_account()));

CREATE POLICY tenant ON public.message_feedback TO salient_tenant USING ((account_id = public.app_current_account())) WITH CHECK ((account_id = public.app_current_account()));

CREATE POLICY tenant ON public.messages TO salient_tenant USING ((account_id = public.app_current_account())) WITH CHECK ((account_id = public.app_current_account()));

CREATE POLICY tenant ON public.profiles TO salient_tenant USING ((account_id = public.app_current_account())) WITH CHECK ((account_id = public.app_current_account()));

CREATE POLICY tenant ON public.prompt_sections TO salient_tenant USING ((account_id = public.app_current_account())) WITH CHECK ((account_id = public.app_current_account()));

CREATE POLICY tenant ON public.provider_connections TO salient_tenant USING ((account_id = public.app_current_account())) WITH CHECK ((account_id = public.app_current_account()));

CREATE POLICY tenant ON public.rate_states TO salient_tenant USING ((account_id = public.app_current_account())) WITH CHECK ((account_id = public.app_current_account()));

CREATE POLICY tenant ON public.saved_chat_runs TO salient_tenant USING ((account_id = public.app_current_account())) WITH CHECK ((account_id = public.app_current_account()));

CREATE POLICY tenant ON public.saved_chats TO salient_tenant USING ((account_id = public.app_current_account())) WITH CHECK ((account_id = public.app_current_account()));

CREATE POLICY tenant ON public.sessions TO salient_tenant USING ((account_id = public.app_current_account())) WITH CHECK ((account_id = public.app_current_account()));

CREATE POLICY tenant ON public.support_accesses TO salient_tenant USING ((account_id = public.app_current_account())) WITH CHECK ((account_id = public.app_current_account()));

CREATE POLICY tenant ON public.usage_days TO salient_tenant USING ((account_id = public.app_current_account())) WITH CHECK ((account_id = public.app_current_account()));

CREATE POLICY tenant ON public.usage_totals TO salient_tenant USING ((account_id = public.app_current_account())) WITH CHECK ((account_id = public.app_current_account()));

CREATE POLICY tenant ON public.users AS RESTRICTIVE TO salient_tenant USING ((id IN ( SELECT memberships.user_id
   FROM public.memberships)));

ALTER TABLE public.usage_days ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.usage_totals ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.users ENABLE ROW LEVEL SECURITY;

RESET check_function_bodies;
