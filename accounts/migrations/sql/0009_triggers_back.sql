DROP TRIGGER recorded ON users_user_permissions;
DROP TRIGGER recorded ON users_groups;
DROP TRIGGER recorded ON auth_group_permissions;
DROP TRIGGER recorded ON auth_group;
