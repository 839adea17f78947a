#!/usr/bin/env python3
"""Make the secrets of docker-compose.yml, one file each. Usage: scripts/make-secrets.py FOLDER HOSPITAL...

Every HOSPITAL becomes a user of the SFTP server with a folder of its own. What exists is kept, so that running it again
only adds what is missing; remove `sftp_users` to name other hospitals.
"""

import base64
import json
import secrets
import sys
from collections.abc import Callable
from pathlib import Path


def main() -> None:
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    folder, hospitals = Path(sys.argv[1]), sys.argv[2:]
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def keep(name: str, make: Callable[[], str]) -> str:
        """The content of a secret, made when it is not there; readable for containers, in a shut folder."""
        path = folder / name
        if not path.exists():
            path.write_text(make(), encoding="utf-8")
            path.chmod(0o444)
        return path.read_text(encoding="utf-8")

    database = keep("postgres_password", token)
    broker = keep("redis_password", token)
    server = f"uitkomst:{database}@postgres"
    keep("uitkomst_database_url", lambda: f"postgresql+psycopg://{server}/uitkomst")
    keep("airflow_database_url", lambda: f"postgresql+psycopg2://{server}/airflow")
    keep("celery_result_backend", lambda: f"db+postgresql+psycopg2://{server}/airflow")
    keep("celery_broker_url", lambda: f"redis://:{broker}@redis:6379/0")
    keep("redis_config", lambda: f"requirepass {broker}\nappendonly yes\n")
    keep("uitkomst_pseudonym_key", token)
    keep("airflow_jwt_secret", token)
    keep("airflow_secret_key", token)
    keep("airflow_fernet_key", lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())
    keep("airflow_passwords", lambda: json.dumps({"admin": token()}))
    keep("sftp_users", lambda: json.dumps({"users": [sftp_user(name) for name in hospitals]}, indent=2))


def token() -> str:
    return secrets.token_hex(32)


def sftp_user(hospital: str) -> dict[str, object]:
    """A user that may put files and look at its own, as SFTPGo loads it."""
    return {
        "username": hospital,
        "password": token(),
        "status": 1,
        "home_dir": f"/srv/exports/{hospital}",
        "permissions": {"/": ["list", "upload", "create_dirs", "rename"]},
    }


if __name__ == "__main__":
    main()
