#!/usr/bin/env bash
# Run airflow with these DAGs and its own state in $UITKOMST_HOME/airflow. Usage: scripts/airflow.sh ARGUMENTS...
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
export PATH="$root/.venv/bin:$PATH"
export UITKOMST_HOME=${UITKOMST_HOME:-$root/var}
export AIRFLOW_HOME="$UITKOMST_HOME/airflow"
export AIRFLOW__CORE__DAGS_FOLDER="$root/dags"
export AIRFLOW__CORE__LOAD_EXAMPLES=False
export AIRFLOW__USAGE_DATA_COLLECTION__ENABLED=False
export GX_ANALYTICS_ENABLED=false
mkdir -p "$AIRFLOW_HOME"
exec airflow "$@"
