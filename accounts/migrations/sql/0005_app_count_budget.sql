CREATE OR REPLACE FUNCTION app_count_budget(
    the_account uuid, the_instance uuid, since timestamptz, OUT spent numeric, OUT reserved numeric
) LANGUAGE plpgsql AS $$
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
