-- Takes rates, running turns and budget for several calls of one account, all of them or none.
--
-- the_account, the_instance   whose limits; the_instance may be null for calls that are no turns
-- asked       [{"policy": "account" | "key" | "visitor" | "network", "subject", "usual"}]: the
--             rates to take from. usual: calls per minute, where the account has no own number
-- most_turns  how many turns may run at once, where the account has no number of its own
-- calls       how many calls are counted in each rate
-- turns       how many turns start (0: none)
-- cost        the reservation in USD that each budget must have room for (0: none)
-- moment      for tests; null: now
--
-- Returns {"refused", "rates", "facts"}:
--     refused   null | "rate_limited" | "too_many_turns" | "budget_exceeded"
--     rates     [{"policy", "quota", "step", "ahead"}] in the order of asked; step and ahead are
--               microseconds; ahead is the state that the first of the calls finds
--     facts     of a refusal: {"limit"}, or {"instance", "period", "period_start", "limit",
--               "spent", "reserved"} with amounts as text
-- A refusal leaves changes behind: the caller must roll back.
--
-- Locks, in this order: the account's account_limits row; its rate_states rows, in the order of
-- asked; its budgets rows. Raises: nothing of its own.
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
    rate record;
    quota bigint;
    -- Whole microseconds, the precision of timestamptz: the sums are exact.
    step bigint;
    taken interval;
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
        taken := calls * step * interval '1 microsecond';
        UPDATE rate_states SET arrival = greatest(arrival, moment) + taken
            WHERE account_id = the_account AND subject = rate.subject
            RETURNING arrival INTO arrived;
        IF NOT FOUND THEN
            INSERT INTO rate_states AS known (account_id, subject, arrival)
                VALUES (the_account, rate.subject, moment + taken)
                ON CONFLICT (account_id, subject) DO UPDATE
                    SET arrival = greatest(known.arrival, moment) + taken
                RETURNING arrival INTO arrived;
        END IF;
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
        WITH reserved_in AS (
            UPDATE budgets
                SET spent = CASE
                        WHEN period_start < date_trunc(period, moment, 'UTC') THEN 0 ELSE spent
                    END,
                    alerted_percent = CASE
                        WHEN period_start < date_trunc(period, moment, 'UTC') THEN 0
                        ELSE alerted_percent
                    END,
                    period_start = greatest(period_start, date_trunc(period, moment, 'UTC')),
                    reserved = reserved + cost
                WHERE account_id = the_account
                    AND coalesce(agent_instance_id, the_instance) = the_instance
                RETURNING "limit" < spent + reserved AS is_full
        )
        SELECT bool_or(is_full) INTO is_short FROM reserved_in;
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
