-- Conversations from before tenancy: nulls, empty texts, JSON's null, empty arrays, the largest
-- and the smallest cost. The same rows on each run.

-- Ids of version 7 and 4 in turn, always the same for one kind and number.
CREATE FUNCTION pg_temp.id(kind TEXT, n INTEGER) RETURNS UUID LANGUAGE sql AS $$
    SELECT overlay(
        overlay(md5(kind || n) PLACING (CASE n % 2 WHEN 0 THEN '7' ELSE '4' END) FROM 13)
        PLACING 'a' FROM 17
    )::uuid
$$;

INSERT INTO sessions (id, session_key, email, is_anonymous, created_at, last_activity_at, meta)
SELECT
    pg_temp.id('session', n),
    md5('key' || n),
    CASE WHEN n % 3 = 0 THEN 'visitor' || n || '@example.com' END,
    n % 3 <> 0,
    TIMESTAMPTZ '2025-01-01 08:00:00.123456+00' + n * INTERVAL '7 hours',
    TIMESTAMPTZ '2025-01-01 09:00:00+00' + n * INTERVAL '7 hours',
    CASE n % 4
        WHEN 0 THEN NULL
        WHEN 1 THEN 'null'::jsonb
        WHEN 2 THEN '{}'::jsonb
        ELSE jsonb_build_object('agent', 'Zürich “ü” 🦜', 'visits', n, 'tags', '["a", null, 1.50]'::jsonb)
    END
FROM generate_series(1, 120) AS n;

INSERT INTO messages (id, session_id, role, content, meta, created_at)
SELECT
    pg_temp.id('message', n),
    pg_temp.id('session', 1 + n % 100),
    (ARRAY['human', 'assistant', 'human', 'assistant', 'system', 'tool', 'developer'])[1 + n % 7],
    CASE n % 50
        WHEN 0 THEN ''
        WHEN 1 THEN E'two\nlines, a \\ and a "quote"'
        WHEN 2 THEN repeat('A long answer. ', 2000)
        ELSE 'Message ' || n || ', with ümlauts and 日本語'
    END,
    CASE n % 3 WHEN 0 THEN jsonb_build_object('citations', jsonb_build_array(n, 'x')) END,
    TIMESTAMPTZ '2025-01-01 08:00:01+00' + n * INTERVAL '61 minutes'
FROM generate_series(1, 600) AS n;

INSERT INTO llm_requests (
    id, session_id, provider, model, request_body, response_body, prompt_tokens, completion_tokens,
    total_tokens, unit_cost_prompt, unit_cost_completion, computed_cost, latency_ms, created_at
)
SELECT
    pg_temp.id('request', n),
    pg_temp.id('session', 1 + n % 100),
    (ARRAY['openrouter', 'openai'])[1 + n % 2],
    (ARRAY['anthropic/claude-3.5-sonnet', 'gpt-4o-mini', 'deepseek/deepseek-chat'])[1 + n % 3],
    CASE WHEN n % 4 > 0 THEN jsonb_build_object('temperature', 0.3, 'messages', '[{"role": "user"}]'::jsonb) END,
    CASE WHEN n % 5 > 0 THEN '{"choices": [{"finish_reason": "stop"}], "usage": null}'::jsonb END,
    NULLIF(n % 7, 0) * 113,
    NULLIF(n % 7, 0) * 17,
    NULLIF(n % 7, 0) * 130,
    CASE n % 6 WHEN 0 THEN NULL WHEN 1 THEN 0.000001 ELSE n * 0.000003 END,
    CASE n % 6 WHEN 0 THEN NULL WHEN 1 THEN 0.000015 ELSE n * 0.000012 END,
    CASE n % 6 WHEN 0 THEN NULL WHEN 1 THEN 0 WHEN 2 THEN 9999.999999 ELSE n * 0.001234 END,
    NULLIF(n % 9, 0) * 211,
    TIMESTAMPTZ '2025-01-01 08:00:02+00' + n * INTERVAL '3 hours'
FROM generate_series(1, 250) AS n;

INSERT INTO profiles (
    id, session_id, customer_name, phone, email, address_street, address_city, address_state,
    address_zip, products_of_interest, services_of_interest, preferences, updated_at
)
SELECT
    pg_temp.id('profile', n),
    pg_temp.id('session', n),
    CASE WHEN n % 5 > 0 THEN 'Ann O''Neil ' || n END,
    CASE WHEN n % 2 = 0 THEN '+1 555 0100' END,
    CASE WHEN n % 3 = 0 THEN 'visitor' || n || '@example.com' END,
    CASE WHEN n % 4 = 0 THEN n || ' Main Street' END,
    CASE WHEN n % 4 = 0 THEN 'Springfield' END,
    CASE WHEN n % 4 = 0 THEN 'OH' END,
    CASE WHEN n % 4 = 0 THEN '04503' END,
    CASE n % 3 WHEN 0 THEN NULL WHEN 1 THEN ARRAY[]::varchar[] ELSE ARRAY['sofa', 'lamp, tall', NULL, ''] END,
    CASE n % 2 WHEN 0 THEN ARRAY['delivery'] END,
    CASE n % 3 WHEN 0 THEN '{"colour": "blue", "budget": 1200.50}'::jsonb END,
    TIMESTAMPTZ '2025-02-01 00:00:00+00' + n * INTERVAL '1 day'
FROM generate_series(1, 60) AS n;
