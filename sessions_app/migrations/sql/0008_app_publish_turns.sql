-- Writes turn.finished of settled turns into the outbox of the account's webhooks.
--
-- ids   of llm_requests
--
-- Locks: new webhook_deliveries rows. Raises: nothing of its own.
CREATE OR REPLACE FUNCTION app_publish_turns(the_account uuid, ids uuid[]) RETURNS void
LANGUAGE sql AS $$
    SELECT app_publish(
        the_account,
        'turn.finished',
        'msg_' || replace(request.id::text, '-', ''),
        jsonb_build_object(
            'turn_id', request.id,
            'session_id', request.session_id,
            'message_id', (
                SELECT id FROM messages
                WHERE messages.account_id = the_account
                    AND messages.llm_request_id = request.id AND role = 'assistant'
                LIMIT 1
            ),
            'agent', request.agent_instance_slug,
            'agent_id', request.agent_instance_id,
            'config_version_id', request.config_version_id,
            'end_user', sessions.end_user,
            'is_test', request.is_test,
            'status', request.completion_status,
            'error_code', nullif(request.error_code, ''),
            'provider', request.provider,
            'model', request.model,
            'model_calls', request.requests,
            'input_tokens', request.prompt_tokens,
            'cached_tokens', request.cached_tokens,
            'output_tokens', request.completion_tokens,
            'total_tokens', request.total_tokens,
            'tokens_estimated', request.tokens_estimated,
            'cost', request.total_cost::text,
            'cost_source', request.cost_source,
            'latency_ms', request.latency_ms,
            'time_to_first_token_ms', request.time_to_first_token_ms
        )
    )
    FROM llm_requests AS request
    JOIN sessions ON sessions.account_id = the_account AND sessions.id = request.session_id
    WHERE request.account_id = the_account AND request.id = ANY (ids)
$$;
