#!/usr/bin/env bash
# Before the services start: both databases at their newest schema, the password of Airflow's admin, the reports folder.
set -euo pipefail
cd "$(dirname "$0")/.."
secrets=${UITKOMST_SECRETS:?names no folder with secrets}
mkdir -p "$UITKOMST_HOME/reports" "$UITKOMST_HOME/airflow"
# A copy, because Airflow opens it for writing.
install -m 600 "$secrets/airflow_passwords" "$UITKOMST_HOME/airflow/simple_auth_manager_passwords.json.generated"
scripts/airflow.sh db migrate
.venv/bin/uitkomst quarantine list --home "$UITKOMST_HOME" >/dev/null  # opens the serving database, which migrates it
