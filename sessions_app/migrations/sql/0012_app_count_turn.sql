CREATE OR REPLACE FUNCTION app_count_turn(the_account uuid, the_request uuid) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    done llm_requests%ROWTYPE;
    bucket integer;
    buckets integer[];
BEGIN
    SELECT * INTO done FROM llm_requests WHERE account_id = the_account AND id = the_request;
    UPDATE sessions SET
            turn_count = turn_count + 1,
            total_cost = total_cost + coalesce(done.total_cost, 0),
            unpriced_turns = unpriced_turns + (done.total_cost IS NULL)::integer,
            last_status = done.completion_status
        WHERE account_id = the_account AND id = done.session_id;
    bucket := least(33, floor(2 * log(2, greatest(done.latency_ms, 1)))) + 1;
    buckets := array_fill(0, ARRAY[34]);
    IF done.latency_ms IS NOT NULL THEN
        buckets[bucket] := 1;
    END IF;
    INSERT INTO usage_days AS days (account_id, agent_instance_id, day, model, requests, failed,
            cancelled, unpriced, input_tokens, cached_tokens, output_tokens, cost, latency_ms,
            latency_buckets)
        VALUES (the_account, done.agent_instance_id,
            (coalesce(done.settled_at, done.created_at) AT TIME ZONE 'UTC')::date,
            done.provider || ':' || done.model, 1,
            (done.completion_status IN ('error', 'partial'))::integer,
            (done.completion_status = 'cancelled')::integer, (done.total_cost IS NULL)::integer,
            coalesce(done.prompt_tokens, 0), coalesce(done.cached_tokens, 0),
            coalesce(done.completion_tokens, 0), coalesce(done.total_cost, 0),
            coalesce(done.latency_ms, 0), buckets)
        ON CONFLICT (account_id, agent_instance_id, day, model) DO UPDATE SET
            requests = days.requests + 1,
            failed = days.failed + excluded.failed,
            cancelled = days.cancelled + excluded.cancelled,
            unpriced = days.unpriced + excluded.unpriced,
            input_tokens = days.input_tokens + excluded.input_tokens,
            cached_tokens = days.cached_tokens + excluded.cached_tokens,
            output_tokens = days.output_tokens + excluded.output_tokens,
            cost = days.cost + excluded.cost,
            latency_ms = days.latency_ms + excluded.latency_ms,
            latency_buckets[bucket] = days.latency_buckets[bucket]
                + (done.latency_ms IS NOT NULL)::integer;
END
$$;
