CREATE OR REPLACE FUNCTION app_open_turns(turns jsonb) RETURNS jsonb LANGUAGE plpgsql
SET enable_seqscan = off AS $$
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
            least(9999, round(cost + cost_per_byte * coalesce(bytes[ordinality], 0)
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
$$;
