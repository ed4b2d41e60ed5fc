-- As sql/app_take_limits.sql does, in the words that Citus' planner sends to one worker: each
-- statement writes one row of VALUES, or has account_id = a variable; no INSERT … SELECT, no CTE that
-- writes, nothing STABLE over a column. tests/schema/test_cluster_functions.py compares the two.
-- Locks: those of the plain one. Raises: nothing of its own.
CREATE OR REPLACE FUNCTION app_take_limits(
    the_account uuid,
    the_instance uuid,
    asked jsonb,
    most_turns integer,
    calls integer,
    turns integer,
    cost numeric,
    moment timestamptz
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    mine account_limits%ROWTYPE;
    short budgets%ROWTYPE;
    budget budgets%ROWTYPE;
    begins timestamptz[];
    rate record;
    quota bigint;
    -- Whole microseconds, the precision of timestamptz: the sums are exact.
    step bigint;
    arrived timestamptz;
    ahead bigint;
    rates jsonb := '[]';
    is_over boolean := false;
    is_short boolean := false;
    refused text;
    facts jsonb := '{}';
BEGIN
    -- Every change of an account's limits locks this row first, so no two of them can deadlock.
    UPDATE account_limits SET running = running + turns
        WHERE account_id = the_account RETURNING * INTO mine;
    IF NOT FOUND THEN
        INSERT INTO account_limits (account_id) VALUES (the_account) ON CONFLICT DO NOTHING;
        UPDATE account_limits SET running = running + turns
            WHERE account_id = the_account RETURNING * INTO mine;
    END IF;
    moment := coalesce(moment, clock_timestamp());

    FOR rate IN
        SELECT * FROM jsonb_to_recordset(asked) AS each (policy text, subject text, usual bigint)
    LOOP
        quota := coalesce(
            CASE rate.policy
                WHEN 'account' THEN mine.requests_per_minute
                WHEN 'key' THEN mine.requests_per_minute_per_key
                WHEN 'visitor' THEN mine.requests_per_minute_per_visitor
                WHEN 'network' THEN mine.requests_per_minute_per_network
            END, rate.usual);
        step := ceil(60000000.0 / greatest(quota, 1))::bigint;
        arrived := moment + calls * step * interval '1 microsecond';
        INSERT INTO rate_states AS known (account_id, subject, arrival)
            VALUES (the_account, rate.subject, arrived)
            ON CONFLICT (account_id, subject) DO UPDATE
                SET arrival = app_later(known.arrival, moment, excluded.arrival)
            RETURNING arrival INTO arrived;
        ahead := (extract(epoch FROM arrived - moment) * 1000000)::bigint - calls * step;
        is_over := is_over OR ahead + calls * step > quota * step;
        rates := rates || jsonb_build_object(
            'policy', rate.policy, 'quota', quota, 'step', step, 'ahead', ahead);
    END LOOP;
    IF is_over THEN
        refused := 'rate_limited';
    ELSIF turns > 0 AND mine.running > coalesce(mine.concurrent_turns, most_turns) THEN
        refused := 'too_many_turns';
        facts := jsonb_build_object('limit', coalesce(mine.concurrent_turns, most_turns));
    ELSIF cost > 0 THEN
        begins := ARRAY[date_trunc('day', moment, 'UTC'), date_trunc('month', moment, 'UTC')];
        FOR budget IN
            UPDATE budgets
                SET spent = CASE
                        WHEN period_start < begins[CASE WHEN period = 'day' THEN 1 ELSE 2 END]
                        THEN 0 ELSE spent
                    END,
                    alerted_percent = CASE
                        WHEN period_start < begins[CASE WHEN period = 'day' THEN 1 ELSE 2 END]
                        THEN 0 ELSE alerted_percent
                    END,
                    period_start = greatest(
                        period_start, begins[CASE WHEN period = 'day' THEN 1 ELSE 2 END]),
                    reserved = reserved + cost
                WHERE account_id = the_account
                    AND coalesce(agent_instance_id, the_instance) = the_instance
                RETURNING *
        LOOP
            is_short := is_short OR budget."limit" < budget.spent + budget.reserved;
        END LOOP;
        IF is_short THEN
            SELECT * INTO short FROM budgets
                WHERE account_id = the_account
                    AND coalesce(agent_instance_id, the_instance) = the_instance
                    AND "limit" < spent + reserved
                ORDER BY "limit" - spent - reserved, period DESC, agent_instance_id LIMIT 1;
            refused := 'budget_exceeded';
            facts := jsonb_build_object(
                'instance', short.agent_instance_id, 'period', short.period,
                'period_start', short.period_start, 'limit', short."limit"::text,
                'spent', short.spent::text, 'reserved', (short.reserved - cost)::text
            );
        END IF;
    END IF;
    RETURN jsonb_build_object('refused', refused, 'rates', rates, 'facts', facts);
END
$$;
