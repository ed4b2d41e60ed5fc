-- Gives back what app_take_limits took for turns that have ended, and adds what they cost.
--
-- the_account, the_instance   whose limits
-- turns         how many turns have ended
-- reservation   the sum of their reservations in USD
-- cost          what counts against budgets, in USD
-- moment        for tests; null: now
--
-- Returns {"moment", "alerts"}: the time at which the cost counts, and one alert for each budget
-- that reached a new percentage:
-- [{"percent", "instance", "period", "period_start", "limit", "spent"}].
-- The account's webhooks are sent each of them as budget.alert.
--
-- Locks, in this order: the account's account_limits row; its budgets rows; with an alert, new
-- webhook_deliveries rows.
-- Raises: nothing of its own.
CREATE OR REPLACE FUNCTION app_release_limits(
    the_account uuid,
    the_instance uuid,
    turns integer,
    reservation numeric,
    cost numeric,
    moment timestamptz
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    has_alerts boolean := false;
    alerts jsonb := '[]';
BEGIN
    UPDATE account_limits SET running = greatest(running - turns, 0)
        WHERE account_id = the_account;
    moment := coalesce(moment, clock_timestamp());
    IF cost > 0 OR reservation > 0 THEN
        -- A turn counts in the period in which it is settled. Reservations of other turns stay.
        WITH settled AS (
            UPDATE budgets
                SET spent = cost + CASE
                        WHEN period_start < date_trunc(period, moment, 'UTC') THEN 0 ELSE spent
                    END,
                    alerted_percent = CASE
                        WHEN period_start < date_trunc(period, moment, 'UTC') THEN 0
                        ELSE alerted_percent
                    END,
                    period_start = greatest(period_start, date_trunc(period, moment, 'UTC')),
                    reserved = greatest(reserved - reservation, 0)
                WHERE account_id = the_account
                    AND coalesce(agent_instance_id, the_instance) = the_instance
                RETURNING spent, "limit", alert_percents, alerted_percent
        )
        SELECT bool_or(percent > alerted_percent AND spent > 0 AND spent * 100 >= percent * "limit")
            INTO has_alerts FROM settled, unnest(alert_percents) AS percent;
    END IF;
    IF has_alerts THEN
        WITH reached AS (
            SELECT id, max(percent) AS percent
            FROM budgets, unnest(alert_percents) AS percent
            WHERE account_id = the_account
                AND coalesce(agent_instance_id, the_instance) = the_instance
                AND percent > alerted_percent AND spent > 0 AND spent * 100 >= percent * "limit"
            GROUP BY id
        ), alerted AS (
            UPDATE budgets SET alerted_percent = reached.percent
            FROM reached WHERE budgets.id = reached.id AND budgets.account_id = the_account
            RETURNING budgets.*
        )
        SELECT coalesce(jsonb_agg(jsonb_build_object(
            'percent', alerted_percent, 'instance', agent_instance_id, 'period', period,
            'period_start', period_start, 'limit', "limit"::text, 'spent', spent::text
        )), '[]') INTO alerts FROM alerted;
        -- A budget whose limit was raised may reach the same percentage once more.
        PERFORM app_publish(
            the_account,
            'budget.alert',
            'msg_' || md5(concat_ws('/', the_account, alert)),
            (alert - 'instance') || jsonb_build_object('agent_id', alert -> 'instance')
        ) FROM jsonb_array_elements(alerts) AS alert;
    END IF;
    RETURN jsonb_build_object('moment', moment, 'alerts', alerts);
END
$$;
