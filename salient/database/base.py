"""Django's PostgreSQL backend with one addition: it starts the embedded server on demand."""

from typing import Any

from django.db import OperationalError
from django.db.backends.postgresql import base

from salient.database import embedded
from salient.local.shared_process import SharedProcessError


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection to the embedded PostgreSQL."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Make sure that the server runs, then connect; OperationalError when it cannot start."""
        try:
            embedded.ensure_running()
        except SharedProcessError as error:
            raise OperationalError(str(error)) from error
        return super().get_new_connection(conn_params)
