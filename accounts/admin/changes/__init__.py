"""Pages about changes: the audit log, one history of each thing, suspending and resuming."""
