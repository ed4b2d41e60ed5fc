-- As sql/app_release_limits.sql does, in the words that Citus' planner sends to one worker: each
-- statement writes one row of VALUES, or has account_id = a variable; no INSERT … SELECT, no CTE that
-- writes, nothing STABLE over a column. tests/schema/test_cluster_functions.py compares the two.
-- Locks: those of the plain one. Raises: nothing of its own.
CREATE OR REPLACE FUNCTION app_release_limits(
    the_account uuid,
    the_instance uuid,
    turns integer,
    reservation numeric,
    cost numeric,
    moment timestamptz
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    budget budgets%ROWTYPE;
    begins timestamptz[];
    reached integer;
    alert jsonb;
    alerts jsonb := '[]';
BEGIN
    UPDATE account_limits SET running = greatest(running - turns, 0)
        WHERE account_id = the_account;
    moment := coalesce(moment, clock_timestamp());
    IF cost > 0 OR reservation > 0 THEN
        -- A turn counts in the period in which it is settled. Reservations of other turns stay.
        begins := ARRAY[date_trunc('day', moment, 'UTC'), date_trunc('month', moment, 'UTC')];
        FOR budget IN
            UPDATE budgets
                SET spent = cost + CASE
                        WHEN period_start < begins[CASE WHEN period = 'day' THEN 1 ELSE 2 END]
                        THEN 0 ELSE spent
                    END,
                    alerted_percent = CASE
                        WHEN period_start < begins[CASE WHEN period = 'day' THEN 1 ELSE 2 END]
                        THEN 0 ELSE alerted_percent
                    END,
                    period_start = greatest(
                        period_start, begins[CASE WHEN period = 'day' THEN 1 ELSE 2 END]),
                    reserved = greatest(reserved - reservation, 0)
                WHERE account_id = the_account
                    AND coalesce(agent_instance_id, the_instance) = the_instance
                RETURNING *
        LOOP
            SELECT max(percent) INTO reached FROM unnest(budget.alert_percents) AS percent
                WHERE percent > budget.alerted_percent AND budget.spent > 0
                    AND budget.spent * 100 >= percent * budget."limit";
            CONTINUE WHEN reached IS NULL;
            UPDATE budgets SET alerted_percent = reached
                WHERE account_id = the_account AND id = budget.id;
            alert := jsonb_build_object(
                'percent', reached, 'instance', budget.agent_instance_id,
                'period', budget.period, 'period_start', budget.period_start,
                'limit', budget."limit"::text, 'spent', budget.spent::text);
            alerts := alerts || alert;
            -- A budget whose limit was raised may reach the same percentage once more.
            PERFORM app_publish(
                the_account,
                'budget.alert',
                'msg_' || md5(concat_ws('/', the_account, alert)),
                (alert - 'instance') || jsonb_build_object('agent_id', alert -> 'instance')
            );
        END LOOP;
    END IF;
    RETURN jsonb_build_object('moment', moment, 'alerts', alerts);
END
$$;
