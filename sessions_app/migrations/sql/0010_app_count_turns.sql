-- Adds settled turns to the rows of their day in usage_days, one row for each model.
--
-- the_account, the_instance, the_day   whose row
-- turns   [{"provider", "model", "completion_status", "total_cost", "prompt_tokens",
--         "cached_tokens", "completion_tokens", "latency_ms"}]
-- latency_buckets has 34 counters; the bounds are milliseconds, each √2 times the one before
-- (sessions_app/usage/rollup.py has the same).
--
-- A turn alone, whose row exists, takes one plain UPDATE: a third of what summing costs.
-- Locks: the usage_days rows, by model. The caller holds the account's account_limits row, so
-- nobody else writes them. Raises: nothing of its own.
CREATE OR REPLACE FUNCTION app_count_turns(
    the_account uuid, the_instance uuid, the_day date, turns jsonb
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    bounds CONSTANT integer[] := ARRAY[
        2, 2, 3, 4, 6, 8, 12, 16, 23, 32, 46, 64, 91, 128, 182, 256, 363, 512, 725,
        1024, 1449, 2048, 2897, 4096, 5793, 8192, 11586, 16384, 23171, 32768, 46341,
        65536, 92682
    ];
    used record;
    bucket integer;
    added integer[];
BEGIN
    IF jsonb_array_length(turns) = 1 THEN
        SELECT * INTO used FROM jsonb_to_recordset(turns) AS asked (
            provider text, model text, completion_status text, total_cost numeric(20, 8),
            prompt_tokens integer, cached_tokens integer, completion_tokens integer,
            latency_ms integer
        );
        bucket := width_bucket(used.latency_ms, bounds) + 1;
        IF bucket IS NOT NULL THEN
            UPDATE usage_days SET
                    requests = requests + 1,
                    failed = failed + (used.completion_status IN ('error', 'partial'))::integer,
                    cancelled = cancelled + (used.completion_status = 'cancelled')::integer,
                    unpriced = unpriced + (used.total_cost IS NULL)::integer,
                    input_tokens = input_tokens + coalesce(used.prompt_tokens, 0),
                    cached_tokens = cached_tokens + coalesce(used.cached_tokens, 0),
                    output_tokens = output_tokens + coalesce(used.completion_tokens, 0),
                    cost = cost + coalesce(used.total_cost, 0),
                    latency_ms = latency_ms + used.latency_ms,
                    latency_buckets[bucket] = latency_buckets[bucket] + 1
                WHERE account_id = the_account AND agent_instance_id = the_instance
                    AND day = the_day AND model = used.provider || ':' || used.model;
            IF FOUND THEN
                RETURN;
            END IF;
        END IF;
    END IF;

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
            array_agg(width_bucket(latency_ms, bounds) + 1)
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
