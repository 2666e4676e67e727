"""A real PostgreSQL: TLS on, one role for each way to log in.

| role | login |
|---|---|
| postgres | trust, superuser |
| scram, md5, clear | password ``pw-<role>``, by SCRAM, MD5 or in clear text |
| tlsonly | password ``pw-tlsonly``, over TLS only |

Database ``closed`` takes no connections; table ``orders`` has 250 rows, ``secrets`` is nobody's.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.servers.process import Server, find_program, free_port, start

BINARIES = [
    str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
] + ["/usr/local/pgsql/bin"]

HBA = """
local all all trust
host all postgres 127.0.0.1/32 trust
host all scram 127.0.0.1/32 scram-sha-256
host all md5 127.0.0.1/32 md5
host all clear 127.0.0.1/32 password
hostssl all tlsonly 127.0.0.1/32 scram-sha-256
"""
ROLES = """
CREATE ROLE scram LOGIN PASSWORD 'pw-scram';
CREATE ROLE tlsonly LOGIN PASSWORD 'pw-tlsonly';
CREATE ROLE clear LOGIN PASSWORD 'pw-clear';
CREATE ROLE md5 LOGIN;
CREATE DATABASE closed ALLOW_CONNECTIONS false;
CREATE TABLE orders (id int PRIMARY KEY, state text NOT NULL);
INSERT INTO orders SELECT n, 'paid' FROM generate_series(1, 250) AS n;
GRANT SELECT ON orders TO scram, md5, clear, tlsonly;
CREATE TABLE secrets (word text);
CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
"""


def run_sql(directory: Path, port: int, text: str) -> str:
    """Run *text* as the superuser, over the Unix socket, and return what came out."""
    psql = find_program("psql", *BINARIES)
    done = subprocess.run(
        [psql, "-h", str(directory), "-p", str(port), "-U", "postgres", "-d", "postgres",
         "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-c", text],
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    if done.returncode:
        raise ValueError(done.stderr)
    return done.stdout.strip()


class Postgres(Server):
    """A running PostgreSQL."""

    def sql(self, text: str) -> str:
        """Run *text* as the superuser and return what came out, tab free and one row a line."""
        return run_sql(self.directory, self.port, text)

    def dsn(self, user: str = "scram", *, password: str | None = None, more: str = "") -> str:
        """Return the address of the database for *user*, without a password by default."""
        login = user if password is None else f"{user}:{password}"
        return f"postgresql://{login}@{self.host}:{self.port}/postgres{more}"

    def stop(self) -> None:
        # SIGINT is the fast shutdown; SIGTERM would wait for the clients
        self.process.send_signal(2)
        super().stop()
        shutil.rmtree(self.directory, ignore_errors=True)


def start_postgres(certificates: Path) -> Postgres:
    """Start PostgreSQL in a directory of its own; as root under the account ``postgres``."""
    initdb = find_program("initdb", *BINARIES)
    postgres = find_program("postgres", *BINARIES)
    user = "postgres" if os.geteuid() == 0 else None
    # not pytest's directories: they are closed to other accounts, and too long for a Unix socket
    directory = Path(tempfile.mkdtemp(prefix="sonde-pg-"))
    for name in ("server.pem", "server.key", "ca.pem"):
        shutil.copy(certificates / name, directory / name)
        (directory / name).chmod(0o600)
    if user:
        shutil.chown(directory, user, user)
        for file in directory.iterdir():
            shutil.chown(file, user, user)
    data = directory / "data"
    encoding = ["-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"]
    subprocess.run(
        [initdb, "-D", str(data), "-U", "postgres", *encoding],
        check=True, capture_output=True, timeout=60, cwd=directory, user=user, group=user,
        extra_groups=[] if user else None,
    )  # fmt: skip
    (data / "pg_hba.conf").write_text(HBA)
    port = free_port()
    settings = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": str(directory),
        "fsync": "off",
        "max_connections": "40",
        "password_encryption": "scram-sha-256",
        "ssl": "on",
        "ssl_cert_file": str(directory / "server.pem"),
        "ssl_key_file": str(directory / "server.key"),
        "ssl_ca_file": str(directory / "ca.pem"),
        "shared_preload_libraries": "pg_stat_statements",
    }
    options = [text for name, value in settings.items() for text in ("-c", f"{name}={value}")]
    command = [postgres, "-D", str(data), "-p", str(port), *options]
    running = start(
        command, port, directory, ready=lambda: run_sql(directory, port, "SELECT 1"), user=user
    )
    server = Postgres(running.process, port, directory)
    for statement in filter(str.strip, ROLES.split(";")):
        server.sql(statement)
    server.sql("SET password_encryption = 'md5'; ALTER ROLE md5 PASSWORD 'pw-md5'")
    return server
