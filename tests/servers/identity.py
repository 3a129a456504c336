"""Who answers for people, for tests: an OpenID and a SAML provider, and a directory."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from pathlib import Path
from urllib.request import urlopen

from servers import CannotHave, Server, built, free_port, install, new_folder, started

#: Registered with the provider as where it may send browsers to.
REDIRECT_URI = "http://127.0.0.1:8000/api/v1/sign-on/callback"
CLIENT, SECRET = "web", "secret"


def openid(users: dict[str, dict[str, object]], port: int = 0) -> Server:
    """An OpenID provider with keys of its own; `fresh()` is its issuer.

    `users` by id, with Username, Password, Email, EmailVerified, FirstName, LastName. Started anew
    on the same `port` it is the same provider with other keys.
    """
    program = built(
        Path(__file__).parent / "zitadel", "zitadel-oidc",
        "github.com/zitadel/oidc/v3/example/server", told="about a minute",
    )  # fmt: skip
    folder = new_folder("openid")
    port = port or free_port()
    known = {key: {"ID": key, "PreferredLanguage": "en", **user} for key, user in users.items()}
    (folder / "users.json").write_text(json.dumps(known))
    environment = {
        "PORT": str(port),
        "USERS_FILE": str(folder / "users.json"),
        "REDIRECT_URI": REDIRECT_URI,
    }

    def answers() -> bool:
        with socket.create_connection(("127.0.0.1", port), 2) as connection:
            connection.sendall(b"GET /healthz HTTP/1.0\r\nHost: x\r\n\r\n")
            return b" 200 " in connection.recv(64)

    return started(
        [program], folder, port, answers, lambda: f"http://localhost:{port}/",
        environment=environment,
    )  # fmt: skip


def saml(users: dict[str, dict[str, object]]) -> Server:
    """A SAML provider with a key of its own; `fresh()` is the address of its metadata.

    `users` by name, with password, email, common_name, groups. Services are told to it by PUT of
    their metadata to `services/{name}` beside that address.
    """
    import httpx

    program = built(Path(__file__).parent / "saml", "saml-idp", ".", told="about a minute")
    port = free_port()
    base = f"http://localhost:{port}"

    def answers() -> bool:
        with urlopen(f"{base}/metadata", timeout=2) as told:
            return bool(told.status == 200)

    words = [f"-address=127.0.0.1:{port}", f"-url={base}"]
    made = started([program, *words], new_folder("saml"), port, answers, lambda: f"{base}/metadata")
    for name, user in users.items():
        httpx.put(f"{base}/users/{name}", json=user).raise_for_status()
    return made


SLAPD = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {folder}/pid
TLSCertificateFile {certificate}
TLSCertificateKeyFile {key}
database mdb
suffix "dc=example,dc=com"
rootdn "cn=admin,dc=example,dc=com"
rootpw {password}
directory {folder}/data
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="cn=reader,dc=example,dc=com" read by self read by * none
"""


def directory(ldif: str, certificate: Path, key: Path) -> Server:
    """OpenLDAP with those entries; `fresh()` is its address over TLS, as `localhost`."""
    program = shutil.which("slapd", path="/usr/sbin:/usr/bin")
    if program is None:
        install("slapd")
        program = shutil.which("slapd", path="/usr/sbin:/usr/bin")
    if program is None:
        raise CannotHave("slapd was installed but is not in /usr/sbin")
    folder = new_folder("slapd")
    (folder / "data").mkdir()
    conf = folder / "slapd.conf"
    told = {"folder": folder, "certificate": certificate, "key": key, "password": "admin"}
    conf.write_text(SLAPD.format(**told))
    adding = [program, "-T", "add", "-f", conf]
    done = subprocess.run([*adding], input=ldif.encode(), capture_output=True)
    if done.returncode:
        raise CannotHave(f"slapadd failed:\n{done.stderr.decode()[-2000:]}")
    port = free_port()

    def answers() -> bool:
        socket.create_connection(("127.0.0.1", port), 2).close()
        return True

    return started(
        [program, "-d", "0", "-f", conf, "-h", f"ldaps://127.0.0.1:{port}/"], folder, port,
        answers, lambda: f"ldaps://localhost:{port}",
    )  # fmt: skip
