"""Redis and PostgreSQL of Debian, durable, each in a directory of its own and on a free port; no test, no figure."""
import glob
import os
import pwd
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "http"))
from http_bench import free_port  # noqa: E402


WARM_UP_S = 3  # 64 new processes plan and fill their caches: not what is measured


class PeerError(Exception):
    """What a peer's program said."""


def postgresql_programs():
    """The folder that pgbench is in, or None."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/pgbench"))
    return os.path.dirname(found[-1]) if found else None


class RedisServer:
    """appendonly, appendfsync always."""

    def __init__(self, directory):
        self.port = free_port()
        folder = os.path.join(directory, "redis")
        os.makedirs(folder)
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", folder,
             "--appendonly", "yes", "--appendfsync", "always", "--save", ""],
            stdout=subprocess.DEVNULL)
        for _ in range(100):
            if self.cli("ping") == "PONG":
                return
            time.sleep(0.05)
        raise PeerError("redis-server did not start")

    def cli(self, *words):
        done = subprocess.run(["redis-cli", "-p", str(self.port), *words], capture_output=True,
                              text=True, check=False)
        return done.stdout.strip()

    def stop(self):
        self.kill()

    def kill(self):
        self.process.terminate()
        self.process.wait()


class PostgresServer:
    """fsync and synchronous_commit on, as it is by default."""

    def __init__(self, directory):
        self.programs = postgresql_programs()
        self.folder = os.path.join(directory, "postgresql")
        os.makedirs(self.folder)
        self.user = None
        if os.getuid() == 0:
            self.user = pwd.getpwnam("postgres")
            os.chown(self.folder, self.user.pw_uid, self.user.pw_gid)
        self.port = free_port()
        self.must("initdb", "-D", self.data, "-A", "trust", "-U", "postgres", "--no-sync")
        self.must("pg_ctl", "-D", self.data, "-w", "-l", os.path.join(self.folder, "log"), "-o",
                  f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder} "
                  "-c max_connections=200 -c shared_buffers=1GB", "start")

    @property
    def data(self):
        return os.path.join(self.folder, "data")

    def command(self, name, *words):
        return subprocess.run([os.path.join(self.programs, name), *words], capture_output=True, text=True,
                              check=False, cwd=self.folder,
                              **({"user": self.user.pw_uid, "group": self.user.pw_gid} if self.user else {}))

    def must(self, name, *words):
        done = self.command(name, *words)
        if done.returncode != 0:
            raise PeerError(f"{name}: {done.stdout}{done.stderr}")
        return done.stdout

    def sql(self, text):
        return self.must("psql", "-h", self.folder, "-p", str(self.port), "-U", "postgres", "-At", "-v", "ON_ERROR_STOP=1",
                         "-c", text).strip()

    def pgbench(self, text, clients, seconds, *more):
        """Runs the script by so many clients: per_second and average_us (pgbench tells no median) once they are warm, all transactions,
        retried (as "12.5%", with --max-tries; else None)."""
        script = os.path.join(self.folder, "script.sql")
        with open(script, "w", encoding="ascii") as file:
            file.write(text)
        os.chmod(script, 0o644)
        done = self.command("pgbench", "-h", self.folder, "-p", str(self.port), "-U", "postgres", "-n", "-M", "prepared", "-f", script,
                            "-c", str(clients), "-j", "1", "-T", str(WARM_UP_S + seconds), "-P", "1", *more, "postgres")
        # "progress: 4.0 s, 6512.3 tps, lat 9.771 ms stddev 5.1, 0 failed"
        warm = [line.split() for line in done.stderr.splitlines() if line.startswith("progress:") and
                float(line.split()[1]) > WARM_UP_S + 0.5]
        ended = [line.split() for line in done.stdout.splitlines() if line.startswith("number of transactions ")]
        if done.returncode != 0 or sum(float(line[3]) for line in warm) == 0:
            raise PeerError(f"pgbench, {clients} clients: {done.stdout}{done.stderr}")
        counts = {line[3].rstrip(":") if line[3] != "actually" else "processed": line for line in ended}
        calls = sum(float(line[3]) for line in warm)
        waited_ms = sum(float(line[3]) * float(line[6]) for line in warm if float(line[3]) > 0)
        return {"per_second": calls / len(warm), "average_us": 1000 * waited_ms / calls,
                "transactions": int(counts["processed"][5]),
                "retried": counts["retried"][5].strip("()") if "retried" in counts else None}

    def stop(self):
        self.must("pg_ctl", "-D", self.data, "-m", "fast", "stop")

    def kill(self):
        self.command("pg_ctl", "-D", self.data, "-m", "immediate", "stop")
