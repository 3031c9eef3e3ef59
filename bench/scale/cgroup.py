"""A memory cgroup of its own, version 1 or 2: made by mkdir, gone by rmdir. The page cache counts in it."""
import os

V1 = "/sys/fs/cgroup/memory"
V2 = "/sys/fs/cgroup"


class CgroupError(Exception):
    """Why there is none."""


def read(path):
    with open(path, encoding="ascii") as file:
        return file.read()


def write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def table(path):
    """"name value" on each line."""
    return {name: int(value) for name, value in (line.split() for line in read(path).splitlines())}


class MemoryCgroup:
    """Holds the processes whose ids are written to its cgroup.procs."""

    def __init__(self, name, limit_bytes):
        self.version = 1 if os.path.exists(os.path.join(V1, "memory.limit_in_bytes")) else 2
        self.path = os.path.join(V1 if self.version == 1 else V2, name)
        try:
            if self.version == 2:
                if "memory" not in read(os.path.join(V2, "cgroup.controllers")).split():
                    raise CgroupError(f"{V2} has no memory controller")
                if "memory" not in read(os.path.join(V2, "cgroup.subtree_control")).split():
                    write(os.path.join(V2, "cgroup.subtree_control"), "+memory")
            os.mkdir(self.path)
        except OSError as error:
            raise CgroupError(f"no memory cgroup {self.path}: {error}") from error
        try:
            write(self.file("memory.limit_in_bytes", "memory.max"), str(limit_bytes))
        except OSError as error:
            self.remove()
            raise CgroupError(f"no limit of {limit_bytes} bytes for {self.path}: {error}") from error

    def file(self, v1, v2):
        return os.path.join(self.path, v1 if self.version == 1 else v2)

    def figures(self):
        """Bytes now, of anonymous memory and of page cache; the most at once; how often the limit was met (which page cache
        does, without harm), and how many processes were killed for it."""
        stat = table(os.path.join(self.path, "memory.stat"))
        if self.version == 1:
            control = dict(line.split() for line in read(self.file("memory.oom_control", "")).splitlines())
            return {"now": int(read(self.file("memory.usage_in_bytes", ""))), "rss": stat["rss"], "cache": stat["cache"],
                    "max_usage": int(read(self.file("memory.max_usage_in_bytes", ""))),
                    "failcnt": int(read(self.file("memory.failcnt", ""))), "oom_kills": int(control.get("oom_kill", 0))}
        events = table(os.path.join(self.path, "memory.events"))
        peak = os.path.join(self.path, "memory.peak")  # Linux 5.19 and newer
        return {"now": int(read(os.path.join(self.path, "memory.current"))), "rss": stat["anon"], "cache": stat["file"],
                "max_usage": int(read(peak)) if os.path.exists(peak) else None, "failcnt": events["max"],
                "oom_kills": events["oom_kill"]}

    def remove(self):
        """Its processes must have ended."""
        os.rmdir(self.path)
