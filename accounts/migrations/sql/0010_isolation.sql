CREATE POLICY tenant ON refusal_days TO salient_tenant USING (account_id = app_current_account()) WITH CHECK (account_id = app_current_account());
CREATE POLICY platform ON refusal_days TO salient_platform USING (true) WITH CHECK (true);
ALTER TABLE refusal_days ENABLE ROW LEVEL SECURITY;
