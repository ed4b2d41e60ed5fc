CREATE OR REPLACE FUNCTION app_take_limits(
    the_account uuid,
    the_instance uuid,
    policies text[],
    subjects text[],
    quotas integer[],
    most_turns integer,
    is_turn boolean,
    cost numeric,
    moment timestamptz
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    mine account_limits%ROWTYPE;
    short budgets%ROWTYPE;
    arrived timestamptz;
    quota bigint;
    step bigint;
    ahead bigint;
    arrivals timestamptz[] := '{}';
    rates jsonb := '[]';
    refused text;
    facts jsonb := '{}';
BEGIN
    -- All that an account takes and gives back waits here, so nothing else can wait in a circle.
    SELECT * INTO mine FROM account_limits WHERE account_id = the_account FOR UPDATE;
    IF NOT FOUND THEN
        INSERT INTO account_limits (account_id) VALUES (the_account) ON CONFLICT DO NOTHING;
        SELECT * INTO mine FROM account_limits WHERE account_id = the_account FOR UPDATE;
    END IF;
    moment := coalesce(moment, clock_timestamp());

    FOR i IN 1 .. cardinality(policies) LOOP
        quota := coalesce(
            CASE policies[i]
                WHEN 'account' THEN mine.requests_per_minute
                WHEN 'key' THEN mine.requests_per_minute_per_key
                WHEN 'visitor' THEN mine.requests_per_minute_per_visitor
                WHEN 'network' THEN mine.requests_per_minute_per_network
            END,
            quotas[i]
        );
        -- Whole microseconds, as timestamps have them: the sums are exact.
        step := ceil(60000000.0 / greatest(quota, 1));
        SELECT arrival INTO arrived FROM rate_states
            WHERE account_id = the_account AND subject = subjects[i];
        ahead := greatest(0, extract(epoch FROM arrived - moment) * 1000000);
        IF ahead + step > quota * step THEN
            refused := 'rate_limited';
        END IF;
        arrivals := arrivals || (moment + (ahead + step) * interval '1 microsecond');
        rates := rates || jsonb_build_object(
            'policy', policies[i], 'quota', quota, 'step', step, 'ahead', ahead
        );
    END LOOP;

    IF refused IS NULL AND is_turn
        AND mine.running >= coalesce(mine.concurrent_turns, most_turns) THEN
        refused := 'too_many_turns';
        facts := jsonb_build_object('limit', coalesce(mine.concurrent_turns, most_turns));
    END IF;

    IF refused IS NULL AND cost > 0 THEN
        UPDATE budgets
            SET period_start = date_trunc(period, moment, 'UTC'), spent = 0, alerted_percent = 0
            WHERE account_id = the_account AND period_start < date_trunc(period, moment, 'UTC');
        SELECT * INTO short FROM budgets
            WHERE account_id = the_account
                AND coalesce(agent_instance_id, the_instance) = the_instance
                AND "limit" - spent - reserved < cost
            ORDER BY "limit" - spent - reserved, period DESC, agent_instance_id
            LIMIT 1;
        IF FOUND THEN
            refused := 'budget_exceeded';
            facts := jsonb_build_object(
                'instance', short.agent_instance_id, 'period', short.period,
                'period_start', short.period_start, 'limit', short."limit"::text,
                'spent', short.spent::text, 'reserved', short.reserved::text
            );
        END IF;
    END IF;

    IF refused IS NULL THEN
        INSERT INTO rate_states (account_id, subject, arrival)
            SELECT the_account, taken.subject, taken.arrival
            FROM unnest(subjects, arrivals) AS taken (subject, arrival)
            ON CONFLICT (account_id, subject) DO UPDATE SET arrival = excluded.arrival;
        IF is_turn THEN
            UPDATE account_limits SET running = running + 1 WHERE account_id = the_account;
        END IF;
        IF cost > 0 THEN
            UPDATE budgets SET reserved = reserved + cost
                WHERE account_id = the_account
                    AND coalesce(agent_instance_id, the_instance) = the_instance;
        END IF;
    END IF;
    RETURN jsonb_build_object('refused', refused, 'rates', rates, 'facts', facts);
END
$$;
