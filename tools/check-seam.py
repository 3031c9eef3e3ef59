#!/usr/bin/env python3
"""Looks into the compiled objects for calls that a folder must not make.

    tools/check-seam.py BUILD

Files, clock and random are reached only through src/outside/; the command line may read its user's
files. The core is pure: besides that no threads, locale, float text or sorting by libc. Read from
the symbols of the objects (nm), so that a macro can't hide a call.
"""
import os
import re
import subprocess
import sys

FILES = """open open64 openat openat64 creat creat64 fopen fopen64 freopen fdopen mkstemp mkostemp
 read write pread pread64 pwrite pwrite64 readv writev preadv pwritev preadv64 pwritev64 fsync
 fdatasync sync sync_file_range syncfs fallocate fallocate64 posix_fallocate posix_fallocate64
 ftruncate ftruncate64 truncate truncate64 rename renameat renameat2 unlink unlinkat remove link
 linkat mkdir mkdirat rmdir opendir readdir readdir64 flock lockf fcntl fcntl64 mmap mmap64 msync
 stat stat64 fstat fstat64 lstat lstat64 fstatat fstatat64 statx posix_fadvise posix_fadvise64
 __open_2 __open64_2 __read_chk __pread_chk __pread64_chk""".split()
CLOCK = "clock_gettime clock_nanosleep gettimeofday time nanosleep usleep sleep".split()
RANDOM = "getrandom getentropy rand random srand srandom rand_r drand48 RAND_bytes".split()
SOCKETS = "socket bind listen accept accept4 connect send recv sendmsg recvmsg".split()
# qsort is fine: what core sorts has a total order (ids, assets), so the result is one and the same.
IMPURE = """pthread_create pthread_mutex_lock pthread_cond_wait setlocale strtod strtof atof getenv
 printf __printf_chk puts fputs malloc calloc realloc free""".split()

OUTSIDE = set(FILES + CLOCK + RANDOM + SOCKETS)
RULES = {  # folder -> symbols that its objects must not need
    "core": OUTSIDE | set(IMPURE),
    "base": OUTSIDE,
    "log": OUTSIDE,
    "store": OUTSIDE,
    "node": OUTSIDE,
}


def undefined(path):
    output = subprocess.run(["nm", "-u", path], capture_output=True, text=True, check=True).stdout
    return {line.split()[-1].split("@")[0] for line in output.splitlines() if line.split()}


def main(arguments):
    build = arguments[0] if arguments else "build"
    seen = 0
    wrong = 0
    for folder, banned in sorted(RULES.items()):
        for top, _, names in sorted(os.walk(os.path.join(build, "src", folder))):
            for name in sorted(names):
                if not name.endswith(".o"):
                    continue
                seen += 1
                for symbol in sorted(undefined(os.path.join(top, name)) & banned):
                    source = re.sub(r"\.o$", "", name)
                    wrong += 1
                    print(f"src/{folder}: {source} calls {symbol}; that belongs behind src/outside/")
    if seen == 0:
        print(f"check-seam: no objects in {build}/src: build first")
        return 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
