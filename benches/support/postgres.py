"""A throwaway Postgres server for a benchmark: prints its URL, and ends with its standard input. Exit code 3: not installed.

The server is the one that tests/run starts: durable commits, TLS.
"""

import os
import shutil
import sys
import tempfile

sys.dont_write_bytecode = True
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
import servers  # noqa: E402


def main(parent):
    if not servers.postgres_bin() or not shutil.which("openssl"):
        return 3
    folder, started = tempfile.mkdtemp(prefix="bytepass-bench-", dir=parent), []
    # Postgres runs as another user where this one is root.
    os.chmod(folder, 0o711)
    try:
        print(servers.start_postgres(folder, started)["BYTEPASS_TEST_DATABASE"], flush=True)
        sys.stdin.read()
    except KeyboardInterrupt:
        pass
    finally:
        for server in started:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
