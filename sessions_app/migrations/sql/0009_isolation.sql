CREATE POLICY tenant ON turn_event_batches TO salient_tenant USING (account_id = app_current_account()) WITH CHECK (account_id = app_current_account());
CREATE POLICY platform ON turn_event_batches TO salient_platform USING (true) WITH CHECK (true);
ALTER TABLE turn_event_batches ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON turn_cancellations TO salient_tenant USING (account_id = app_current_account()) WITH CHECK (account_id = app_current_account());
CREATE POLICY platform ON turn_cancellations TO salient_platform USING (true) WITH CHECK (true);
ALTER TABLE turn_cancellations ENABLE ROW LEVEL SECURITY;
