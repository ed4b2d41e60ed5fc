-- Counts what the ledger says about a period: a new budget starts with these amounts.
--
-- the_account, the_instance   whose requests; the_instance null: of all agents
-- since                       when the period began
-- Returns spent (settled requests) and reserved (running requests), in USD.
-- Locks: none; the caller holds the account's account_limits row. Raises: nothing of its own.
CREATE OR REPLACE FUNCTION app_count_budget(
    the_account uuid, the_instance uuid, since timestamptz, OUT spent numeric, OUT reserved numeric
) LANGUAGE plpgsql AS $$
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
