#!/usr/bin/env bash
# 12 synthetic hospitals through the real Airflow DAG. Usage: scripts/demo.sh HOME
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p "$1"
home=$(cd "$1" && pwd)
as_of=2025-12-31
export UITKOMST_HOME=$home
log=$home/airflow.log

echo "1/3 Writing exports of 12 synthetic hospitals, with 1% known defects, to $home/exports"
.venv/bin/uitkomst synthesise "$home/exports" --hospitals 12 --defects 0.01 --as-of "$as_of"

echo "2/3 Running the DAG outcome_pipeline in Airflow (a few minutes; log: $log)"
scripts/airflow.sh db migrate >"$log" 2>&1 || { tail -n 20 "$log" >&2; exit 1; }
conf=$(printf '{"exports": "%s", "home": "%s", "as_of": "%s"}' "$home/exports" "$home" "$as_of")
scripts/airflow.sh dags test outcome_pipeline --conf "$conf" >>"$log" 2>&1 &
airflow=$!
trap 'kill $airflow 2>/dev/null || true' EXIT
while kill -0 "$airflow" 2>/dev/null; do
    sleep 2
    done=$(grep -c 'DAG TEST\] end task' "$log" || true)
    if [ -t 1 ]; then printf '\r    %s tasks done' "$done"; fi
done
if [ -t 1 ]; then printf '\n'; fi
if ! wait "$airflow" || ! grep -q 'state=success, run_type' "$log"; then
    echo "DEMO-FAILED: the DAG run failed. The reason is in $log:" >&2
    grep -E '[A-Z]+-[A-Z-]+: |Traceback|Error' "$log" | tail -n 5 >&2 || true
    exit 1
fi

echo "3/3 What it made"
.venv/bin/uitkomst run "$home/exports" --home "$home" --as-of "$as_of"
