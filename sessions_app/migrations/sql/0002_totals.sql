-- Sums the days that are over: by model for all accounts, and by account for all models.
INSERT INTO usage_totals (id, day, account_id, model, requests, failed, cancelled, unpriced,
        input_tokens, cached_tokens, output_tokens, cost, latency_ms, latency_buckets)
    SELECT gen_random_uuid(), day, NULL, model, sum(requests), sum(failed), sum(cancelled), sum(unpriced),
        sum(input_tokens), sum(cached_tokens), sum(output_tokens), sum(cost), sum(latency_ms),
        ARRAY[
            sum(latency_buckets[1]), sum(latency_buckets[2]), sum(latency_buckets[3]),
            sum(latency_buckets[4]), sum(latency_buckets[5]), sum(latency_buckets[6]),
            sum(latency_buckets[7]), sum(latency_buckets[8]), sum(latency_buckets[9]),
            sum(latency_buckets[10]), sum(latency_buckets[11]), sum(latency_buckets[12]),
            sum(latency_buckets[13]), sum(latency_buckets[14]), sum(latency_buckets[15]),
            sum(latency_buckets[16]), sum(latency_buckets[17]), sum(latency_buckets[18]),
            sum(latency_buckets[19]), sum(latency_buckets[20]), sum(latency_buckets[21]),
            sum(latency_buckets[22]), sum(latency_buckets[23]), sum(latency_buckets[24]),
            sum(latency_buckets[25]), sum(latency_buckets[26]), sum(latency_buckets[27]),
            sum(latency_buckets[28]), sum(latency_buckets[29]), sum(latency_buckets[30]),
            sum(latency_buckets[31]), sum(latency_buckets[32]), sum(latency_buckets[33]),
            sum(latency_buckets[34])
        ]
    FROM usage_days WHERE day < (now() AT TIME ZONE 'UTC')::date - 1 GROUP BY day, model
    UNION ALL
    SELECT gen_random_uuid(), day, account_id, '', sum(requests), sum(failed), sum(cancelled), sum(unpriced),
        sum(input_tokens), sum(cached_tokens), sum(output_tokens), sum(cost), sum(latency_ms), '{}'
    FROM usage_days WHERE day < (now() AT TIME ZONE 'UTC')::date - 1 GROUP BY day, account_id;
