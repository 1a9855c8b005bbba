#!/bin/sh
# Secrets come as files: NAME_FILE holds the path of the value of NAME.
set -eu
for name in PGPASSWORD ELETROPOSTO_DOJOT_PASSWORD ELETROPOSTO_DASHBOARD_SECRET; do
    eval "file=\${${name}_FILE:-}"
    if [ -n "$file" ]; then
        value=$(cat "$file")
        export "$name=$value"
    fi
done
exec python -m eletroposto "$@"
