"""Real servers that turn plain text into TLS.

    ftp ldap mysql     vsftpd, slapd, MariaDB
    imap pop3          Dovecot
    xmpp               Prosody, for the host ``localhost``

Each has the certificate of the tests and nothing else: no user, no entry, no table.
"""

import grp
import os
import pwd
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from tests.servers.process import Server, converse, find_program, free_port, start

# RFC 4511, 4.3: an unbind request, to which the server closes
_UNBIND = bytes.fromhex("30050201014200")


def start_vsftpd(directory: Path, certificates: Path) -> Server:
    """Start vsftpd."""
    program, port = find_program("vsftpd"), free_port()
    (directory / "empty").mkdir()
    own = _own(directory, certificates)
    lines = {
        "listen": "YES",
        "listen_address": "127.0.0.1",
        "listen_port": port,
        "background": "NO",
        "secure_chroot_dir": directory / "empty",
        "nopriv_user": "nobody",
        "ssl_enable": "YES",
        "rsa_cert_file": own / "server.pem",
        "rsa_private_key_file": own / "server.key",
        "run_as_launching_user": "NO" if os.geteuid() == 0 else "YES",
    }
    config = directory / "vsftpd.conf"
    config.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
    return start([program, config], port, directory, ready=lambda: converse(port, b"", b"220 "))


def start_slapd(directory: Path, certificates: Path) -> Server:
    """Start slapd without any database."""
    program, port = find_program("slapd"), free_port()
    own = _own(directory, certificates)
    config = directory / "slapd.conf"
    config.write_text(
        f"TLSCertificateFile {own}/server.pem\nTLSCertificateKeyFile {own}/server.key\n"
    )
    command: list[str | Path] = [program, "-d", "0", "-f", config, "-h", f"ldap://127.0.0.1:{port}"]
    return start(
        command, port, directory, ready=lambda: converse(port, _UNBIND, b"", to_the_end=True)
    )


def start_mariadb(directory: Path, certificates: Path) -> Server:
    """Start MariaDB over an empty directory."""
    program, port = find_program("mariadbd"), free_port()
    own = _own(directory, certificates)
    command: list[str | Path] = [
        program,
        "--no-defaults",
        f"--datadir={directory}",
        f"--socket={directory}/socket",
        f"--pid-file={directory}/pid",
        f"--port={port}",
        "--bind-address=127.0.0.1",
        "--skip-grant-tables",
        "--skip-innodb",
        "--default-storage-engine=Aria",
        f"--ssl-cert={own}/server.pem",
        f"--ssl-key={own}/server.key",
        *(["--user=root"] if os.geteuid() == 0 else []),
    ]
    return start(command, port, directory, ready=lambda: converse(port, b"", b"MariaDB"))


# One service of Dovecot, without the port that speaks TLS from the first byte.
_LISTENER = """service {name}-login {{
  inet_listener {name} {{
    port = {port}
  }}
  inet_listener {name}s {{
    port = 0
  }}
{more}}}
"""


# Where the Dovecot of the tests has no TLS.
PLAIN = "127.0.0.2"


def start_dovecot(directory: Path, certificates: Path) -> Mapping[str, Server]:
    """Start Dovecot; give it once for IMAP and once for POP3. At `PLAIN` it has no TLS."""
    program, ports = find_program("dovecot"), {"imap": free_port(), "pop3": free_port()}
    for name in ports:
        # packages of their own
        find_program(f"{name}-login", "/usr/lib/dovecot", "/usr/libexec/dovecot")
    own = _own(directory, certificates)
    is_root = os.geteuid() == 0
    # whom it runs as is looked up, be it ourselves
    user = pwd.getpwnam("nobody") if is_root else pwd.getpwuid(os.geteuid())
    lines = {
        "base_dir": directory / "run",
        "state_dir": directory / "run",
        "log_path": "/dev/stderr",
        "protocols": " ".join(ports),
        "listen": f"127.0.0.1, {PLAIN}",
        "ssl": "required",
        "ssl_cert": f"<{own}/server.pem",
        "ssl_key": f"<{own}/server.key",
        "default_login_user": user.pw_name,
        "default_internal_user": user.pw_name,
        "default_internal_group": grp.getgrgid(user.pw_gid).gr_name,
    }
    text = "".join(f"{key} = {value}\n" for key, value in lines.items())
    text += (
        f"local {PLAIN} {{\n  ssl = no\n}}\npassdb {{\n  driver = static\n  args = password=x\n}}\n"
    )
    # root alone may chroot
    more = "" if is_root else "  chroot =\n"
    text += f"service anvil {{\n{more}}}\n"
    for name, port in ports.items():
        text += _LISTENER.format(name=name, port=port, more=more)
    config = directory / "dovecot.conf"
    config.write_text(text)
    first = start(
        [program, "-F", "-c", config],
        ports["imap"],
        directory,
        ready=lambda: converse(ports["imap"], b"", b"* OK"),
    )
    return {name: replace(first, port=port) for name, port in ports.items()}


def start_prosody(directory: Path, certificates: Path, *, tls: bool = True) -> Server:
    """Start Prosody."""
    program, port = find_program("prosody"), free_port()
    own = _own(directory, certificates)
    config = directory / "prosody.cfg.lua"
    config.write_text(f"""
data_path = "{directory}"
certificates = "{own}"
pidfile = "{directory}/pid"
run_as_root = {str(os.geteuid() == 0).lower()}
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {port} }}
modules_enabled = {{ "saslauth"{', "tls"' if tls else ""} }}
modules_disabled = {{ "s2s"{"" if tls else ', "tls"'} }}
log = {{ info = "*console" }}
c2s_require_encryption = {str(tls).lower()}
allow_unencrypted_plain_auth = true
ssl = {{ certificate = "{own}/server.pem", key = "{own}/server.key" }}
VirtualHost "localhost"
""")
    command: list[str | Path] = [program, "-F", "--config", config]
    return start(command, port, directory, ready=lambda: converse(port, b"<?", b""))


STARTERS: Mapping[str, Callable[[Path, Path], Server]] = {
    "ftp": start_vsftpd,
    "ldap": start_slapd,
    "mysql": start_mariadb,
    "xmpp": start_prosody,
}


def _own(directory: Path, certificates: Path) -> Path:
    """Return a copy of the certificate that the server, whoever it runs as, can read."""
    for name in ("server.pem", "server.key"):
        shutil.copy(certificates / name, directory)
    return directory
