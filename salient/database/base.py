"""Django's PostgreSQL backend for this schema's keys; it starts the embedded server on demand."""

from typing import Any

from django.db import OperationalError
from django.db.backends.postgresql import base, features

from salient.database import embedded
from salient.local.shared_process import SharedProcessError


class DatabaseFeatures(features.DatabaseFeatures):
    """A table's key is (id, account_id) and Django's is id: GROUP BY names every column."""

    allows_group_by_selected_pks = False


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection to PostgreSQL; with "EMBEDDED" in its settings, to the embedded server."""

    features_class = DatabaseFeatures

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Make sure that an embedded server runs, then connect.

        Raises OperationalError when it cannot start.
        """
        if self.settings_dict.get("EMBEDDED"):
            try:
                embedded.ensure_running()
            except SharedProcessError as error:
                raise OperationalError(str(error)) from error
        return super().get_new_connection(conn_params)
