-- A database of the history up to sessions_app.0026, agents.0007 and accounts.0015, as pg_dump
-- --no-owner --no-privileges --inserts wrote it: two accounts with a row in every table.
SET check_function_bodies = false;

CREATE FUNCTION public.app_count_budget(the_account uuid, the_instance uuid, since timestamp with time zone, OUT spent numeric, OUT reserved numeric) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
BEGIN
    -- A new budget starts with what the ledger says; whoever asks holds the account's row.
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
            array_agg(width_bucket(latency_ms, ARRAY[2, 2, 3, 4, 6, 8, 12, 16, 23, 32, 46, 64, 91, 128, 182, 256, 363, 512, 725, 1024, 1449, 2048, 2897, 4096, 5793, 8192, 11586, 16384, 23171, 32768, 46341, 65536, 92682]) + 1)
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
        RAISE insufficient_privilege USING MESSAGE = 'no account is set: open the tenant''s door';
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
    AS $_$ SELECT k.id, k.account_id, a.slug, a.status, k.key_id, k.secret_hash, k.kind, k.mode, k.scopes, k.instance_ids, k.origins, k.networks, k.expires_at, k.revoked_at, k.rotated_at, k.last_used_at FROM "public".api_keys k JOIN "public".accounts a ON a.id = k.account_id WHERE k.key_id = $1 $_$;

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
            ON CONFLICT (session_key) DO UPDATE SET session_key = excluded.session_key
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
    SET enable_seqscan TO 'off'
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $_$
-- Turns of one account and agent whose calls count under the same limits: all of them, or none.
DECLARE
    the_account uuid := turns -> 0 ->> 'account_id';
    the_instance uuid := turns -> 0 ->> 'agent_instance_id';
    many integer := jsonb_array_length(turns);
    patience text := current_setting('lock_timeout');
    turn record;
    session record;
    history record;
    -- Each in the order of the turns; nothing of those that begin a conversation.
    known uuid[];
    said jsonb[];
    messages integer[];
    bytes bigint[];
    the_sessions uuid[];
    reserved numeric[];
    total numeric;
    opened jsonb;
    taken jsonb;
BEGIN
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
                SELECT coalesce(jsonb_agg(jsonb_build_array(role, content)), '[]') AS said,
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
                said[turn.ordinality] := history.said;
                messages[turn.ordinality] := history.messages;
                bytes[turn.ordinality] := history.bytes;
            ELSIF turn.session_id IS NOT NULL THEN
                RAISE EXCEPTION USING ERRCODE = 'SL404', MESSAGE = 'no such session';
            END IF;
        END LOOP;
        PERFORM set_config('lock_timeout', patience, true);
    END IF;

    -- Of two first messages of one visitor, the second waits here and finds the first one's
    -- session; its messages are not there yet.
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
            ON CONFLICT (session_key) DO UPDATE SET session_key = excluded.session_key
                WHERE sessions.account_id = excluded.account_id
                    AND sessions.agent_instance_id = excluded.agent_instance_id
            RETURNING id, session_key
    ), placed AS (
        SELECT ordinality AS place, coalesce(known[ordinality], made.id) AS session_id,
            -- The most that the turn may cost: what is known of it, and what its history adds.
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
                'session_id', session_id, 'history', coalesce(said[place], '[]'),
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

    taken := app_take_limits(the_account, the_instance, turns -> 0 -> 'rates',
        (turns -> 0 ->> 'most_turns')::integer, many, many, total, NULL);
    IF taken ->> 'refused' IS NOT NULL THEN
        -- What is refused ends the statement, and with it all that the turns have written.
        RAISE EXCEPTION USING ERRCODE = 'SL429', MESSAGE =
            (taken || jsonb_build_object('cost', total::text))::text;
    END IF;
    RETURN jsonb_build_object('each', opened, 'all', taken -> 'rates');
END
$_$;

CREATE FUNCTION public.app_record_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
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
    is_news boolean := false;
    alerts jsonb := '[]';
BEGIN
    UPDATE account_limits SET running = greatest(running - turns, 0)
        WHERE account_id = the_account;
    moment := coalesce(moment, clock_timestamp());
    IF cost > 0 OR reservation > 0 THEN
        -- A turn counts in the period in which it is settled; what others reserved stays reserved.
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
            INTO is_news FROM settled, unnest(alert_percents) AS percent;
    END IF;
    IF is_news THEN
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
            ON CONFLICT (id) DO NOTHING;
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
    SET enable_seqscan TO 'off'
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
-- Turns of one account and agent: all of them, or none.
DECLARE
    the_account uuid := turns -> 0 ->> 'account_id';
    the_instance uuid := turns -> 0 ->> 'agent_instance_id';
    many integer := jsonb_array_length(turns);
    patience text := current_setting('lock_timeout');
    moment timestamptz := clock_timestamp();
    turn record;
    reserved numeric := 0;
    charged numeric := 0;
    is_news boolean := false;
    released jsonb;
    settled_at_last timestamptz;
BEGIN
    -- Of rows only: a table that grows is locked for moments too, and is worth waiting for.
    IF many > 1 THEN
        PERFORM set_config('lock_timeout', '1ms', true);
    END IF;
    FOR turn IN
        SELECT * FROM jsonb_to_recordset(turns) AS asked (session_id uuid) ORDER BY session_id
    LOOP
        PERFORM FROM sessions WHERE account_id = the_account AND id = turn.session_id
            FOR NO KEY UPDATE;
    END LOOP;
    PERFORM set_config('lock_timeout', patience, true);

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
            -- Not by its status: the index of all that run looks smaller than it is, and would be
            -- read.
            WHERE account_id = the_account AND id = turn.request_id AND settled_at IS NULL;
        IF NOT FOUND THEN
            RAISE EXCEPTION USING ERRCODE = 'SL409', MESSAGE = 'settled before';
        END IF;
        reserved := reserved + turn.reserved;
        charged := charged + turn.charged_cost;
        is_news := is_news OR turn.note_use;
    END LOOP;

    INSERT INTO messages (id, account_id, agent_instance_id, session_id, llm_request_id,
            config_version_id, role, content)
        SELECT answer_id, the_account, the_instance, session_id, request_id, config_version_id,
            'assistant', answer
        FROM jsonb_to_recordset(turns) AS asked (
            answer_id uuid, session_id uuid, request_id uuid, config_version_id uuid, answer text
        )
        WHERE answer IS NOT NULL
        ON CONFLICT (id) DO NOTHING;
    IF is_news THEN
        UPDATE agent_instances SET last_used_at = moment
            WHERE account_id = the_account AND id = the_instance;
    END IF;

    released := app_release_limits(the_account, the_instance, many, reserved, charged, NULL);
    settled_at_last := released ->> 'moment';
    IF (settled_at_last AT TIME ZONE 'UTC')::date <> (moment AT TIME ZONE 'UTC')::date THEN
        -- They count in the day that began meanwhile: the rows must say so too.
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
-- For so many calls at once, none of them or all; `ahead` is what the first of them meets. What is
-- refused may have taken something already: whoever is refused takes the transaction back.
DECLARE
    mine account_limits%ROWTYPE;
    short budgets%ROWTYPE;
    rates jsonb;
    is_over boolean;
    refused text;
    facts jsonb := '{}';
BEGIN
    -- All that an account takes and gives back waits here, so nothing else can wait in a circle.
    UPDATE account_limits SET running = running + turns
        WHERE account_id = the_account RETURNING * INTO mine;
    IF NOT FOUND THEN
        INSERT INTO account_limits (account_id) VALUES (the_account) ON CONFLICT DO NOTHING;
        UPDATE account_limits SET running = running + turns
            WHERE account_id = the_account RETURNING * INTO mine;
    END IF;
    moment := coalesce(moment, clock_timestamp());

    -- Whole microseconds, as timestamps have them: the sums are exact.
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
    ), taken AS (
        INSERT INTO rate_states AS known (account_id, subject, arrival)
            SELECT the_account, subject, moment + calls * step * interval '1 microsecond'
                FROM policies
            ON CONFLICT (account_id, subject) DO UPDATE
                SET arrival = greatest(known.arrival, moment) + (excluded.arrival - moment)
            RETURNING subject, arrival
    ), told AS (
        SELECT place, policy, quota, step,
                (extract(epoch FROM arrival - moment) * 1000000)::bigint - calls * step AS ahead
            FROM policies JOIN taken USING (subject)
    )
    SELECT jsonb_agg(jsonb_build_object(
                'policy', policy, 'quota', quota, 'step', step, 'ahead', ahead
            ) ORDER BY place),
            bool_or(ahead + calls * step > quota * step)
        INTO rates, is_over FROM told;
    IF is_over THEN
        refused := 'rate_limited';
    ELSIF turns > 0 AND mine.running > coalesce(mine.concurrent_turns, most_turns) THEN
        refused := 'too_many_turns';
        facts := jsonb_build_object('limit', coalesce(mine.concurrent_turns, most_turns));
    ELSIF cost > 0 THEN
        WITH taken AS (
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
        SELECT * INTO short FROM taken WHERE "limit" < spent + reserved
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
	('01a22682-10d7-7cb5-90a8-9ae4c55a4f8b', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0),
	('01a22682-1374-78c6-8e2e-9d64e4017ecf', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0);

INSERT INTO public.accounts VALUES
	('01a22681-a547-7fb9-8867-bd5d3ffb87d2', 'default', 'Default Account', 'active', NULL, '2026-11-29 08:52:40.393343+00', '2026-11-29 08:52:40.392689+00'),
	('01a22682-10d7-7cb5-90a8-9ae4c55a4f8b', 'acme', 'Acme', 'active', NULL, '2026-11-29 08:53:07.961801+00', '2026-11-29 08:53:07.961598+00'),
	('01a22682-1374-78c6-8e2e-9d64e4017ecf', 'beta', 'Beta', 'active', NULL, '2026-11-29 08:53:08.625719+00', '2026-11-29 08:53:08.625537+00');

INSERT INTO public.agent_instances VALUES
	('01a22681-b5f5-75b1-9335-ee51e7e0eef8', 'simple-chat', 'simple_chat', 'Simple Chat', 'active', '2026-11-29 08:52:44.662385+00', '2026-11-29 08:52:44.661626+00', NULL, '01a22681-a547-7fb9-8867-bd5d3ffb87d2', '{}', NULL),
	('01a22682-1116-7988-91bf-f08e215baba4', 'bot', 'simple_chat', 'Bot', 'active', '2026-11-29 08:53:08.030709+00', '2026-11-29 08:53:08.030135+00', NULL, '01a22682-10d7-7cb5-90a8-9ae4c55a4f8b', '{}', NULL),
	('01a22682-1292-7a32-a9a9-cd0bbf1d4886', 'bot2', 'simple_chat', 'Bot2', 'active', '2026-11-29 08:53:08.418393+00', '2026-11-29 08:53:08.418095+00', NULL, '01a22682-10d7-7cb5-90a8-9ae4c55a4f8b', '{}', NULL),
	('01a22682-13a8-7a85-b98a-53ecc647f380', 'bot', 'simple_chat', 'Bot', 'active', '2026-11-29 08:53:08.681342+00', '2026-11-29 08:53:08.679715+00', NULL, '01a22682-1374-78c6-8e2e-9d64e4017ecf', '{}', NULL),
	('01a22682-1434-7573-a830-cf53018ccc64', 'bot2', 'simple_chat', 'Bot2', 'active', '2026-11-29 08:53:08.821966+00', '2026-11-29 08:53:08.821238+00', NULL, '01a22682-1374-78c6-8e2e-9d64e4017ecf', '{}', NULL);

INSERT INTO public.api_keys VALUES
	('01a22682-1102-7e9b-a21a-51762cbffa3a', 'tests', '5Fc4m6ePiPdH', 'ee72ff38271593360f959b41492367d4558f7d117ec4b0559cbe975c921a28a9', '{chat,history:read,history:delete,agents:read,usage:read,members:read,members:write,visitors:write,connections:read,connections:write,audit:read}', '2026-11-29 08:53:07.984281+00', NULL, NULL, NULL, '01a22682-10d7-7cb5-90a8-9ae4c55a4f8b', NULL, '', '{}', 'secret', 'live', '{}', '{}', NULL, '', '', NULL),
	('01a22682-139a-73f6-90ee-a5994a351caa', 'tests', 'GUKtLIhOc4e2', '9f9e19eb7aa5447db2bf708805e8aee986d6a0f1453a42ea868d1e77ec98744f', '{chat,history:read,history:delete,agents:read,usage:read,members:read,members:write,visitors:write,connections:read,connections:write,audit:read}', '2026-11-29 08:53:08.642888+00', NULL, NULL, NULL, '01a22682-1374-78c6-8e2e-9d64e4017ecf', NULL, '', '{}', 'secret', 'live', '{}', '{}', NULL, '', '', NULL);

INSERT INTO public.attempt_rates VALUES
	('01a22682-10d7-7cb5-90a8-9ae4c55a4f8b', '2026-11-29 08:53:08.502169+00'),
	('01a22682-1374-78c6-8e2e-9d64e4017ecf', '2026-11-29 08:53:08.884025+00');

INSERT INTO public.audit_log VALUES
	('e68973e2-e8f4-4c7b-8ac3-67a49c4ae7d5', '2026-11-29 08:53:07.963272+00', 'system', '', '', 'created', 'accounts', '01a22682-10d7-7cb5-90a8-9ae4c55a4f8b', 'acme', '{"name": [null, "Acme"], "slug": [null, "acme"], "status": [null, "active"]}', '', '01a22682-10d7-7cb5-90a8-9ae4c55a4f8b'),
	('28742018-a4c6-4461-a429-4d0bb5160eaa', '2026-11-29 08:53:07.986192+00', 'system', '', '', 'created', 'api_keys', '01a22682-1102-7e9b-a21a-51762cbffa3a', 'tests', '{"kind": [null, "secret"], "mode": [null, "live"], "name": [null, "tests"], "key_id": [null, "5Fc4m6ePiPdH"], "scopes": [null, ["chat", "history:read", "history:delete", "agents:read", "usage:read", "members:read", "members:write", "visitors:write", "connections:read", "connections:write", "audit:read"]], "origins": [null, []], "networks": [null, []], "secret_hash": ["(secret)", "(secret)"], "instance_ids": [null, []]}', '', '01a22682-10d7-7cb5-90a8-9ae4c55a4f8b'),
	('b084e312-85bb-42b4-a176-94a076f85a8d', '2026-11-29 08:53:08.031967+00', 'system', '', '', 'created', 'agent_instances', '01a22682-1116-7988-91bf-f08e215baba4', 'bot', '{"status": [null, "active"], "agent_type": [null, "simple_chat"], "display_name": [null, "Bot"], "instance_slug": [null, "bot"], "allowed_origins": [null, []]}', '', '01a22682-10d7-7cb5-90a8-9ae4c55a4f8b'),
	('43c52be8-55f7-49f2-bd73-e79792fdb643', '2026-11-29 08:53:08.24726+00', 'system', '', '', 'created', 'users', '01a22682-1212-70e1-89b7-e9de4d4ed9cb', 'user2@example.com', '{"email": [null, "user2@example.com"], "is_staff": [null, false], "password": ["(secret)", "(secret)"], "is_active": [null, true], "is_auditor": [null, true], "is_superuser": [null, false]}', '', NULL),
	('6b878e32-9294-46d8-93bf-0931a7905e3b', '2026-11-29 08:53:08.310098+00', 'system', '', '', 'created', 'profiles', '01a22682-1253-752a-9eb4-1225ae564c48', '01a22682-124c-7b56-86ae-99b91a8ae99b', '{"session_id": [null, "01a22682-124c-7b56-86ae-99b91a8ae99b"], "customer_name": ["(secret)", "(secret)"]}', '', '01a22682-10d7-7cb5-90a8-9ae4c55a4f8b'),
	('4b2cb537-2260-470f-addd-1e73b357b79b', '2026-11-29 08:53:08.318588+00', 'system', '', '', 'created', 'users', '01a22682-125d-798d-90b9-7c07ec03e4ef', 'user5@example.com', '{"email": [null, "user5@example.com"], "is_staff": [null, false], "password": ["(secret)", "(secret)"], "is_active": [null, true], "is_auditor": [null, false], "is_superuser": [null, false]}', '', NULL),
	('40b76ab0-46d9-40c1-8fb4-011ac0b7f27d', '2026-11-29 08:53:08.331821+00', 'system', '', '', 'created', 'memberships', '01a22682-1263-774f-9ca5-6249409f62b6', 'user5@example.com as member', '{"role": [null, "member"], "user_id": [null, "01a22682-125d-798d-90b9-7c07ec03e4ef"]}', '', '01a22682-10d7-7cb5-90a8-9ae4c55a4f8b'),
	('a13ffe7b-c4a1-48c9-b010-1c484cb6f1c2', '2026-11-29 08:53:08.345939+00', 'system', '', '', 'created', 'invitations', '01a22682-1272-762c-8d0c-f77804269eac', 'guest6@example.com', '{"role": [null, "member"], "email": [null, "guest6@example.com"], "expires_at": [null, "2026-12-06T08:53:08.337485+00:00"], "token_hash": ["(secret)", "(secret)"]}', '', '01a22682-10d7-7cb5-90a8-9ae4c55a4f8b'),
	('2dc61737-058c-4585-8cc1-68469389f948', '2026-11-29 08:53:08.357851+00', 'system', '', '', 'created', 'account_limits', '01a22682-10d7-7cb5-90a8-9ae4c55a4f8b', 'acme', '{}', '', '01a22682-10d7-7cb5-90a8-9ae4c55a4f8b'),
	('d6716b03-5de6-45d7-93bf-ef31ddc12940', '2026-11-29 08:53:08.419052+00', 'system', '', '', 'created', 'agent_instances', '01a22682-1292-7a32-a9a9-cd0bbf1d4886', 'bot2', '{"status": [null, "active"], "agent_type": [null, "simple_chat"], "display_name": [null, "Bot2"], "instance_slug": [null, "bot2"], "allowed_origins": [null, []]}', '', '01a22682-10d7-7cb5-90a8-9ae4c55a4f8b'),
	('d6ae93d2-451c-4a12-90f6-b3c3891dc453', '2026-11-29 08:53:08.429579+00', 'system', '', '', 'created', 'budgets', '01a22682-12ca-7c41-a64f-f804b959fefc', 'month', '{"limit": [null, 10.00000000], "period": [null, "month"], "alert_percents": [null, [80, 100]], "agent_instance_id": [null, "01a22682-1292-7a32-a9a9-cd0bbf1d4886"]}', '', '01a22682-10d7-7cb5-90a8-9ae4c55a4f8b'),
	('ad5c9124-a21c-49f3-b54b-6a66c332d970', '2026-11-29 08:53:08.467696+00', 'system', '', '', 'created', 'config_publications', '01a22682-12ec-7f03-83e8-e219de0a3719', 'Shorter answers.', '{"note": [null, "Shorter answers."], "number": [null, 1], "override": [null, {}], "agent_instance_id": [null, "01a22682-1292-7a32-a9a9-cd0bbf1d4886"]}', '', '01a22682-10d7-7cb5-90a8-9ae4c55a4f8b'),
	('9aef3ef4-addf-4e3e-9a77-f8d2459445fd', '2026-11-29 08:53:08.497458+00', 'system', '', '', 'created', 'provider_connections', '01a22682-130d-76d9-85e7-71c75d8b82bd', 'server-9', '{"name": [null, "server-9"], "base_url": [null, "https://models.example/v1"]}', '', '01a22682-10d7-7cb5-90a8-9ae4c55a4f8b'),
	('f5473b0e-66b4-4ea2-9aae-e4a583fb7e56', '2026-11-29 08:53:08.514594+00', 'system', '', '', 'created', 'saved_chats', '01a22682-1317-78f1-ad9e-68709a12326e', 'chat 10', '{"name": [null, "chat 10"], "is_gate": [null, true], "expected": [null, []], "messages": ["(secret)", "(secret)"], "agent_instance_id": [null, "01a22682-1116-7988-91bf-f08e215baba4"]}', '', '01a22682-10d7-7cb5-90a8-9ae4c55a4f8b'),
	('73070fa0-d025-4c2c-b6d4-ee22b790bab2', '2026-11-29 08:53:08.587453+00', 'system', '', '', 'created', 'support_accesses', '01a22682-1369-728f-82c4-93185df89b2a', 'user2@example.com', '{"staff": [null, "user2@example.com"], "reason": [null, "ticket 7"], "user_id": [null, "01a22682-1212-70e1-89b7-e9de4d4ed9cb"], "expires_at": [null, "2026-11-29T09:53:08.584699+00:00"]}', '', '01a22682-10d7-7cb5-90a8-9ae4c55a4f8b'),
	('01a22682-1372-703f-a45e-c4553bad0e0f', '2026-11-29 08:53:08.594601+00', 'system', '', '', 'noted', 'accounts', '13', '', '{}', '', '01a22682-10d7-7cb5-90a8-9ae4c55a4f8b'),
	('573fb683-65b4-4406-9b8c-828155a513cc', '2026-11-29 08:53:08.626241+00', 'system', '', '', 'created', 'accounts', '01a22682-1374-78c6-8e2e-9d64e4017ecf', 'beta', '{"name": [null, "Beta"], "slug": [null, "beta"], "status": [null, "active"]}', '', '01a22682-1374-78c6-8e2e-9d64e4017ecf'),
	('d4485e98-9a65-4797-9a86-dade82d6792f', '2026-11-29 08:53:08.643602+00', 'system', '', '', 'created', 'api_keys', '01a22682-139a-73f6-90ee-a5994a351caa', 'tests', '{"kind": [null, "secret"], "mode": [null, "live"], "name": [null, "tests"], "key_id": [null, "GUKtLIhOc4e2"], "scopes": [null, ["chat", "history:read", "history:delete", "agents:read", "usage:read", "members:read", "members:write", "visitors:write", "connections:read", "connections:write", "audit:read"]], "origins": [null, []], "networks": [null, []], "secret_hash": ["(secret)", "(secret)"], "instance_ids": [null, []]}', '', '01a22682-1374-78c6-8e2e-9d64e4017ecf'),
	('51489bca-c1cb-4772-8576-ccbe0edd70d4', '2026-11-29 08:53:08.681894+00', 'system', '', '', 'created', 'agent_instances', '01a22682-13a8-7a85-b98a-53ecc647f380', 'bot', '{"status": [null, "active"], "agent_type": [null, "simple_chat"], "display_name": [null, "Bot"], "instance_slug": [null, "bot"], "allowed_origins": [null, []]}', '', '01a22682-1374-78c6-8e2e-9d64e4017ecf'),
	('463d4f50-d94a-4c83-ab6e-621e872d6320', '2026-11-29 08:53:08.696341+00', 'system', '', '', 'created', 'users', '01a22682-13d7-774a-8af5-29800e0821b2', 'user15@example.com', '{"email": [null, "user15@example.com"], "is_staff": [null, false], "password": ["(secret)", "(secret)"], "is_active": [null, true], "is_auditor": [null, true], "is_superuser": [null, false]}', '', NULL),
	('c40ef799-fc20-4133-9bf7-c3b56485afd4', '2026-11-29 08:53:08.75051+00', 'system', '', '', 'created', 'profiles', '01a22682-140d-7594-934d-6fb84625abc1', '01a22682-13fd-7ad1-987e-950235396419', '{"session_id": [null, "01a22682-13fd-7ad1-987e-950235396419"], "customer_name": ["(secret)", "(secret)"]}', '', '01a22682-1374-78c6-8e2e-9d64e4017ecf'),
	('2d30b4f8-8c1e-4fc3-b008-66db354a33cd', '2026-11-29 08:53:08.753281+00', 'system', '', '', 'created', 'users', '01a22682-1410-7251-a549-1e69358ff6e6', 'user18@example.com', '{"email": [null, "user18@example.com"], "is_staff": [null, false], "password": ["(secret)", "(secret)"], "is_active": [null, true], "is_auditor": [null, false], "is_superuser": [null, false]}', '', NULL),
	('1a171ea0-e341-467a-8205-e622fbc24fa0', '2026-11-29 08:53:08.768965+00', 'system', '', '', 'created', 'memberships', '01a22682-141b-79bc-977c-5f089c2b3d47', 'user18@example.com as member', '{"role": [null, "member"], "user_id": [null, "01a22682-1410-7251-a549-1e69358ff6e6"]}', '', '01a22682-1374-78c6-8e2e-9d64e4017ecf'),
	('b1072ee1-26f9-48f2-a4a0-30770ca41daf', '2026-11-29 08:53:08.77433+00', 'system', '', '', 'created', 'invitations', '01a22682-1425-713c-8b7f-32f3d7a99015', 'guest19@example.com', '{"role": [null, "member"], "email": [null, "guest19@example.com"], "expires_at": [null, "2026-12-06T08:53:08.7712+00:00"], "token_hash": ["(secret)", "(secret)"]}', '', '01a22682-1374-78c6-8e2e-9d64e4017ecf'),
	('9361903f-da17-41dd-a7c3-54c623013a71', '2026-11-29 08:53:08.78744+00', 'system', '', '', 'created', 'account_limits', '01a22682-1374-78c6-8e2e-9d64e4017ecf', 'beta', '{}', '', '01a22682-1374-78c6-8e2e-9d64e4017ecf'),
	('4eb660c8-0acd-41b5-8b16-2698a4312405', '2026-11-29 08:53:08.822643+00', 'system', '', '', 'created', 'agent_instances', '01a22682-1434-7573-a830-cf53018ccc64', 'bot2', '{"status": [null, "active"], "agent_type": [null, "simple_chat"], "display_name": [null, "Bot2"], "instance_slug": [null, "bot2"], "allowed_origins": [null, []]}', '', '01a22682-1374-78c6-8e2e-9d64e4017ecf'),
	('4bb246a2-dd33-4f4b-8dca-cc09213f837e', '2026-11-29 08:53:08.836687+00', 'system', '', '', 'created', 'budgets', '01a22682-1463-73d0-96f3-e47dadd00bd2', 'month', '{"limit": [null, 10.00000000], "period": [null, "month"], "alert_percents": [null, [80, 100]], "agent_instance_id": [null, "01a22682-1434-7573-a830-cf53018ccc64"]}', '', '01a22682-1374-78c6-8e2e-9d64e4017ecf'),
	('c900eee9-76dc-4c08-84c2-763e226df6da', '2026-11-29 08:53:08.859234+00', 'system', '', '', 'created', 'config_publications', '01a22682-1479-7f10-9838-8973fee1e40d', 'Shorter answers.', '{"note": [null, "Shorter answers."], "number": [null, 1], "override": [null, {}], "agent_instance_id": [null, "01a22682-1434-7573-a830-cf53018ccc64"]}', '', '01a22682-1374-78c6-8e2e-9d64e4017ecf'),
	('d4f3a342-2eed-483c-9416-91f60b7f7948', '2026-11-29 08:53:08.878346+00', 'system', '', '', 'created', 'provider_connections', '01a22682-148d-75d4-bec3-c1c9b8e76eea', 'server-22', '{"name": [null, "server-22"], "base_url": [null, "https://models.example/v1"]}', '', '01a22682-1374-78c6-8e2e-9d64e4017ecf'),
	('f713a0f5-9d51-4a84-8ec2-a177d2047f85', '2026-11-29 08:53:08.894346+00', 'system', '', '', 'created', 'saved_chats', '01a22682-149c-7655-8f0f-7b13f679fe00', 'chat 23', '{"name": [null, "chat 23"], "is_gate": [null, true], "expected": [null, []], "messages": ["(secret)", "(secret)"], "agent_instance_id": [null, "01a22682-13a8-7a85-b98a-53ecc647f380"]}', '', '01a22682-1374-78c6-8e2e-9d64e4017ecf'),
	('40af98a0-f599-4a1a-b1ad-f2ab05a081fa', '2026-11-29 08:53:08.941612+00', 'system', '', '', 'created', 'support_accesses', '01a22682-14cc-753b-ade7-3adb6b011a1c', 'user15@example.com', '{"staff": [null, "user15@example.com"], "reason": [null, "ticket 7"], "user_id": [null, "01a22682-13d7-774a-8af5-29800e0821b2"], "expires_at": [null, "2026-11-29T09:53:08.936332+00:00"]}', '', '01a22682-1374-78c6-8e2e-9d64e4017ecf'),
	('01a22682-14d0-7fb4-b9c2-1d67fa11fe4d', '2026-11-29 08:53:08.946872+00', 'system', '', '', 'noted', 'accounts', '26', '', '{}', '', '01a22682-1374-78c6-8e2e-9d64e4017ecf'),
	('1c95a3a8-b466-45a2-8c23-14966db32c6b', '2026-11-29 08:53:08.989391+00', 'system', '', '', 'created', 'auth_group', '1', 'support', '{"name": [null, "support"]}', '', NULL),
	('fca86a64-7c3c-46ab-a02d-efb7087ebaf7', '2026-11-29 08:53:09.002127+00', 'system', '', '', 'created', 'users_groups', '1', 'user2@example.com', '{"user_id": [null, "01a22682-1212-70e1-89b7-e9de4d4ed9cb"], "group_id": [null, 1]}', '', NULL),
	('e89170d3-d198-46d8-b260-72f1fd3e2a89', '2026-11-29 08:53:09.020321+00', 'system', '', '', 'created', 'users_user_permissions', '1', 'user2@example.com', '{"user_id": [null, "01a22682-1212-70e1-89b7-e9de4d4ed9cb"], "permission_id": [null, 1]}', '', NULL);

INSERT INTO public.auth_group VALUES
	(1, 'support');

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
	('01a22682-10d7-7cb5-90a8-9ae4c55a4f8b', '01a22682-12ca-7c41-a64f-f804b959fefc', '01a22682-1292-7a32-a9a9-cd0bbf1d4886', 'month', 10.00000000, '2026-11-29 08:53:08.426091+00', 0.00000000, 0.00000000, '{80,100}', 0, '2026-11-29 08:53:08.427283+00'),
	('01a22682-1374-78c6-8e2e-9d64e4017ecf', '01a22682-1463-73d0-96f3-e47dadd00bd2', '01a22682-1434-7573-a830-cf53018ccc64', 'month', 10.00000000, '2026-11-29 08:53:08.834187+00', 0.00000000, 0.00000000, '{80,100}', 0, '2026-11-29 08:53:08.835741+00');

INSERT INTO public.config_drafts VALUES
	('01a22682-12de-7b1a-9704-b60b381184f7', 'model: scripted:echo
', '', '2026-11-29 08:53:08.448843+00', '2026-11-29 08:53:08.447266+00', '01a22682-10d7-7cb5-90a8-9ae4c55a4f8b', '01a22682-1292-7a32-a9a9-cd0bbf1d4886', '01a22682-1212-70e1-89b7-e9de4d4ed9cb', 0),
	('01a22682-146d-7fc9-bdf6-467bc54aa93f', 'model: scripted:echo
', '', '2026-11-29 08:53:08.84656+00', '2026-11-29 08:53:08.84639+00', '01a22682-1374-78c6-8e2e-9d64e4017ecf', '01a22682-1434-7573-a830-cf53018ccc64', '01a22682-13d7-774a-8af5-29800e0821b2', 0);

INSERT INTO public.config_publications VALUES
	('01a22682-12ec-7f03-83e8-e219de0a3719', 1, '', '{}', 'Shorter answers.', NULL, '', '', '2026-11-29 08:53:08.465764+00', '01a22682-10d7-7cb5-90a8-9ae4c55a4f8b', '01a22682-1292-7a32-a9a9-cd0bbf1d4886', '01a22682-1212-70e1-89b7-e9de4d4ed9cb', '01a22682-12e6-7ba1-b559-aec301c2be3c'),
	('01a22682-1479-7f10-9838-8973fee1e40d', 1, '', '{}', 'Shorter answers.', NULL, '', '', '2026-11-29 08:53:08.85856+00', '01a22682-1374-78c6-8e2e-9d64e4017ecf', '01a22682-1434-7573-a830-cf53018ccc64', '01a22682-13d7-774a-8af5-29800e0821b2', '01a22682-1472-7036-8323-6dcd1f5a0674');

INSERT INTO public.config_versions VALUES
	('01a22682-114b-7ada-82a8-65dee7e50dc1', '0000000000000000000000000000000000000000000000000000000000000001', '{"model": "scripted:echo"}', '2026-11-29 08:53:08.048437+00', '2026-11-29 08:53:08.048437+00', '01a22682-10d7-7cb5-90a8-9ae4c55a4f8b', '01a22682-1116-7988-91bf-f08e215baba4'),
	('01a22682-12e6-7ba1-b559-aec301c2be3c', '0000000000000000000000000000000000000000000000000000000000000007', '{"model": "scripted:echo"}', '2026-11-29 08:53:08.456714+00', '2026-11-29 08:53:08.456714+00', '01a22682-10d7-7cb5-90a8-9ae4c55a4f8b', '01a22682-1292-7a32-a9a9-cd0bbf1d4886'),
	('01a22682-13d1-732c-b3ac-7b365c423986', '000000000000000000000000000000000000000000000000000000000000000e', '{"model": "scripted:echo"}', '2026-11-29 08:53:08.693097+00', '2026-11-29 08:53:08.693097+00', '01a22682-1374-78c6-8e2e-9d64e4017ecf', '01a22682-13a8-7a85-b98a-53ecc647f380'),
	('01a22682-1472-7036-8323-6dcd1f5a0674', '0000000000000000000000000000000000000000000000000000000000000014', '{"model": "scripted:echo"}', '2026-11-29 08:53:08.850473+00', '2026-11-29 08:53:08.850473+00', '01a22682-1374-78c6-8e2e-9d64e4017ecf', '01a22682-1434-7573-a830-cf53018ccc64');

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
	(1, 'contenttypes', '0001_initial', '2026-11-29 08:52:39.598384+00'),
	(2, 'contenttypes', '0002_remove_content_type_name', '2026-11-29 08:52:39.614205+00'),
	(3, 'auth', '0001_initial', '2026-11-29 08:52:39.682965+00'),
	(4, 'auth', '0002_alter_permission_name_max_length', '2026-11-29 08:52:39.700167+00'),
	(5, 'auth', '0003_alter_user_email_max_length', '2026-11-29 08:52:39.703979+00'),
	(6, 'auth', '0004_alter_user_username_opts', '2026-11-29 08:52:39.723126+00'),
	(7, 'auth', '0005_alter_user_last_login_null', '2026-11-29 08:52:39.729836+00'),
	(8, 'auth', '0006_require_contenttypes_0002', '2026-11-29 08:52:39.740637+00'),
	(9, 'auth', '0007_alter_validators_add_error_messages', '2026-11-29 08:52:39.747588+00'),
	(10, 'auth', '0008_alter_user_username_max_length', '2026-11-29 08:52:39.773838+00'),
	(11, 'auth', '0009_alter_user_last_name_max_length', '2026-11-29 08:52:39.790356+00'),
	(12, 'auth', '0010_alter_group_name_max_length', '2026-11-29 08:52:39.810328+00'),
	(13, 'auth', '0011_update_proxy_permissions', '2026-11-29 08:52:39.845768+00'),
	(14, 'auth', '0012_alter_user_first_name_max_length', '2026-11-29 08:52:39.862472+00'),
	(15, 'accounts', '0001_initial', '2026-11-29 08:52:39.992328+00'),
	(16, 'agents', '0001_initial', '2026-11-29 08:52:40.349531+00'),
	(17, 'accounts', '0002_default_account', '2026-11-29 08:52:40.398197+00'),
	(18, 'accounts', '0003_tables', '2026-11-29 08:52:42.244409+00'),
	(19, 'accounts', '0004_isolation', '2026-11-29 08:52:42.75878+00'),
	(20, 'accounts', '0005_limits', '2026-11-29 08:52:42.797931+00'),
	(21, 'accounts', '0006_audit', '2026-11-29 08:52:43.722816+00'),
	(22, 'accounts', '0007_audit_triggers', '2026-11-29 08:52:43.796505+00'),
	(23, 'accounts', '0008_hot_rows', '2026-11-29 08:52:43.864276+00'),
	(24, 'accounts', '0009_audit_rights', '2026-11-29 08:52:43.902554+00'),
	(25, 'accounts', '0010_limits_together', '2026-11-29 08:52:43.910254+00'),
	(26, 'accounts', '0011_audit_order', '2026-11-29 08:52:43.920934+00'),
	(27, 'accounts', '0012_key_offers', '2026-11-29 08:52:44.184275+00'),
	(28, 'accounts', '0013_email_forms', '2026-11-29 08:52:44.280315+00'),
	(29, 'accounts', '0014_attempt_rates', '2026-11-29 08:52:44.297675+00'),
	(30, 'accounts', '0015_budget_amounts', '2026-11-29 08:52:44.380522+00'),
	(31, 'admin', '0001_initial', '2026-11-29 08:52:44.486757+00'),
	(32, 'admin', '0002_logentry_remove_auto_add', '2026-11-29 08:52:44.525156+00'),
	(33, 'admin', '0003_logentry_add_action_flag_choices', '2026-11-29 08:52:44.567887+00'),
	(34, 'agents', '0002_default_instance', '2026-11-29 08:52:44.667407+00'),
	(35, 'agents', '0003_tables', '2026-11-29 08:52:44.802649+00'),
	(36, 'agents', '0004_isolation', '2026-11-29 08:52:44.834383+00'),
	(37, 'agents', '0005_publications', '2026-11-29 08:52:45.185476+00'),
	(38, 'agents', '0006_publications_isolation', '2026-11-29 08:52:45.213323+00'),
	(39, 'agents', '0007_drafts', '2026-11-29 08:52:45.359231+00'),
	(40, 'sessions', '0001_initial', '2026-11-29 08:52:45.384267+00'),
	(41, 'sessions_app', '0001_initial', '2026-11-29 08:52:45.49047+00'),
	(42, 'sessions_app', '0002_tenancy', '2026-11-29 08:52:48.156711+00'),
	(43, 'sessions_app', '0003_backfill', '2026-11-29 08:52:48.287982+00'),
	(44, 'sessions_app', '0004_constraints', '2026-11-29 08:52:57.620391+00'),
	(45, 'sessions_app', '0005_tables', '2026-11-29 08:52:58.424299+00'),
	(46, 'sessions_app', '0006_isolation', '2026-11-29 08:52:58.442062+00'),
	(47, 'sessions_app', '0007_hash_session_keys', '2026-11-29 08:52:58.444892+00'),
	(48, 'sessions_app', '0008_insights', '2026-11-29 08:53:03.778081+00'),
	(49, 'sessions_app', '0009_insights_isolation', '2026-11-29 08:53:03.810959+00'),
	(50, 'sessions_app', '0010_message_text', '2026-11-29 08:53:03.907243+00'),
	(51, 'sessions_app', '0011_usage', '2026-11-29 08:53:03.924926+00'),
	(52, 'sessions_app', '0012_turns', '2026-11-29 08:53:03.941487+00'),
	(53, 'sessions_app', '0013_list_indexes', '2026-11-29 08:53:04.41368+00'),
	(54, 'sessions_app', '0014_turns_together', '2026-11-29 08:53:04.431457+00'),
	(55, 'sessions_app', '0015_usage_totals', '2026-11-29 08:53:04.554218+00'),
	(56, 'sessions_app', '0016_sum_days', '2026-11-29 08:53:04.563673+00'),
	(57, 'sessions_app', '0017_instance_activity', '2026-11-29 08:53:04.832666+00'),
	(58, 'sessions_app', '0018_copies', '2026-11-29 08:53:04.956983+00'),
	(59, 'sessions_app', '0019_copies_index', '2026-11-29 08:53:05.066763+00'),
	(60, 'sessions_app', '0020_mark_copies', '2026-11-29 08:53:05.075558+00'),
	(61, 'sessions_app', '0021_turns_in_sets', '2026-11-29 08:53:05.089903+00'),
	(62, 'sessions_app', '0022_server_processes', '2026-11-29 08:53:05.24761+00'),
	(63, 'sessions_app', '0023_money_columns', '2026-11-29 08:53:06.801115+00'),
	(64, 'sessions_app', '0024_message_text_start', '2026-11-29 08:53:07.040899+00'),
	(65, 'sessions_app', '0025_validate_cost_source', '2026-11-29 08:53:07.046852+00'),
	(66, 'sessions_app', '0026_longer_model_names', '2026-11-29 08:53:07.209233+00');

INSERT INTO public.invitations VALUES
	('01a22682-10d7-7cb5-90a8-9ae4c55a4f8b', '01a22682-1272-762c-8d0c-f77804269eac', 'guest6@example.com', 'member', '', '0000000000000000000000000000000000000000000000000000000000000006', '2026-11-29 08:53:08.343919+00', '2026-12-06 08:53:08.337485+00', NULL, NULL),
	('01a22682-1374-78c6-8e2e-9d64e4017ecf', '01a22682-1425-713c-8b7f-32f3d7a99015', 'guest19@example.com', 'member', '', '0000000000000000000000000000000000000000000000000000000000000013', '2026-11-29 08:53:08.773858+00', '2026-12-06 08:53:08.7712+00', NULL, NULL);

INSERT INTO public.llm_requests VALUES
	('01a22682-1230-7f3e-8382-736a32487ddf', '01a22682-1220-7e04-8797-a841bf4eb165', 'scripted', 'echo', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2026-11-29 08:53:08.274727+00', '01a22682-10d7-7cb5-90a8-9ae4c55a4f8b', 'acme', '01a22682-1116-7988-91bf-f08e215baba4', 'bot', 'simple_chat', 'complete', '01a22682-114b-7ada-82a8-65dee7e50dc1', '', 0, NULL, false, 'unknown', NULL, NULL, '', '', NULL, false, NULL, NULL, NULL),
	('01a22682-13e8-7bb4-8397-79e906ae25a6', '01a22682-13dd-75c7-9e72-eeae419da656', 'scripted', 'echo', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2026-11-29 08:53:08.713734+00', '01a22682-1374-78c6-8e2e-9d64e4017ecf', 'beta', '01a22682-13a8-7a85-b98a-53ecc647f380', 'bot', 'simple_chat', 'complete', '01a22682-13d1-732c-b3ac-7b365c423986', '', 0, NULL, false, 'unknown', NULL, NULL, '', '', NULL, false, NULL, NULL, NULL);

INSERT INTO public.memberships VALUES
	('01a22682-10d7-7cb5-90a8-9ae4c55a4f8b', '01a22682-125d-798d-90b9-7c07ec03e4ef', '01a22682-1263-774f-9ca5-6249409f62b6', 'member', '2026-11-29 08:53:08.327597+00', '2026-11-29 08:53:08.323907+00'),
	('01a22682-1374-78c6-8e2e-9d64e4017ecf', '01a22682-1410-7251-a549-1e69358ff6e6', '01a22682-141b-79bc-977c-5f089c2b3d47', 'member', '2026-11-29 08:53:08.768126+00', '2026-11-29 08:53:08.763949+00');

INSERT INTO public.message_feedback VALUES
	('01a22682-1359-75e8-b35d-5756bc170f4c', 1, '', 'key:12', '2026-11-29 08:53:08.570113+00', '2026-11-29 08:53:08.569888+00', '01a22682-10d7-7cb5-90a8-9ae4c55a4f8b', '01a22682-1116-7988-91bf-f08e215baba4', '01a22682-123c-700d-bd89-994f538d7239', '01a22682-1220-7e04-8797-a841bf4eb165'),
	('01a22682-14bf-791b-a4f4-9edfab027b3a', 1, '', 'key:25', '2026-11-29 08:53:08.929313+00', '2026-11-29 08:53:08.928174+00', '01a22682-1374-78c6-8e2e-9d64e4017ecf', '01a22682-13a8-7a85-b98a-53ecc647f380', '01a22682-13f7-7a28-9170-c1ae0e736a97', '01a22682-13dd-75c7-9e72-eeae419da656');

INSERT INTO public.messages VALUES
	('01a22682-123c-700d-bd89-994f538d7239', '01a22682-1220-7e04-8797-a841bf4eb165', 'human', 'Hello', NULL, '2026-11-29 08:53:08.284978+00', '01a22682-10d7-7cb5-90a8-9ae4c55a4f8b', '01a22682-1116-7988-91bf-f08e215baba4', '01a22682-1230-7f3e-8382-736a32487ddf', '01a22682-114b-7ada-82a8-65dee7e50dc1'),
	('01a22682-13f7-7a28-9170-c1ae0e736a97', '01a22682-13dd-75c7-9e72-eeae419da656', 'human', 'Hello', NULL, '2026-11-29 08:53:08.728235+00', '01a22682-1374-78c6-8e2e-9d64e4017ecf', '01a22682-13a8-7a85-b98a-53ecc647f380', '01a22682-13e8-7bb4-8397-79e906ae25a6', '01a22682-13d1-732c-b3ac-7b365c423986');

INSERT INTO public.profiles VALUES
	('01a22682-1253-752a-9eb4-1225ae564c48', '01a22682-124c-7b56-86ae-99b91a8ae99b', 'Ann', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2026-11-29 08:53:08.307889+00', '01a22682-10d7-7cb5-90a8-9ae4c55a4f8b'),
	('01a22682-140d-7594-934d-6fb84625abc1', '01a22682-13fd-7ad1-987e-950235396419', 'Ann', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2026-11-29 08:53:08.749715+00', '01a22682-1374-78c6-8e2e-9d64e4017ecf');

INSERT INTO public.prompt_sections VALUES
	('01a22682-1351-7698-80a6-def228875e3b', '000000000000000000000000000000000000000000000000000000000000000b', 'Be brief.', '2026-11-29 08:53:08.562407+00', '01a22682-10d7-7cb5-90a8-9ae4c55a4f8b'),
	('01a22682-14be-7011-b85f-4d2fc443df44', '0000000000000000000000000000000000000000000000000000000000000018', 'Be brief.', '2026-11-29 08:53:08.92649+00', '01a22682-1374-78c6-8e2e-9d64e4017ecf');

INSERT INTO public.provider_connections VALUES
	('01a22682-130d-76d9-85e7-71c75d8b82bd', 'server-9', 'https://models.example/v1', '', '', '', '2026-11-29 08:53:08.494631+00', '2026-11-29 08:53:08.49388+00', '01a22682-10d7-7cb5-90a8-9ae4c55a4f8b'),
	('01a22682-148d-75d4-bec3-c1c9b8e76eea', 'server-22', 'https://models.example/v1', '', '', '', '2026-11-29 08:53:08.877868+00', '2026-11-29 08:53:08.877715+00', '01a22682-1374-78c6-8e2e-9d64e4017ecf');

INSERT INTO public.rate_states VALUES
	('01a22682-10d7-7cb5-90a8-9ae4c55a4f8b', 'key:8', '2026-11-29 08:53:08.4777+00'),
	('01a22682-1374-78c6-8e2e-9d64e4017ecf', 'key:21', '2026-11-29 08:53:08.863146+00');

INSERT INTO public.saved_chat_runs VALUES
	('01a22682-132e-779f-9193-cfc64663e637', true, '[]', NULL, 5, '2026-11-29 08:53:08.532955+00', '01a22682-10d7-7cb5-90a8-9ae4c55a4f8b', '01a22682-1116-7988-91bf-f08e215baba4', '01a22682-114b-7ada-82a8-65dee7e50dc1', '01a22682-1317-78f1-ad9e-68709a12326e'),
	('01a22682-14a2-77e7-936b-be26c4a0d507', true, '[]', NULL, 5, '2026-11-29 08:53:08.898995+00', '01a22682-1374-78c6-8e2e-9d64e4017ecf', '01a22682-13a8-7a85-b98a-53ecc647f380', '01a22682-13d1-732c-b3ac-7b365c423986', '01a22682-149c-7655-8f0f-7b13f679fe00');

INSERT INTO public.saved_chats VALUES
	('01a22682-1317-78f1-ad9e-68709a12326e', 'chat 10', '["Hello"]', '[]', true, NULL, '2026-11-29 08:53:08.510112+00', '2026-11-29 08:53:08.503968+00', '01a22682-10d7-7cb5-90a8-9ae4c55a4f8b', '01a22682-1116-7988-91bf-f08e215baba4'),
	('01a22682-149c-7655-8f0f-7b13f679fe00', 'chat 23', '["Hello"]', '[]', true, NULL, '2026-11-29 08:53:08.893806+00', '2026-11-29 08:53:08.892744+00', '01a22682-1374-78c6-8e2e-9d64e4017ecf', '01a22682-13a8-7a85-b98a-53ecc647f380');

INSERT INTO public.server_processes VALUES
	('01a22682-1314-74df-a514-a091fb6b6cec', '', 1, 0, '2026-11-29 08:53:08.501455+00', '2026-11-29 08:53:08.501455+00'),
	('01a22682-1493-7522-952d-cb5deec0ba4b', '', 1, 0, '2026-11-29 08:53:08.88377+00', '2026-11-29 08:53:08.88377+00');

INSERT INTO public.sessions VALUES
	('01a22682-1220-7e04-8797-a841bf4eb165', 'key-3', NULL, true, '2026-11-29 08:53:08.258793+00', '2026-11-29 08:53:08.258793+00', NULL, '01a22682-10d7-7cb5-90a8-9ae4c55a4f8b', 'acme', '01a22682-1116-7988-91bf-f08e215baba4', 'bot', '01a22682-1212-70e1-89b7-e9de4d4ed9cb', '2026-11-29 08:53:08.25746+00', NULL, NULL, NULL, '', 0.00000000, 0, 0, NULL),
	('01a22682-124c-7b56-86ae-99b91a8ae99b', 'key-4', NULL, true, '2026-11-29 08:53:08.301474+00', '2026-11-29 08:53:08.301474+00', NULL, '01a22682-10d7-7cb5-90a8-9ae4c55a4f8b', 'acme', '01a22682-1116-7988-91bf-f08e215baba4', 'bot', NULL, '2026-11-29 08:53:08.301192+00', NULL, NULL, NULL, '', 0.00000000, 0, 0, NULL),
	('01a22682-13dd-75c7-9e72-eeae419da656', 'key-16', NULL, true, '2026-11-29 08:53:08.707893+00', '2026-11-29 08:53:08.707893+00', NULL, '01a22682-1374-78c6-8e2e-9d64e4017ecf', 'beta', '01a22682-13a8-7a85-b98a-53ecc647f380', 'bot', '01a22682-13d7-774a-8af5-29800e0821b2', '2026-11-29 08:53:08.701777+00', NULL, NULL, NULL, '', 0.00000000, 0, 0, NULL),
	('01a22682-13fd-7ad1-987e-950235396419', 'key-17', NULL, true, '2026-11-29 08:53:08.738983+00', '2026-11-29 08:53:08.738983+00', NULL, '01a22682-1374-78c6-8e2e-9d64e4017ecf', 'beta', '01a22682-13a8-7a85-b98a-53ecc647f380', 'bot', NULL, '2026-11-29 08:53:08.734085+00', NULL, NULL, NULL, '', 0.00000000, 0, 0, NULL);

INSERT INTO public.support_accesses VALUES
	('01a22682-1369-728f-82c4-93185df89b2a', 'user2@example.com', 'ticket 7', '2026-11-29 08:53:08.585825+00', '2026-11-29 09:53:08.584699+00', NULL, '01a22682-10d7-7cb5-90a8-9ae4c55a4f8b', '01a22682-1212-70e1-89b7-e9de4d4ed9cb'),
	('01a22682-14cc-753b-ade7-3adb6b011a1c', 'user15@example.com', 'ticket 7', '2026-11-29 08:53:08.94093+00', '2026-11-29 09:53:08.936332+00', NULL, '01a22682-1374-78c6-8e2e-9d64e4017ecf', '01a22682-13d7-774a-8af5-29800e0821b2');

INSERT INTO public.usage_days VALUES
	('01a22682-10d7-7cb5-90a8-9ae4c55a4f8b', '01a22682-1116-7988-91bf-f08e215baba4', '2026-11-29', 'scripted:echo', 1, 0, 0, 0, 0, 0, 0, 0.00000000, 0, '{0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0}'),
	('01a22682-1374-78c6-8e2e-9d64e4017ecf', '01a22682-13a8-7a85-b98a-53ecc647f380', '2026-11-29', 'scripted:echo', 1, 0, 0, 0, 0, 0, 0, 0.00000000, 0, '{0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0}');

INSERT INTO public.usage_totals VALUES
	('2026-11-29', '', 0, 0, 0, 0, 0, 0, 0, 0.00000000, 0, '{}', '01a22682-134a-75ac-bfe3-835261472e24', '01a22682-10d7-7cb5-90a8-9ae4c55a4f8b'),
	('2026-11-29', '', 0, 0, 0, 0, 0, 0, 0, 0.00000000, 0, '{}', '01a22682-14b5-784f-a716-5926b64d8106', '01a22682-1374-78c6-8e2e-9d64e4017ecf');

INSERT INTO public.users VALUES
	('!LmbVVmmMlz8VQbnjJ9eIvBcNTxoiNBNXeMFYVcdh', NULL, false, '', '', false, true, '2026-11-29 08:53:08.242044+00', '01a22682-1212-70e1-89b7-e9de4d4ed9cb', 'user2@example.com', true),
	('!YvSJsgOKXsE0G66I3Y4CLRkAQEVxm6tq1Piay5nQ', NULL, false, '', '', false, true, '2026-11-29 08:53:08.317591+00', '01a22682-125d-798d-90b9-7c07ec03e4ef', 'user5@example.com', false),
	('!4NLp625oML8gPRGU1kU24hqmDcy4QhRU1veDkZRh', NULL, false, '', '', false, true, '2026-11-29 08:53:08.695449+00', '01a22682-13d7-774a-8af5-29800e0821b2', 'user15@example.com', true),
	('!Rqn2swcL9zrq05lzYehJe4JLTrkzik5JNPAKftGm', NULL, false, '', '', false, true, '2026-11-29 08:53:08.752139+00', '01a22682-1410-7251-a549-1e69358ff6e6', 'user18@example.com', false);

INSERT INTO public.users_groups VALUES
	(1, '01a22682-1212-70e1-89b7-e9de4d4ed9cb', 1);

INSERT INTO public.users_user_permissions VALUES
	(1, '01a22682-1212-70e1-89b7-e9de4d4ed9cb', 1);

SELECT pg_catalog.setval('public.auth_group_id_seq', 1, true);

SELECT pg_catalog.setval('public.auth_group_permissions_id_seq', 1, false);

SELECT pg_catalog.setval('public.auth_permission_id_seq', 128, true);

SELECT pg_catalog.setval('public.django_admin_log_id_seq', 1, false);

SELECT pg_catalog.setval('public.django_content_type_id_seq', 32, true);

SELECT pg_catalog.setval('public.django_migrations_id_seq', 66, true);

SELECT pg_catalog.setval('public.users_groups_id_seq', 1, true);

SELECT pg_catalog.setval('public.users_user_permissions_id_seq', 1, true);

ALTER TABLE ONLY public.account_limits
    ADD CONSTRAINT account_limits_pkey PRIMARY KEY (account_id);

ALTER TABLE ONLY public.accounts
    ADD CONSTRAINT accounts_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.agent_instances
    ADD CONSTRAINT agent_instances_pkey PRIMARY KEY (id);

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
    ADD CONSTRAINT budgets_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.config_drafts
    ADD CONSTRAINT config_drafts_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.config_publications
    ADD CONSTRAINT config_publications_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.config_versions
    ADD CONSTRAINT config_versions_pkey PRIMARY KEY (id);

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
    ADD CONSTRAINT llm_requests_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.memberships
    ADD CONSTRAINT memberships_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.message_feedback
    ADD CONSTRAINT message_feedback_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.messages
    ADD CONSTRAINT messages_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.profiles
    ADD CONSTRAINT profiles_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.prompt_sections
    ADD CONSTRAINT prompt_sections_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.provider_connections
    ADD CONSTRAINT provider_connections_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.rate_states
    ADD CONSTRAINT rate_states_pkey PRIMARY KEY (account_id, subject);

ALTER TABLE ONLY public.saved_chat_runs
    ADD CONSTRAINT saved_chat_runs_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.saved_chats
    ADD CONSTRAINT saved_chats_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.server_processes
    ADD CONSTRAINT server_processes_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.support_accesses
    ADD CONSTRAINT support_accesses_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.accounts
    ADD CONSTRAINT uq_accounts_id_slug UNIQUE (id, slug);

ALTER TABLE ONLY public.accounts
    ADD CONSTRAINT uq_accounts_slug UNIQUE (slug);

ALTER TABLE ONLY public.agent_instances
    ADD CONSTRAINT uq_agent_instances_account_id UNIQUE (account_id, id);

ALTER TABLE ONLY public.agent_instances
    ADD CONSTRAINT uq_agent_instances_account_id_slug UNIQUE (account_id, id, instance_slug);

ALTER TABLE ONLY public.agent_instances
    ADD CONSTRAINT uq_agent_instances_account_slug UNIQUE (account_id, instance_slug);

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT uq_api_keys_key_id UNIQUE (key_id);

ALTER TABLE ONLY public.budgets
    ADD CONSTRAINT uq_budgets_account_instance_period UNIQUE NULLS NOT DISTINCT (account_id, agent_instance_id, period);

ALTER TABLE ONLY public.config_drafts
    ADD CONSTRAINT uq_config_drafts_instance UNIQUE (agent_instance_id);

ALTER TABLE ONLY public.config_publications
    ADD CONSTRAINT uq_config_publications_number UNIQUE (agent_instance_id, number);

ALTER TABLE ONLY public.config_versions
    ADD CONSTRAINT uq_config_versions_instance_digest UNIQUE (agent_instance_id, digest);

ALTER TABLE ONLY public.config_versions
    ADD CONSTRAINT uq_config_versions_instance_id UNIQUE (account_id, agent_instance_id, id);

ALTER TABLE ONLY public.invitations
    ADD CONSTRAINT uq_invitations_token_hash UNIQUE (token_hash);

ALTER TABLE ONLY public.llm_requests
    ADD CONSTRAINT uq_llm_requests_account_id UNIQUE (account_id, id);

ALTER TABLE ONLY public.memberships
    ADD CONSTRAINT uq_memberships_account_user UNIQUE (account_id, user_id);

ALTER TABLE ONLY public.message_feedback
    ADD CONSTRAINT uq_message_feedback_message_caller UNIQUE (message_id, caller);

ALTER TABLE ONLY public.messages
    ADD CONSTRAINT uq_messages_account_id UNIQUE (account_id, id);

ALTER TABLE ONLY public.prompt_sections
    ADD CONSTRAINT uq_prompt_sections_account_digest UNIQUE (account_id, digest);

ALTER TABLE ONLY public.provider_connections
    ADD CONSTRAINT uq_provider_connections_account_name UNIQUE (account_id, name);

ALTER TABLE ONLY public.saved_chats
    ADD CONSTRAINT uq_saved_chats_account_id UNIQUE (account_id, id);

ALTER TABLE ONLY public.saved_chats
    ADD CONSTRAINT uq_saved_chats_instance_name UNIQUE (agent_instance_id, name);

ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT uq_sessions_account_id UNIQUE (account_id, id);

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

CREATE UNIQUE INDEX ix_profiles_session_id ON public.profiles USING btree (session_id);

CREATE INDEX ix_saved_chat_runs_chat ON public.saved_chat_runs USING btree (saved_chat_id, config_version_id, created_at DESC);

CREATE INDEX ix_saved_chat_runs_instance ON public.saved_chat_runs USING btree (account_id, agent_instance_id);

CREATE INDEX ix_sessions_account_activity ON public.sessions USING btree (account_id, last_activity_at DESC, id DESC);

CREATE INDEX ix_sessions_activity ON public.sessions USING btree (last_activity_at DESC, id DESC);

CREATE INDEX ix_sessions_copied_from ON public.sessions USING btree (copied_from) WHERE (copied_from IS NOT NULL);

CREATE INDEX ix_sessions_email ON public.sessions USING btree (email);

CREATE INDEX ix_sessions_end_user ON public.sessions USING btree (agent_instance_id, end_user, last_activity_at DESC) WHERE (end_user IS NOT NULL);

CREATE INDEX ix_sessions_instance_activity ON public.sessions USING btree (account_id, agent_instance_id, last_activity_at DESC, id DESC);

CREATE UNIQUE INDEX ix_sessions_session_key ON public.sessions USING btree (session_key);

CREATE INDEX ix_sessions_user ON public.sessions USING btree (user_id) WHERE (user_id IS NOT NULL);

CREATE INDEX ix_support_accesses_account ON public.support_accesses USING btree (account_id, user_id, expires_at DESC);

CREATE INDEX ix_support_accesses_user ON public.support_accesses USING btree (user_id);

CREATE INDEX ix_usage_days_day ON public.usage_days USING btree (day);

CREATE INDEX ix_usage_days_instance ON public.usage_days USING btree (agent_instance_id, day);

CREATE INDEX ix_usage_totals_account ON public.usage_totals USING btree (account_id, day);

CREATE UNIQUE INDEX uq_invitations_open ON public.invitations USING btree (account_id, lower((email)::text)) WHERE ((accepted_at IS NULL) AND (revoked_at IS NULL));

CREATE UNIQUE INDEX uq_llm_requests_idempotency ON public.llm_requests USING btree (account_id, caller, idempotency_key) WHERE (idempotency_key IS NOT NULL);

CREATE UNIQUE INDEX uq_llm_requests_running_in_session ON public.llm_requests USING btree (session_id) WHERE ((completion_status)::text = 'running'::text);

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
    ADD CONSTRAINT fk_account_limits_account_id FOREIGN KEY (account_id) REFERENCES public.accounts(id) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY public.agent_instances
    ADD CONSTRAINT fk_agent_instances_account_id FOREIGN KEY (account_id) REFERENCES public.accounts(id) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT fk_api_keys_account_id FOREIGN KEY (account_id) REFERENCES public.accounts(id) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY public.audit_log
    ADD CONSTRAINT fk_audit_log_account_id FOREIGN KEY (account_id) REFERENCES public.accounts(id) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY public.budgets
    ADD CONSTRAINT fk_budgets_account_id FOREIGN KEY (account_id) REFERENCES public.accounts(id) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY public.budgets
    ADD CONSTRAINT fk_budgets_agent_instance_id FOREIGN KEY (account_id, agent_instance_id) REFERENCES public.agent_instances(account_id, id) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY public.config_drafts
    ADD CONSTRAINT fk_config_drafts_agent_instance_id FOREIGN KEY (account_id, agent_instance_id) REFERENCES public.agent_instances(account_id, id) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY public.config_drafts
    ADD CONSTRAINT fk_config_drafts_author_id FOREIGN KEY (author_id) REFERENCES public.users(id) ON UPDATE CASCADE ON DELETE SET NULL;

ALTER TABLE ONLY public.config_publications
    ADD CONSTRAINT fk_config_publications_agent_instance_id FOREIGN KEY (account_id, agent_instance_id) REFERENCES public.agent_instances(account_id, id) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY public.config_publications
    ADD CONSTRAINT fk_config_publications_author_id FOREIGN KEY (author_id) REFERENCES public.users(id) ON UPDATE CASCADE ON DELETE SET NULL;

ALTER TABLE ONLY public.config_publications
    ADD CONSTRAINT fk_config_publications_config_version_id FOREIGN KEY (account_id, agent_instance_id, config_version_id) REFERENCES public.config_versions(account_id, agent_instance_id, id) ON UPDATE CASCADE;

ALTER TABLE ONLY public.config_versions
    ADD CONSTRAINT fk_config_versions_agent_instance_id FOREIGN KEY (account_id, agent_instance_id) REFERENCES public.agent_instances(account_id, id) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY public.invitations
    ADD CONSTRAINT fk_invitations_account_id FOREIGN KEY (account_id) REFERENCES public.accounts(id) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY public.llm_requests
    ADD CONSTRAINT fk_llm_requests_account_id FOREIGN KEY (account_id, account_slug) REFERENCES public.accounts(id, slug) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY public.llm_requests
    ADD CONSTRAINT fk_llm_requests_agent_instance_id FOREIGN KEY (account_id, agent_instance_id, agent_instance_slug) REFERENCES public.agent_instances(account_id, id, instance_slug) ON UPDATE CASCADE;

ALTER TABLE ONLY public.llm_requests
    ADD CONSTRAINT fk_llm_requests_config_version_id FOREIGN KEY (account_id, agent_instance_id, config_version_id) REFERENCES public.config_versions(account_id, agent_instance_id, id) ON UPDATE CASCADE;

ALTER TABLE ONLY public.llm_requests
    ADD CONSTRAINT fk_llm_requests_session_id FOREIGN KEY (account_id, session_id) REFERENCES public.sessions(account_id, id) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY public.memberships
    ADD CONSTRAINT fk_memberships_account_id FOREIGN KEY (account_id) REFERENCES public.accounts(id) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY public.memberships
    ADD CONSTRAINT fk_memberships_user_id FOREIGN KEY (user_id) REFERENCES public.users(id) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY public.message_feedback
    ADD CONSTRAINT fk_message_feedback_account_id FOREIGN KEY (account_id) REFERENCES public.accounts(id) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY public.message_feedback
    ADD CONSTRAINT fk_message_feedback_agent_instance_id FOREIGN KEY (account_id, agent_instance_id) REFERENCES public.agent_instances(account_id, id) ON UPDATE CASCADE;

ALTER TABLE ONLY public.message_feedback
    ADD CONSTRAINT fk_message_feedback_message_id FOREIGN KEY (account_id, message_id) REFERENCES public.messages(account_id, id) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY public.message_feedback
    ADD CONSTRAINT fk_message_feedback_session_id FOREIGN KEY (account_id, session_id) REFERENCES public.sessions(account_id, id) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY public.messages
    ADD CONSTRAINT fk_messages_account_id FOREIGN KEY (account_id) REFERENCES public.accounts(id) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY public.messages
    ADD CONSTRAINT fk_messages_agent_instance_id FOREIGN KEY (account_id, agent_instance_id) REFERENCES public.agent_instances(account_id, id) ON UPDATE CASCADE;

ALTER TABLE ONLY public.messages
    ADD CONSTRAINT fk_messages_config_version_id FOREIGN KEY (account_id, agent_instance_id, config_version_id) REFERENCES public.config_versions(account_id, agent_instance_id, id) ON UPDATE CASCADE;

ALTER TABLE ONLY public.messages
    ADD CONSTRAINT fk_messages_llm_request_id FOREIGN KEY (account_id, llm_request_id) REFERENCES public.llm_requests(account_id, id) ON UPDATE CASCADE ON DELETE SET NULL (llm_request_id);

ALTER TABLE ONLY public.messages
    ADD CONSTRAINT fk_messages_session_id FOREIGN KEY (account_id, session_id) REFERENCES public.sessions(account_id, id) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY public.profiles
    ADD CONSTRAINT fk_profiles_session_id FOREIGN KEY (account_id, session_id) REFERENCES public.sessions(account_id, id) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY public.prompt_sections
    ADD CONSTRAINT fk_prompt_sections_account_id FOREIGN KEY (account_id) REFERENCES public.accounts(id) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY public.provider_connections
    ADD CONSTRAINT fk_provider_connections_account_id FOREIGN KEY (account_id) REFERENCES public.accounts(id) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY public.rate_states
    ADD CONSTRAINT fk_rate_states_account_id FOREIGN KEY (account_id) REFERENCES public.accounts(id) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY public.saved_chat_runs
    ADD CONSTRAINT fk_saved_chat_runs_account_id FOREIGN KEY (account_id) REFERENCES public.accounts(id) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY public.saved_chat_runs
    ADD CONSTRAINT fk_saved_chat_runs_agent_instance_id FOREIGN KEY (account_id, agent_instance_id) REFERENCES public.agent_instances(account_id, id) ON UPDATE CASCADE;

ALTER TABLE ONLY public.saved_chat_runs
    ADD CONSTRAINT fk_saved_chat_runs_config_version_id FOREIGN KEY (account_id, agent_instance_id, config_version_id) REFERENCES public.config_versions(account_id, agent_instance_id, id) ON UPDATE CASCADE;

ALTER TABLE ONLY public.saved_chat_runs
    ADD CONSTRAINT fk_saved_chat_runs_saved_chat_id FOREIGN KEY (account_id, saved_chat_id) REFERENCES public.saved_chats(account_id, id) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY public.saved_chats
    ADD CONSTRAINT fk_saved_chats_account_id FOREIGN KEY (account_id) REFERENCES public.accounts(id) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY public.saved_chats
    ADD CONSTRAINT fk_saved_chats_agent_instance_id FOREIGN KEY (account_id, agent_instance_id) REFERENCES public.agent_instances(account_id, id) ON UPDATE CASCADE;

ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT fk_sessions_account_id FOREIGN KEY (account_id, account_slug) REFERENCES public.accounts(id, slug) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT fk_sessions_agent_instance_id FOREIGN KEY (account_id, agent_instance_id, agent_instance_slug) REFERENCES public.agent_instances(account_id, id, instance_slug) ON UPDATE CASCADE;

ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT fk_sessions_user_id FOREIGN KEY (user_id) REFERENCES public.users(id) ON UPDATE CASCADE ON DELETE SET NULL;

ALTER TABLE ONLY public.support_accesses
    ADD CONSTRAINT fk_support_accesses_account_id FOREIGN KEY (account_id) REFERENCES public.accounts(id) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY public.support_accesses
    ADD CONSTRAINT fk_support_accesses_user_id FOREIGN KEY (user_id) REFERENCES public.users(id) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY public.usage_days
    ADD CONSTRAINT fk_usage_days_account_id FOREIGN KEY (account_id) REFERENCES public.accounts(id) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY public.usage_days
    ADD CONSTRAINT fk_usage_days_agent_instance_id FOREIGN KEY (account_id, agent_instance_id) REFERENCES public.agent_instances(account_id, id) ON UPDATE CASCADE;

ALTER TABLE ONLY public.usage_totals
    ADD CONSTRAINT fk_usage_totals_account_id FOREIGN KEY (account_id) REFERENCES public.accounts(id) ON UPDATE CASCADE ON DELETE CASCADE;

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

CREATE POLICY tenant ON public.account_limits TO salient_tenant USING ((account_id = ( SELECT public.app_current_account() AS app_current_account))) WITH CHECK ((account_id = ( SELECT public.app_current_account() AS app_current_account)));

CREATE POLICY tenant ON public.accounts TO salient_tenant USING ((id = ( SELECT public.app_current_account() AS app_current_account))) WITH CHECK ((id = ( SELECT public.app_current_account() AS app_current_account)));

CREATE POLICY tenant ON public.agent_instances TO salient_tenant USING ((account_id = ( SELECT public.app_current_account() AS app_current_account))) WITH CHECK ((account_id = ( SELECT public.app_current_account() AS app_current_account)));

CREATE POLICY tenant ON public.api_keys TO salient_tenant USING ((account_id = ( SELECT public.app_current_account() AS app_current_account))) WITH CHECK ((account_id = ( SELECT public.app_current_account() AS app_current_account)));

CREATE POLICY tenant ON public.audit_log TO salient_tenant USING ((account_id = ( SELECT public.app_current_account() AS app_current_account))) WITH CHECK ((account_id = ( SELECT public.app_current_account() AS app_current_account)));

CREATE POLICY tenant ON public.budgets TO salient_tenant USING ((account_id = ( SELECT public.app_current_account() AS app_current_account))) WITH CHECK ((account_id = ( SELECT public.app_current_account() AS app_current_account)));

CREATE POLICY tenant ON public.config_drafts TO salient_tenant USING ((account_id = ( SELECT public.app_current_account() AS app_current_account))) WITH CHECK ((account_id = ( SELECT public.app_current_account() AS app_current_account)));

CREATE POLICY tenant ON public.config_publications TO salient_tenant USING ((account_id = ( SELECT public.app_current_account() AS app_current_account))) WITH CHECK ((account_id = ( SELECT public.app_current_account() AS app_current_account)));

CREATE POLICY tenant ON public.config_versions TO salient_tenant USING ((account_id = ( SELECT public.app_current_account() AS app_current_account))) WITH CHECK ((account_id = ( SELECT public.app_current_account() AS app_current_account)));

CREATE POLICY tenant ON public.invitations TO salient_tenant USING ((account_id = ( SELECT public.app_current_account() AS app_current_account))) WITH CHECK ((account_id = ( SELECT public.app_current_account() AS app_current_account)));

CREATE POLICY tenant ON public.llm_requests TO salient_tenant USING ((account_id = ( SELECT public.app_current_account() AS app_current_account))) WITH CHECK ((account_id = ( SELECT public.app_current_account() AS app_current_account)));

CREATE POLICY tenant ON public.memberships TO salient_tenant USING ((account_id = ( SELECT public.app_current_account() AS app_current_account))) WITH CHECK ((account_id = ( SELECT public.app_current_account() AS app_current_account)));

CREATE POLICY tenant ON public.message_feedback TO salient_tenant USING ((account_id = ( SELECT public.app_current_account() AS app_current_account))) WITH CHECK ((account_id = ( SELECT public.app_current_account() AS app_current_account)));

CREATE POLICY tenant ON public.messages TO salient_tenant USING ((account_id = ( SELECT public.app_current_account() AS app_current_account))) WITH CHECK ((account_id = ( SELECT public.app_current_account() AS app_current_account)));

CREATE POLICY tenant ON public.profiles TO salient_tenant USING ((account_id = ( SELECT public.app_current_account() AS app_current_account))) WITH CHECK ((account_id = ( SELECT public.app_current_account() AS app_current_account)));

CREATE POLICY tenant ON public.prompt_sections TO salient_tenant USING ((account_id = ( SELECT public.app_current_account() AS app_current_account))) WITH CHECK ((account_id = ( SELECT public.app_current_account() AS app_current_account)));

CREATE POLICY tenant ON public.provider_connections TO salient_tenant USING ((account_id = ( SELECT public.app_current_account() AS app_current_account))) WITH CHECK ((account_id = ( SELECT public.app_current_account() AS app_current_account)));

CREATE POLICY tenant ON public.rate_states TO salient_tenant USING ((account_id = ( SELECT public.app_current_account() AS app_current_account))) WITH CHECK ((account_id = ( SELECT public.app_current_account() AS app_current_account)));

CREATE POLICY tenant ON public.saved_chat_runs TO salient_tenant USING ((account_id = ( SELECT public.app_current_account() AS app_current_account))) WITH CHECK ((account_id = ( SELECT public.app_current_account() AS app_current_account)));

CREATE POLICY tenant ON public.saved_chats TO salient_tenant USING ((account_id = ( SELECT public.app_current_account() AS app_current_account))) WITH CHECK ((account_id = ( SELECT public.app_current_account() AS app_current_account)));

CREATE POLICY tenant ON public.sessions TO salient_tenant USING ((account_id = ( SELECT public.app_current_account() AS app_current_account))) WITH CHECK ((account_id = ( SELECT public.app_current_account() AS app_current_account)));

CREATE POLICY tenant ON public.support_accesses TO salient_tenant USING ((account_id = ( SELECT public.app_current_account() AS app_current_account))) WITH CHECK ((account_id = ( SELECT public.app_current_account() AS app_current_account)));

CREATE POLICY tenant ON public.usage_days TO salient_tenant USING ((account_id = ( SELECT public.app_current_account() AS app_current_account))) WITH CHECK ((account_id = ( SELECT public.app_current_account() AS app_current_account)));

CREATE POLICY tenant ON public.usage_totals TO salient_tenant USING ((account_id = ( SELECT public.app_current_account() AS app_current_account))) WITH CHECK ((account_id = ( SELECT public.app_current_account() AS app_current_account)));

CREATE POLICY tenant ON public.users AS RESTRICTIVE TO salient_tenant USING ((id IN ( SELECT memberships.user_id
   FROM public.memberships)));

ALTER TABLE public.usage_days ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.usage_totals ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.users ENABLE ROW LEVEL SECURITY;

RESET check_function_bodies;
