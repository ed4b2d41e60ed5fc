ALTER TABLE turn_event_batches DROP CONSTRAINT turn_event_batches_pkey, ADD PRIMARY KEY (id, account_id);
ALTER TABLE turn_cancellations DROP CONSTRAINT turn_cancellations_pkey, ADD PRIMARY KEY (id, account_id);
