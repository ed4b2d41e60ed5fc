ALTER TABLE usage_totals DISABLE ROW LEVEL SECURITY;
DROP POLICY tenant ON usage_totals;
DROP POLICY platform ON usage_totals;
