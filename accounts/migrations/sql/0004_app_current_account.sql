CREATE OR REPLACE FUNCTION app_current_account() RETURNS uuid LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
    account text := pg_catalog.current_setting('app.account_id', true);
BEGIN
    IF account IS NULL OR account = '' THEN
        RAISE insufficient_privilege USING MESSAGE = 'no account is set: open the tenant''s door';
    END IF;
    RETURN account::uuid;
END $$;
