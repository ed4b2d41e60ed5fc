"""The statements that generate realistic rows: each one fills a table from numbers.

They name the columns that they need and leave the others to their defaults, so that new columns
need no change here. All values are hashes of the row's number, so two runs give the same rows.
"""

from __future__ import annotations

TURNS = 8
LONG_SESSION = "long-session"

# Ids as the application makes them: version 7, in the order of their time.
FUNCTIONS = """
    CREATE FUNCTION pg_temp.id_of(what text) RETURNS uuid IMMUTABLE LANGUAGE sql
        RETURN md5(what)::uuid;
    CREATE FUNCTION pg_temp.id_at(moment timestamptz, what text) RETURNS uuid
        IMMUTABLE LANGUAGE sql
        RETURN (
            lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0')
            || '7' || substr(md5(what), 1, 3) || '8' || substr(md5(what), 4, 15)
        )::uuid;
    -- Between 0 and 1, the same for the same number.
    CREATE FUNCTION pg_temp.drawn(number bigint, salt integer) RETURNS double precision
        IMMUTABLE LANGUAGE sql
        RETURN (hashint8(number * 31 + salt)::bigint + 2147483648) / 4294967296.0;
"""

ACCOUNTS = """
    INSERT INTO accounts (id, slug, name)
    SELECT pg_temp.id_of('account ' || n), 'account-' || n, 'Account ' || n
    FROM generate_series(1, %(accounts)s) AS n
"""

LIMITS = """
    INSERT INTO account_limits (account_id)
    SELECT pg_temp.id_of('account ' || n) FROM generate_series(1, %(accounts)s) AS n
"""

BUDGETS = """
    INSERT INTO budgets (id, account_id, period, "limit", period_start, alert_percents)
    SELECT gen_random_uuid(), pg_temp.id_of('account ' || n), period, 900000,
        date_trunc(period, %(until)s::timestamptz, 'UTC'), '{80,100}'
    FROM generate_series(1, %(accounts)s) AS n, unnest('{day,month}'::text[]) AS period
"""

RATE_STATES = """
    INSERT INTO rate_states (account_id, subject, arrival)
    SELECT pg_temp.id_of('account ' || n), subject, %(until)s
    FROM generate_series(1, %(accounts)s) AS n,
        unnest(ARRAY['account', 'key:' || lpad(n::text, 12, '0')]) AS subject
"""

API_KEYS = """
    INSERT INTO api_keys (id, account_id, name, key_id, secret_hash, kind, mode, scopes,
        instance_ids, origins, networks)
    SELECT gen_random_uuid(), pg_temp.id_of('account ' || n), 'server', lpad(n::text, 12, '0'),
        repeat('0', 64), 'secret', 'live', '{chat,history:read}', '{}', '{}', '{}'
    FROM generate_series(1, %(accounts)s) AS n
"""

USERS = """
    INSERT INTO users (id, email, password, first_name, last_name, is_superuser, is_staff,
        is_active, is_auditor, date_joined)
    SELECT pg_temp.id_of('user ' || n), 'owner-' || n || '@example.com', '!', '', '', false, false,
        true, false, %(until)s
    FROM generate_series(1, %(accounts)s) AS n
"""

MEMBERSHIPS = """
    INSERT INTO memberships (id, account_id, user_id, role)
    SELECT gen_random_uuid(), pg_temp.id_of('account ' || n), pg_temp.id_of('user ' || n), 'owner'
    FROM generate_series(1, %(accounts)s) AS n
"""

INSTANCES = """
    INSERT INTO agent_instances (id, account_id, instance_slug, agent_type, display_name,
        allowed_origins)
    SELECT pg_temp.id_of('instance ' || n || ' ' || i), pg_temp.id_of('account ' || n),
        'agent-' || i, 'simple_chat', 'Agent ' || i, '{}'
    FROM generate_series(1, %(accounts)s) AS n, generate_series(1, %(instances)s) AS i
"""

# The first one served the older half of the requests; the second one is in force.
VERSIONS = """
    INSERT INTO config_versions (id, account_id, agent_instance_id, digest, content,
        created_at, last_served_at)
    SELECT pg_temp.id_of('version ' || n || ' ' || i || ' ' || v), pg_temp.id_of('account ' || n),
        pg_temp.id_of('instance ' || n || ' ' || i), md5(v::text) || md5(i::text),
        jsonb_build_object('model', 'openai:gpt-4o-mini', 'system_prompt', 'Be brief.'),
        served, served
    FROM generate_series(1, %(accounts)s) AS n, generate_series(1, %(instances)s) AS i,
        generate_series(1, 2) AS v,
        LATERAL (SELECT %(until)s::timestamptz - (2 - v) * %(span)s::interval / 2) AS at (served)
"""

# A few accounts have most conversations: of 1,000 the largest has a tenth of all, the next one a
# quarter of that.
CONVERSATIONS = """
    CREATE TEMPORARY TABLE conversations ON COMMIT DROP AS
    SELECT n, account, instance, began, pg_temp.id_at(began, 'session ' || n) AS id,
        'session-' || n AS session_key, %(turns)s AS turns,
        pg_temp.id_of('account ' || account) AS account_id,
        pg_temp.id_of('instance ' || account || ' ' || instance) AS instance_id,
        pg_temp.id_of('version ' || account || ' ' || instance || ' '
            || 1 + (n * 2 > %(sessions)s)::integer) AS version_id
    FROM generate_series(1, %(sessions)s::bigint) AS n,
        LATERAL (
            SELECT 1 + floor(%(accounts)s * pg_temp.drawn(n, 1) ^ 3)::integer,
                1 + floor(%(instances)s * pg_temp.drawn(n, 2))::integer,
                %(until)s::timestamptz - %(span)s::interval
                    + (n - 1) * (%(span)s::interval - interval '15 minutes') / %(sessions)s
        ) AS chosen (account, instance, began)
"""

# One very long conversation, in the first account.
LONG_CONVERSATION = """
    INSERT INTO conversations
    SELECT %(sessions)s + 1, 1, 1, began, pg_temp.id_at(began, %(long_key)s), %(long_key)s,
        %(long_turns)s, pg_temp.id_of('account 1'), pg_temp.id_of('instance 1 1'),
        pg_temp.id_of('version 1 1 2')
    FROM (SELECT %(until)s::timestamptz - %(long_turns)s * interval '40 seconds') AS at (began)
    WHERE %(long_turns)s > 0
"""

SESSIONS = """
    INSERT INTO sessions (id, account_id, account_slug, agent_instance_id, agent_instance_slug,
        session_key, end_user, email, is_anonymous, created_at, updated_at, last_activity_at)
    SELECT id, account_id, 'account-' || account, instance_id, 'agent-' || instance, session_key,
        CASE WHEN n %% 3 = 0 THEN 'user-' || n %% 1000 END,
        CASE WHEN n %% 5 = 0 THEN 'visitor-' || n || '@example.com' END,
        n %% 3 <> 0, began, ended, ended
    FROM conversations, LATERAL (SELECT began + turns * interval '40 seconds') AS at (ended)
    ORDER BY n
"""

REQUESTS = """
    INSERT INTO llm_requests (id, account_id, account_slug, agent_instance_id,
        agent_instance_slug, agent_type, session_id, config_version_id, provider, model,
        request_body, response_body, completion_status, error_code, requests, prompt_tokens,
        cached_tokens, completion_tokens, total_tokens, prompt_cost, completion_cost, total_cost,
        cost_source, latency_ms, time_to_first_token_ms, caller, idempotency_key, idempotency_hash,
        reserved_cost, charged_cost, created_at, settled_at)
    SELECT pg_temp.id_at(asked_at, 'request ' || number), account_id, 'account-' || account,
        instance_id, 'agent-' || instance, 'simple_chat', id, version_id, 'openai',
        (ARRAY['gpt-4o-mini', 'gpt-4o-mini', 'gpt-4o', 'gpt-4.1-mini'])[1 + number %% 4],
        '{"model": "openai:gpt-4o-mini", "tools": [], "max_tokens": 1024, "temperature": 0.7}',
        '{"calls": [{"provider": "openai", "model": "gpt-4o-mini", "error": "", "attempts": 1}]}',
        CASE WHEN luck < 96 THEN 'complete' WHEN luck < 98 THEN 'error' WHEN luck < 99
            THEN 'partial' ELSE 'cancelled' END,
        CASE WHEN luck < 96 THEN '' WHEN luck < 98 THEN 'provider_unavailable' WHEN luck < 99
            THEN 'time_limit' ELSE 'client_left' END,
        1, read, 0, written, read + written, read * 0.00000015, written * 0.0000006, cost,
        'genai-prices', latency, latency / 4, 'key:' || lpad(account::text, 12, '0'),
        CASE WHEN number %% 20 = 0 THEN 'sent-' || number END, '', cost * 2, cost, asked_at,
        asked_at + latency * interval '1 millisecond'
    FROM conversations, generate_series(1, turns) AS turn,
        LATERAL (
            SELECT (n - 1) * %(turns)s + turn, began + (turn - 1) * interval '40 seconds'
        ) AS at (number, asked_at),
        LATERAL (
            SELECT 200 + number * 7919 %% 4000, 20 + number * 104729 %% 600,
                300 + (number * 15485863 %% 9000)::integer, number * 7907 %% 100
        ) AS drawn (read, written, latency, luck),
        LATERAL (SELECT read * 0.00000015 + written * 0.0000006) AS spent (cost)
    ORDER BY n, turn
"""

# Only the latest conversations have messages; the long one has all of its messages.
MESSAGES = """
    INSERT INTO messages (id, account_id, agent_instance_id, session_id, llm_request_id,
        config_version_id, role, content, created_at)
    SELECT pg_temp.id_at(sent_at, role || number), account_id, instance_id, id,
        pg_temp.id_at(asked_at, 'request ' || number), version_id, role,
        CASE role
            WHEN 'human' THEN 'Where is my ' || thing || ' of order ' || number || '?'
            ELSE 'Your ' || thing || repeat(' is on its way, and it will be with you soon.', 6)
        END,
        sent_at
    FROM conversations, generate_series(1, turns) AS turn,
        LATERAL (
            SELECT (n - 1) * %(turns)s + turn, began + (turn - 1) * interval '40 seconds'
        ) AS at (number, asked_at),
        LATERAL (
            SELECT (ARRAY['parcel', 'refund', 'invoice', 'lamp', 'table', 'ticket'])[
                1 + number %% 6]
        ) AS about (thing),
        LATERAL (
            VALUES ('human', asked_at), ('assistant', asked_at + interval '3 seconds')
        ) AS side (role, sent_at)
    WHERE n > %(sessions)s - %(with_messages)s
    ORDER BY n, sent_at
"""

# As app_count_turns counts turns: 34 buckets, each √2 wider than the one before.
_BUCKETS = ", ".join(f"count(*) FILTER (WHERE bucket = {n})" for n in range(34))
USAGE_DAYS = f"""
    INSERT INTO usage_days (account_id, agent_instance_id, day, model, requests, failed, cancelled,
        unpriced, input_tokens, cached_tokens, output_tokens, cost, latency_ms, latency_buckets)
    SELECT account_id, agent_instance_id, day, counted.model, count(*),
        count(*) FILTER (WHERE completion_status IN ('error', 'partial')),
        count(*) FILTER (WHERE completion_status = 'cancelled'),
        count(*) FILTER (WHERE total_cost IS NULL), sum(prompt_tokens), sum(cached_tokens),
        sum(completion_tokens), sum(total_cost), sum(latency_ms), ARRAY[{_BUCKETS}]
    FROM llm_requests, LATERAL (
        SELECT (settled_at AT TIME ZONE 'UTC')::date, provider || ':' || llm_requests.model,
            least(33, floor(2 * ln(greatest(latency_ms, 1)::float8) / ln(2::float8)))
        -- So that it is not computed once for each bucket.
        OFFSET 0
    ) AS counted (day, model, bucket)
    WHERE settled_at IS NOT NULL
    GROUP BY account_id, agent_instance_id, day, counted.model
"""  # noqa: S608 - fixed numbers
