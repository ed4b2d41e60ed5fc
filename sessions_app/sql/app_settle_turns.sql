-- Settles turns of one account and one agent: all of them, or none.
--
-- For each turn it writes the result to its llm_requests row and its session, and stores the
-- answer; then it gives the limits back, adds the turns to usage_days and writes turn.finished
-- for the account's webhooks.
--
-- turns: [{
--     "agent_instance_id",                     equal in all turns
--     "session_id", "request_id", "config_version_id", "answer_id",
--     "answer",                                text, or null: no message is stored
--     "answer_tools",                          optional: kept as the message's meta -> tools
--     "provider", "model", "completion_status", "error_code", "requests",
--     "prompt_tokens", "completion_tokens", "cached_tokens", "total_tokens", "tokens_estimated",
--     "prompt_cost", "completion_cost", "total_cost", "cost_source",   USD
--     "charged_cost",                          USD, counts against budgets
--     "reserved",                              USD, as app_open_turns returned it
--     "latency_ms", "time_to_first_token_ms", "response_body",
--     "note_use"                               whether to set the agent's last_used_at
-- }]
-- Returns {"all": {"moment", "alerts"}} of app_release_limits.
--
-- Locks, in this order: “turns” of the agent, shared (accounts/tenancy/locks.py); sessions by id; llm_requests; new messages; the agent_instances row (with
-- note_use); those of app_release_limits; usage_days rows by model; new
-- webhook_deliveries rows. With more than one turn a locked session is not waited for (55P03): the
-- caller settles them one by one.
-- Raises: SL409 a turn was settled before; 55P03.
--
-- Sequential scans are off: see app_open_turns.sql.
CREATE OR REPLACE FUNCTION app_settle_turns(the_account uuid, turns jsonb) RETURNS jsonb
LANGUAGE plpgsql SET enable_seqscan = off AS $$
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
    -- A rename has this lock of each of its agents alone, before it locks the account or the agent.
    PERFORM pg_advisory_xact_lock_shared(hashtextextended('turns/' || the_instance, 0));
    -- One turn alone locks its session where it writes it.
    IF many > 1 THEN
        -- For rows only: the lock for extending a table is short, and worth waiting for.
        PERFORM set_config('lock_timeout', '1ms', true);
        FOR turn IN
            SELECT * FROM jsonb_to_recordset(turns) AS asked (session_id uuid) ORDER BY session_id
        LOOP
            PERFORM FROM sessions WHERE account_id = the_account AND id = turn.session_id
                FOR NO KEY UPDATE;
        END LOOP;
        PERFORM set_config('lock_timeout', caller_timeout, true);
    END IF;

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
            config_version_id, role, content, meta)
        SELECT answer_id, the_account, the_instance, session_id, request_id, config_version_id,
            'assistant', answer,
            CASE WHEN answer_tools IS NOT NULL
                THEN jsonb_build_object('tools', answer_tools) END
        FROM jsonb_to_recordset(turns) AS asked (
            answer_id uuid, session_id uuid, request_id uuid, config_version_id uuid, answer text,
            answer_tools jsonb
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
    -- All that an account without webhooks pays.
    IF EXISTS (
        SELECT FROM webhook_endpoints
        WHERE account_id = the_account AND is_enabled AND 'turn.finished' = ANY (events)
    ) THEN
        PERFORM app_publish_turns(the_account, array_agg(request_id))
            FROM jsonb_to_recordset(turns) AS asked (request_id uuid);
    END IF;
    RETURN jsonb_build_object('all', released);
END
$$;
