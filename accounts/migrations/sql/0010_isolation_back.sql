ALTER TABLE refusal_days DISABLE ROW LEVEL SECURITY;
DROP POLICY tenant ON refusal_days;
DROP POLICY platform ON refusal_days;
