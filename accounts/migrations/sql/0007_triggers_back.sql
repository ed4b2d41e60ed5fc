DROP TRIGGER recorded ON support_accesses;
DROP TRIGGER recorded ON budgets;
DROP TRIGGER recorded ON account_limits;
DROP TRIGGER recorded ON invitations;
DROP TRIGGER recorded ON memberships;
DROP TRIGGER recorded ON api_keys;
DROP TRIGGER recorded ON users;
DROP TRIGGER recorded ON accounts;
