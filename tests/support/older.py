"""The binary of an older version, which the stories of `versions::older` run beside the one under test. Standard library only."""

import os
import re
import shutil
import subprocess
import tempfile

import servers

# The last commit of main before a statement used the newest migration, so that its schema is that of the version before.
# With a new migration, move it to the last commit before the first one that uses that, and say below what it must not apply:
# nothing, once migrations are no longer drafted before they are used.
COMMIT = "53584487d60774a34d5c70c29f27f6af875b86b5"
# It holds a draft of this one, under the same name, and no statement that needs it.
DRAFTS = ["2026-03-01-000000_operations"]
BUILD_LIMIT_SECS = 900


def name_it_apart(source):
    """Gives the package a version of its own: cargo would otherwise take what it has built of one checkout for the other's."""
    for name in ["Cargo.toml", "Cargo.lock"]:
        path = os.path.join(source, name)
        with open(path) as file:
            text = file.read()
        text, found = re.subn(r'(?m)^(name = "bytepass"\nversion = "[^"+]+)"', rf'\1+older.{COMMIT[:9]}"', text)
        if found != 1:
            raise servers.Unable(f"{name} of the older version doesn't begin with its name and version")
        with open(path, "w") as file:
            file.write(text)


def binary(root, env):
    """The older binary, built once a machine; None, and a line that says so, where the history or its build is not to be had."""
    built = os.path.join(servers.CACHE, "older", COMMIT, "bytepass")
    if os.path.exists(built):
        return built
    has = ["git", "-C", root, "cat-file", "-e", COMMIT + "^{commit}"]
    if not shutil.which("git") or subprocess.run(has, stderr=subprocess.DEVNULL).returncode != 0:
        print(f"the older version is left out: the history here lacks {COMMIT[:9]}", flush=True)
        return None
    print(f"building the older version, {COMMIT[:9]}", flush=True)
    with tempfile.TemporaryDirectory(prefix="bytepass-older-") as folder:
        archive = os.path.join(folder, "older.tar")
        servers.run(["git", "-C", root, "archive", "-o", archive, COMMIT], "git archive")
        source = os.path.join(folder, "source")
        os.mkdir(source)
        servers.run(["tar", "-xmf", archive, "-C", source], "tar")
        for dialect in ["sqlite", "postgres"]:
            for draft in DRAFTS:
                shutil.rmtree(os.path.join(source, "migrations", dialect, draft))
        name_it_apart(source)
        # With the target folder of the suite, for its dependencies; before anything else is built, because it leaves its binary there.
        try:
            servers.run(["cargo", "build", "--locked", "--bin", "bytepass"], "building the older version", cwd=source, env=env,
                        timeout=BUILD_LIMIT_SECS)
        except subprocess.TimeoutExpired:
            raise servers.Unable(f"building the older version took more than {BUILD_LIMIT_SECS} s") from None
        os.makedirs(os.path.dirname(built), exist_ok=True)
        # Named only when it is whole.
        shutil.copy2(os.path.join(env["CARGO_TARGET_DIR"], "debug", "bytepass"), built + ".part")
        os.rename(built + ".part", built)
    return built
