-- Counts the turns that there are: by day, agent and model, and in each session.
INSERT INTO usage_days (account_id, agent_instance_id, day, model, requests, failed, cancelled,
        unpriced, input_tokens, cached_tokens, output_tokens, cost, latency_ms, latency_buckets)
    SELECT account_id, agent_instance_id, day, model, sum(n), sum(failed), sum(cancelled),
        sum(unpriced), sum(input_tokens), sum(cached_tokens), sum(output_tokens), sum(cost),
        sum(latency_ms),
        ARRAY[
            coalesce(sum(n) FILTER (WHERE bucket = 0), 0), coalesce(sum(n) FILTER (WHERE bucket = 1), 0),
            coalesce(sum(n) FILTER (WHERE bucket = 2), 0), coalesce(sum(n) FILTER (WHERE bucket = 3), 0),
            coalesce(sum(n) FILTER (WHERE bucket = 4), 0), coalesce(sum(n) FILTER (WHERE bucket = 5), 0),
            coalesce(sum(n) FILTER (WHERE bucket = 6), 0), coalesce(sum(n) FILTER (WHERE bucket = 7), 0),
            coalesce(sum(n) FILTER (WHERE bucket = 8), 0), coalesce(sum(n) FILTER (WHERE bucket = 9), 0),
            coalesce(sum(n) FILTER (WHERE bucket = 10), 0), coalesce(sum(n) FILTER (WHERE bucket = 11), 0),
            coalesce(sum(n) FILTER (WHERE bucket = 12), 0), coalesce(sum(n) FILTER (WHERE bucket = 13), 0),
            coalesce(sum(n) FILTER (WHERE bucket = 14), 0), coalesce(sum(n) FILTER (WHERE bucket = 15), 0),
            coalesce(sum(n) FILTER (WHERE bucket = 16), 0), coalesce(sum(n) FILTER (WHERE bucket = 17), 0),
            coalesce(sum(n) FILTER (WHERE bucket = 18), 0), coalesce(sum(n) FILTER (WHERE bucket = 19), 0),
            coalesce(sum(n) FILTER (WHERE bucket = 20), 0), coalesce(sum(n) FILTER (WHERE bucket = 21), 0),
            coalesce(sum(n) FILTER (WHERE bucket = 22), 0), coalesce(sum(n) FILTER (WHERE bucket = 23), 0),
            coalesce(sum(n) FILTER (WHERE bucket = 24), 0), coalesce(sum(n) FILTER (WHERE bucket = 25), 0),
            coalesce(sum(n) FILTER (WHERE bucket = 26), 0), coalesce(sum(n) FILTER (WHERE bucket = 27), 0),
            coalesce(sum(n) FILTER (WHERE bucket = 28), 0), coalesce(sum(n) FILTER (WHERE bucket = 29), 0),
            coalesce(sum(n) FILTER (WHERE bucket = 30), 0), coalesce(sum(n) FILTER (WHERE bucket = 31), 0),
            coalesce(sum(n) FILTER (WHERE bucket = 32), 0), coalesce(sum(n) FILTER (WHERE bucket = 33), 0)
        ]
    FROM (
        SELECT account_id, agent_instance_id,
            (coalesce(settled_at, created_at) AT TIME ZONE 'UTC')::date AS day,
            provider || ':' || model AS model,
            -- A bucket is twice as wide as the second before it, in milliseconds.
            width_bucket(latency_ms, ARRAY[
                2, 2, 3, 4, 6, 8, 12, 16, 23, 32, 46, 64, 91, 128, 182, 256, 363, 512, 725, 1024,
                1449, 2048, 2897, 4096, 5793, 8192, 11586, 16384, 23171, 32768, 46341, 65536, 92682
            ]) AS bucket,
            count(*) AS n,
            count(*) FILTER (WHERE completion_status IN ('error', 'partial')) AS failed,
            count(*) FILTER (WHERE completion_status = 'cancelled') AS cancelled,
            count(*) FILTER (WHERE total_cost IS NULL) AS unpriced,
            coalesce(sum(prompt_tokens), 0) AS input_tokens,
            coalesce(sum(cached_tokens), 0) AS cached_tokens,
            coalesce(sum(completion_tokens), 0) AS output_tokens,
            coalesce(sum(total_cost), 0) AS cost,
            coalesce(sum(latency_ms), 0) AS latency_ms
        FROM llm_requests
        WHERE completion_status <> 'running'
        GROUP BY 1, 2, 3, 4, 5
    ) AS parts
    GROUP BY account_id, agent_instance_id, day, model;
UPDATE sessions SET (turn_count, total_cost, unpriced_turns, last_status) = (
        SELECT count(*), coalesce(sum(total_cost), 0), count(*) FILTER (WHERE total_cost IS NULL),
            (array_agg(completion_status
                ORDER BY coalesce(settled_at, created_at) DESC, created_at DESC, id DESC))[1]
        FROM llm_requests
        WHERE llm_requests.account_id = sessions.account_id
            AND llm_requests.session_id = sessions.id AND completion_status <> 'running'
    )
    WHERE EXISTS (
        SELECT FROM llm_requests
        WHERE llm_requests.session_id = sessions.id AND completion_status <> 'running'
    );
