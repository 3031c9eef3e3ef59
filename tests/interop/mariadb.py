"""A MariaDB of one's own: Debian's programs, a temporary directory, its own user, a Unix socket. No test itself."""
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time

SERVER = "/usr/sbin/mariadbd"


def installed():
    return os.path.exists(SERVER) and shutil.which("mariadb-install-db") is not None


def own_user():
    """Whom the server runs as: not root."""
    if os.getuid() != 0:
        return None
    for name in ("mysql", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return None


class Server:
    def __init__(self, *options):
        self.user = own_user()
        self.top = tempfile.mkdtemp(prefix="holdfast-my-", dir="/tmp")  # a socket's path must be short
        self.data = os.path.join(self.top, "data")
        self.socket = os.path.join(self.top, "socket")
        self.options = options
        self.process = None
        os.mkdir(self.data)
        if self.user:
            for path in (self.top, self.data):
                os.chown(path, self.user.pw_uid, self.user.pw_gid)
        try:
            subprocess.run(["mariadb-install-db", "--no-defaults", f"--datadir={self.data}", "--skip-test-db",
                            "--auth-root-authentication-method=normal"], check=True, cwd=self.top, stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=self.become)
        except BaseException:
            self.close()
            raise

    def become(self):
        if self.user:
            os.initgroups(self.user.pw_name, self.user.pw_gid)
            os.setgid(self.user.pw_gid)
            os.setuid(self.user.pw_uid)

    def start(self):
        with open(os.path.join(self.top, "log"), "ab") as log:
            self.process = subprocess.Popen(
                [SERVER, "--no-defaults", f"--datadir={self.data}", f"--socket={self.socket}", "--skip-networking",
                 f"--pid-file={self.top}/pid", "--innodb-buffer-pool-size=64M", "--innodb-flush-log-at-trx-commit=2",
                 *self.options], cwd=self.top, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=self.become)
        until = time.monotonic() + 60
        while time.monotonic() < until:
            if self.client("SELECT 1", check=False).returncode == 0:
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise RuntimeError("MariaDB did not start: " + self.log())

    def log(self):
        with open(os.path.join(self.top, "log"), encoding="utf-8", errors="replace") as file:
            return file.read()[-3000:]

    def client(self, text, database="", check=True):
        """Through the command-line client, which knows DELIMITER."""
        done = subprocess.run(["mariadb", "--no-defaults", f"--socket={self.socket}", "-uroot", "-N", "-B",
                               "--default-character-set=utf8mb4", *([database] if database else [])],
                              input=text, capture_output=True, text=True, check=False)
        if check and done.returncode != 0:
            raise RuntimeError(done.stderr + self.log())
        return done

    def crash(self):
        """kill -9"""
        self.process.kill()
        self.process.wait()
        self.process = None

    def close(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.crash()
        shutil.rmtree(self.top, ignore_errors=True)
