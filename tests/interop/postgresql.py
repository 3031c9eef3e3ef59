"""A PostgreSQL of one's own: Debian's programs, a temporary directory, its own user, a Unix socket. No test itself."""
import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time


def programs():
    """The newest version's bin directory, or None."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"), key=lambda path: int(path.split("/")[4]))
    return os.path.dirname(found[-1]) if found else None


def own_user():
    """Whom the server runs as: PostgreSQL refuses root."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return None


class Cluster:
    def __init__(self, settings=""):
        self.bin = programs()
        self.user = own_user()
        self.top = tempfile.mkdtemp(prefix="holdfast-pg-", dir="/tmp")  # a socket's path must be short
        self.data = os.path.join(self.top, "data")
        self.process = None
        if self.user:
            os.chown(self.top, self.user.pw_uid, self.user.pw_gid)
        self.run("initdb", "-D", self.data, "-U", "test", "-A", "trust", "--no-sync")
        with open(os.path.join(self.data, "postgresql.conf"), "a", encoding="utf-8") as file:
            file.write("listen_addresses = ''\n"
                       f"unix_socket_directories = '{self.top}'\n"
                       "wal_level = logical\nmax_wal_senders = 10\nmax_replication_slots = 10\n"
                       "shared_buffers = 16MB\nmin_wal_size = 32MB\nmax_wal_size = 64MB\n"
                       "wal_keep_size = 0\n" + settings)

    def become(self):
        if self.user:
            os.initgroups(self.user.pw_name, self.user.pw_gid)
            os.setgid(self.user.pw_gid)
            os.setuid(self.user.pw_uid)

    def run(self, program, *arguments):
        return subprocess.run([os.path.join(self.bin, program), *arguments], check=True, cwd="/",
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=self.become)

    def start(self):
        with open(os.path.join(self.top, "log"), "ab") as log:
            self.process = subprocess.Popen([os.path.join(self.bin, "postgres"), "-D", self.data], cwd="/",
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            preexec_fn=self.become)
        until = time.monotonic() + 60
        while time.monotonic() < until:
            done = subprocess.run(["psql", "-X", "-q", "-c", "SELECT 1", self.conninfo("postgres")],
                                  capture_output=True, check=False)
            if done.returncode == 0:
                return
            time.sleep(0.05)
        raise RuntimeError("PostgreSQL did not start: " + self.log())

    def log(self):
        with open(os.path.join(self.top, "log"), encoding="utf-8", errors="replace") as file:
            return file.read()[-3000:]

    def conninfo(self, database="shop"):
        return f"host={self.top} dbname={database} user=test connect_timeout=10"

    def sql(self, text, database="shop", check=True):
        """Rows as lists of texts, columns separated by '|'."""
        done = subprocess.run(["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-",
                               self.conninfo(database)], input=text, capture_output=True, text=True,
                              check=False)
        if check and done.returncode != 0:
            raise RuntimeError(done.stderr + self.log())
        return [line.split("|") for line in done.stdout.splitlines()]

    def stop(self, number=signal.SIGINT, seconds=60):
        """SIGINT: fast; SIGQUIT: immediately. The exit status, or None if it did not end."""
        if self.process is None:
            return 0
        self.process.send_signal(number)
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        self.process = None
        return status

    def crash(self):
        """kill -9 of the postmaster; its children see that and go."""
        self.process.kill()
        self.process.wait()
        self.process = None
        pid_file = os.path.join(self.data, "postmaster.pid")
        for _ in range(400):  # until the last child has let go of the shared memory
            holders = [pid for pid in os.listdir("/proc") if pid.isdigit() and self.is_ours(pid)]
            if not holders:
                break
            time.sleep(0.025)
        if os.path.exists(pid_file):
            os.unlink(pid_file)

    def is_ours(self, pid):
        try:
            return os.readlink(f"/proc/{pid}/cwd") == self.data
        except OSError:
            return False

    def close(self):
        if self.process is not None and self.stop(signal.SIGQUIT) is None:
            self.crash()
        shutil.rmtree(self.top, ignore_errors=True)
