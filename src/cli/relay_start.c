/*
 * holdfast relay: hands over to the program holdfast-relay, which stands beside this one.
 *
 * The relay needs libpq and SQLite; the server does not, and shall not load them (nor Kerberos and LDAP, which libpq
 * brings along).
 */
#include <errno.h>
#include <unistd.h>

#include "cli/cli.h"

#define PATH_BYTES 4096

int hf_cli_relay(int argc, char **argv)
{
    static const char name[] = "holdfast-relay";
    char path[PATH_BYTES];
    (void)argc; /* argv ends with NULL */
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - sizeof(name));
    if (length <= 0) {
        (void)fprintf(stderr, "holdfast relay: where this program is can't be told: %s\n",
                      strerror(errno));
        return HF_EXIT_ENVIRONMENT;
    }
    path[length] = '\0';
    char *slash = strrchr(path, '/');
    size_t folder = slash == NULL ? 0 : (size_t)(slash - path) + 1;
    memcpy(path + folder, name, sizeof(name));
    (void)execv(path, argv);
    (void)fprintf(
        stderr,
        "holdfast relay: %s: %s. It is a program of its own, built where libpq or SQLite is "
        "there (Debian: libpq-dev libsqlite3-dev)\n",
        path, strerror(errno));
    return HF_EXIT_ENVIRONMENT;
}
