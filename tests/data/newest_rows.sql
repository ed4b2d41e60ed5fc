-- Rows as the old application left them at revision a7b8c9d0e1f2, with what was odd about them.

INSERT INTO sessions (id, session_key, email, is_anonymous, created_at, last_activity_at, meta,
    account_id, account_slug, agent_instance_id, user_id, agent_instance_slug, updated_at)
SELECT ('00000000-0000-4000-8000-1000' || lpad(n::text, 8, '0'))::uuid, md5('key' || n),
    CASE WHEN n % 3 = 0 THEN 'p' || n || '@example.com' END, n % 3 <> 0,
    '2025-02-01'::timestamptz + n * interval '1 hour', '2025-02-01'::timestamptz + n * interval '2 hours',
    CASE WHEN n % 5 = 0 THEN jsonb_build_object('n', n) END,
    -- Every sixth has no owner; of half of these a message tells the agent.
    CASE WHEN n % 6 <> 0 THEN a.account_id END,
    CASE WHEN n % 4 = 0 THEN 'formerly' ELSE t.slug END,
    CASE WHEN n % 6 <> 0 THEN a.id END,
    CASE WHEN n % 7 = 0 THEN md5('user' || n)::uuid END,
    -- One has its slugs.
    CASE WHEN n % 6 <> 0 OR n = 6 THEN a.instance_slug END,
    '2025-03-01'
FROM generate_series(1, 60) AS n
JOIN agent_instances AS a ON a.id = ('00000000-0000-4000-8000-00000000a90' || 1 + n % 3)::uuid
JOIN accounts AS t ON t.id = a.account_id;

INSERT INTO llm_requests (id, session_id, provider, model, request_body, response_body,
    prompt_tokens, completion_tokens, total_tokens, prompt_cost, completion_cost, total_cost,
    latency_ms, created_at, account_id, account_slug, agent_instance_id, agent_instance_slug,
    agent_type, completion_status, meta, assembled_prompt)
SELECT ('00000000-0000-4000-8000-2' || lpad(s.n::text, 6, '0') || lpad(r::text, 5, '0'))::uuid, s.id,
    'openrouter', 'x-ai/grok-4', CASE r WHEN 1 THEN '{"messages": []}'::jsonb WHEN 2 THEN '[1]' END,
    NULL, 10 * r, r, 11 * r, 0.00000100, 0.00000200, CASE WHEN r <> 3 THEN 0.00000300 END,
    100 * r, s.created_at + r * interval '1 minute', s.account_id, s.account_slug,
    s.agent_instance_id, s.agent_instance_slug, CASE WHEN r = 1 THEN 'simple_chat' END,
    (ARRAY['completed', 'Failed', NULL, 'partial'])[r],
    CASE WHEN r < 3 THEN '{"temperature": 1}'::jsonb END, CASE WHEN r = 2 THEN 'You are kind.' END
FROM (SELECT *, row_number() OVER (ORDER BY id) AS n FROM sessions) AS s, generate_series(1, 4) AS r;

INSERT INTO messages (id, session_id, role, content, meta, created_at, agent_instance_id,
    llm_request_id)
SELECT gen_random_uuid(), r.session_id, CASE m WHEN 1 THEN 'Human' ELSE 'assistant' END,
    'text ' || m || ' of ' || r.id, NULL, r.created_at + m * interval '1 second',
    coalesce(r.agent_instance_id, '00000000-0000-4000-8000-00000000a903'), r.id
FROM llm_requests AS r JOIN sessions AS s ON s.id = r.session_id, generate_series(1, 2) AS m
-- The sessions without an owner and with an odd number of the hour have no message.
WHERE s.agent_instance_id IS NOT NULL OR extract(hour FROM s.created_at)::int % 4 = 0;

INSERT INTO profiles (id, session_id, customer_name, products_of_interest, preferences, updated_at)
SELECT gen_random_uuid(), id, 'Person ' || email, ARRAY['a', 'b'], '{"x": 1}', '2025-03-01'
FROM sessions WHERE email IS NOT NULL;

INSERT INTO directory_lists (id, account_id, list_name, entry_type)
VALUES ('00000000-0000-4000-8000-00000000d101', '00000000-0000-4000-8000-00000000ac01', 'doctors',
    'person');
INSERT INTO directory_entries (directory_list_id, name, tags)
SELECT '00000000-0000-4000-8000-00000000d101', 'Doctor ' || n, ARRAY['x']
FROM generate_series(1, 5) AS n;
