-- As sql/app_publish_turns.sql does, in the words that Citus' planner sends to one worker: each
-- statement writes one row of VALUES, or has account_id = a variable; no INSERT … SELECT, no CTE that
-- writes, nothing STABLE over a column. tests/schema/test_cluster_functions.py compares the two.
-- Locks: new webhook_deliveries rows. Raises: nothing of its own.
CREATE OR REPLACE FUNCTION app_publish_turns(the_account uuid, ids uuid[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    the_request uuid;
    the_message uuid;
    done record;
BEGIN
    FOREACH the_request IN ARRAY ids LOOP
        SELECT request.*, sessions.end_user INTO done FROM llm_requests AS request
            JOIN sessions ON sessions.account_id = request.account_id
                AND sessions.id = request.session_id
            WHERE request.account_id = the_account AND request.id = the_request;
        SELECT id INTO the_message FROM messages
            WHERE account_id = the_account AND llm_request_id = the_request
                AND role = 'assistant' LIMIT 1;
        PERFORM app_publish(
            the_account,
            'turn.finished',
            'msg_' || replace(done.id::text, '-', ''),
            jsonb_build_object(
                'turn_id', done.id,
                'session_id', done.session_id,
                'message_id', the_message,
                'agent', done.agent_instance_slug,
                'agent_id', done.agent_instance_id,
                'config_version_id', done.config_version_id,
                'end_user', done.end_user,
                'is_test', done.is_test,
                'status', done.completion_status,
                'error_code', nullif(done.error_code, ''),
                'provider', done.provider,
                'model', done.model,
                'model_calls', done.requests,
                'input_tokens', done.prompt_tokens,
                'cached_tokens', done.cached_tokens,
                'output_tokens', done.completion_tokens,
                'total_tokens', done.total_tokens,
                'tokens_estimated', done.tokens_estimated,
                'cost', done.total_cost::text,
                'cost_source', done.cost_source,
                'latency_ms', done.latency_ms,
                'time_to_first_token_ms', done.time_to_first_token_ms
            )
        );
    END LOOP;
END
$$;
