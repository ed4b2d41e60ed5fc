"""Updates of the database: what is pending, what `migrate` will do, and the backup before it."""
