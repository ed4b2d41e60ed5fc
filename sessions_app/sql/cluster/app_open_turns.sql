-- As sql/app_open_turns.sql does, in the words that Citus' planner sends to one worker: each
-- statement writes one row of VALUES, or has account_id = a variable; no INSERT … SELECT, no CTE that
-- writes, nothing STABLE over a column. tests/schema/test_cluster_functions.py compares the two.
-- Locks, raises: as the plain one.
CREATE OR REPLACE FUNCTION app_open_turns(the_account uuid, turns jsonb) RETURNS jsonb
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    the_instance uuid := turns -> 0 ->> 'agent_instance_id';
    many integer := jsonb_array_length(turns);
    caller_timeout text := current_setting('lock_timeout');
    turn record;
    session record;
    history record;
    -- In the order of the turns; null for a turn that begins a conversation.
    known uuid[];
    by_key uuid[];
    histories jsonb[];
    messages integer[];
    bytes bigint[];
    the_session uuid;
    the_sessions uuid[];
    most numeric;
    reserved numeric[];
    total numeric;
    opened jsonb;
    limits jsonb;
BEGIN
    -- A rename has this lock of each of its agents alone, before it locks the account or the agent.
    PERFORM pg_advisory_xact_lock_shared(hashtextextended('turns/' || the_instance, 0));
    -- No key holds a slug here: a process that knows an older one is refused as by the keys.
    IF NOT EXISTS (SELECT FROM agent_instances
        WHERE account_id = the_account AND id = the_instance
            AND instance_slug = turns -> 0 ->> 'agent_instance_slug')
    THEN
        RAISE EXCEPTION USING ERRCODE = 'foreign_key_violation',
            CONSTRAINT = 'fk_llm_requests_agent_instance_id', MESSAGE = 'the agent has another slug';
    END IF;
    IF NOT EXISTS (SELECT FROM accounts
        WHERE id = the_account AND slug = turns -> 0 ->> 'account_slug')
    THEN
        RAISE EXCEPTION USING ERRCODE = 'foreign_key_violation',
            CONSTRAINT = 'fk_llm_requests_account_id', MESSAGE = 'the account has another slug';
    END IF;
    -- Existing sessions are locked by id, before any other row.
    IF turns @? '$[*] ? (@.session_id != null || @.session_key != null)' THEN
        IF many > 1 THEN
            PERFORM set_config('lock_timeout', '1ms', true);
        END IF;
        FOR turn IN
            SELECT * FROM ROWS FROM (jsonb_to_recordset(turns) AS (
                session_id uuid, session_key text
            )) WITH ORDINALITY AS asked WHERE session_id IS NULL AND session_key IS NOT NULL
        LOOP
            SELECT id INTO the_session FROM sessions
                WHERE account_id = the_account AND session_key = turn.session_key
                    AND agent_instance_id = the_instance AND deleted_at IS NULL;
            by_key[turn.ordinality] := the_session;
        END LOOP;
        FOR turn IN
            SELECT *, coalesce(session_id, by_key[ordinality]) AS wanted
            FROM ROWS FROM (jsonb_to_recordset(turns) AS (
                session_id uuid, session_key text, end_user text, staff_id uuid,
                most_messages integer
            )) WITH ORDINALITY AS asked
            ORDER BY wanted
        LOOP
            CONTINUE WHEN turn.wanted IS NULL;
            SELECT id, closed_at INTO session FROM sessions
                WHERE account_id = the_account AND id = turn.wanted
                    AND agent_instance_id = the_instance AND deleted_at IS NULL
                    AND (turn.session_key IS NULL OR session_key = turn.session_key)
                    AND (turn.session_id IS NULL OR (
                        (turn.end_user IS NULL OR end_user = turn.end_user)
                        AND (turn.staff_id IS NULL OR user_id = turn.staff_id)))
                FOR NO KEY UPDATE;
            IF FOUND AND session.closed_at IS NOT NULL THEN
                RAISE EXCEPTION USING ERRCODE = 'SL423', MESSAGE = 'the session is closed';
            ELSIF FOUND THEN
                SELECT coalesce(jsonb_agg(
                            CASE WHEN tools IS NULL THEN jsonb_build_array(role, content)
                                ELSE jsonb_build_array(role, content, tools) END), '[]') AS texts,
                        count(*) AS messages,
                        coalesce(sum(octet_length(content)
                            + coalesce(octet_length(tools::text), 0)), 0) AS bytes
                    INTO history
                    FROM (
                        SELECT role, content, meta -> 'tools' AS tools FROM messages
                        WHERE account_id = the_account AND session_id = session.id
                            AND agent_instance_id = the_instance
                            AND role IN ('human', 'assistant', 'tool')
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

    opened := '[]';
    total := 0;
    FOR turn IN
        SELECT * FROM ROWS FROM (jsonb_to_recordset(turns) AS (
            new_session_id uuid, account_slug text, agent_instance_slug text, session_key text,
            new_session_key text, end_user text, staff_id uuid, is_stored boolean, cost numeric,
            cost_per_byte numeric, cost_per_message numeric
        )) WITH ORDINALITY AS asked ORDER BY ordinality
    LOOP
        the_session := known[turn.ordinality];
        IF the_session IS NULL THEN
            -- Of two first messages of one visitor the second waits here and gets the session of
            -- the first. The messages of the first are not visible yet.
            INSERT INTO sessions (id, account_id, account_slug, agent_instance_id,
                    agent_instance_slug, session_key, end_user, user_id, is_anonymous, deleted_at)
                VALUES (turn.new_session_id, the_account, turn.account_slug, the_instance,
                    turn.agent_instance_slug, coalesce(turn.session_key, turn.new_session_key),
                    CASE WHEN coalesce(turn.is_stored, true) THEN turn.end_user END,
                    turn.staff_id, coalesce(turn.end_user, turn.staff_id::text) IS NULL,
                    CASE WHEN NOT coalesce(turn.is_stored, true) THEN now() END)
                ON CONFLICT (session_key, account_id) DO UPDATE
                    SET session_key = excluded.session_key
                    WHERE sessions.agent_instance_id = excluded.agent_instance_id
                RETURNING id INTO the_session;
            IF the_session IS NULL THEN
                RAISE EXCEPTION USING ERRCODE = 'SL404', MESSAGE = 'another agent''s session';
            END IF;
        END IF;
        -- The most that the turn may cost: the request itself, and what its history adds.
        most := least(999999999, round(turn.cost
            + turn.cost_per_byte * coalesce(bytes[turn.ordinality], 0)
            + turn.cost_per_message * coalesce(messages[turn.ordinality], 0), 8));
        the_sessions[turn.ordinality] := the_session;
        reserved[turn.ordinality] := most;
        total := total + most;
        opened := opened || jsonb_build_object(
            'session_id', the_session, 'history', coalesce(histories[turn.ordinality], '[]'),
            'reserved', most::text);
    END LOOP;
    FOR turn IN
        SELECT * FROM ROWS FROM (jsonb_to_recordset(turns) AS (
            request_id uuid, account_slug text, agent_instance_slug text, agent_type text,
            config_version_id uuid, provider text, model text, request_body jsonb, caller text,
            idempotency_key text, idempotency_hash text, is_test boolean, server_process_id uuid,
            message_id uuid, message text, message_role text, message_tools jsonb,
            is_stored boolean
        )) WITH ORDINALITY AS asked ORDER BY ordinality
    LOOP
        INSERT INTO llm_requests (id, account_id, account_slug, agent_instance_id,
                agent_instance_slug, agent_type, session_id, config_version_id, provider, model,
                request_body, completion_status, error_code, requests, tokens_estimated,
                cost_source, caller, idempotency_key, idempotency_hash, is_test,
                server_process_id, reserved_cost)
            VALUES (turn.request_id, the_account, turn.account_slug, the_instance,
                turn.agent_instance_slug, turn.agent_type, the_sessions[turn.ordinality],
                turn.config_version_id, turn.provider, turn.model,
                turn.request_body || jsonb_build_object(
                    'history_messages', coalesce(messages[turn.ordinality], 0),
                    'history_bytes', coalesce(bytes[turn.ordinality], 0)
                ),
                'running', '', 0, false, 'unknown', turn.caller, turn.idempotency_key,
                coalesce(turn.idempotency_hash, ''), turn.is_test, turn.server_process_id,
                reserved[turn.ordinality]);
        CONTINUE WHEN NOT coalesce(turn.is_stored, true);
        INSERT INTO messages (id, account_id, agent_instance_id, session_id, llm_request_id,
                config_version_id, role, content, meta)
            VALUES (turn.message_id, the_account, the_instance, the_sessions[turn.ordinality],
                turn.request_id, turn.config_version_id, coalesce(turn.message_role, 'human'),
                turn.message, CASE WHEN turn.message_tools IS NOT NULL
                    THEN jsonb_build_object('tools', turn.message_tools) END);
    END LOOP;

    limits := app_take_limits(the_account, the_instance, turns -> 0 -> 'rates',
        (turns -> 0 ->> 'most_turns')::integer, many, many, total, NULL);
    IF limits ->> 'refused' IS NOT NULL THEN
        -- The error rolls the statement back, with all rows that it has written.
        RAISE EXCEPTION USING ERRCODE = 'SL429', MESSAGE =
            (limits || jsonb_build_object('cost', total::text))::text;
    END IF;
    RETURN jsonb_build_object('each', opened, 'all', limits -> 'rates');
END
$$;
