ALTER TABLE turn_cancellations DISABLE ROW LEVEL SECURITY;
DROP POLICY tenant ON turn_cancellations;
DROP POLICY platform ON turn_cancellations;
ALTER TABLE turn_event_batches DISABLE ROW LEVEL SECURITY;
DROP POLICY tenant ON turn_event_batches;
DROP POLICY platform ON turn_event_batches;
