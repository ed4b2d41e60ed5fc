-- Superseded, kept for servers that run while a newer version migrates. See
-- sessions_app/sql/app_count_turns.sql.
-- Called by a settlement that began before sessions_app.0021.
CREATE OR REPLACE FUNCTION app_count_usage(
    the_account uuid, the_instance uuid, the_day date, turn jsonb
) RETURNS void LANGUAGE plpgsql AS $$
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
