/* The demo's server: started, killed, started again. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/demo.h"

/* A port that is free now: the kernel does not give it to anybody else soon. */
static bool find_port(uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool found = probe >= 0 && bind(probe, (struct sockaddr *)&address, sizeof(address)) == 0 &&
                 getsockname(probe, (struct sockaddr *)&address, &length) == 0;
    *port = ntohs(address.sin_port);
    if (probe >= 0) {
        (void)close(probe);
    }
    return found;
}

bool hf_demo_server_init(struct hf_demo_server *server, const char *directory)
{
    uint16_t port;
    *server = (struct hf_demo_server){0};
    int length = snprintf(server->directory, sizeof(server->directory), "%s", directory);
    int log = snprintf(server->log, sizeof(server->log), "%s.log", directory);
    if (length < 0 || log < 0 || (size_t)log >= sizeof(server->log)) {
        errno = ENAMETOOLONG;
        return false;
    }
    if (!find_port(&port)) {
        return false;
    }
    (void)snprintf(server->address, sizeof(server->address), "127.0.0.1:%u", port);
    return true;
}

/* In the child of a program with threads: nothing but system calls. */
static void become_server(struct hf_demo_server *server, pid_t parent)
{
    char program[] = "/proc/self/exe";
    char name[] = "holdfast", command[] = "serve", data[] = "--data", listen_at[] = "--listen";
    char *const arguments[] = {name,      command,         data, server->directory,
                               listen_at, server->address, NULL};
    int log = open(server->log, O_WRONLY | O_CREAT | O_APPEND, 0666);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent || log < 0 ||
        dup2(log, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0) {
        _exit(127);
    }
    (void)execv(program, arguments);
    _exit(127);
}

bool hf_demo_server_start(struct hf_demo_server *server)
{
    pid_t parent = getpid();
    HF_CHECK(server->process == 0);
    pid_t child = fork();
    if (child == 0) {
        become_server(server, parent);
    }
    server->process = child < 0 ? 0 : child;
    return child > 0;
}

int hf_demo_server_end(struct hf_demo_server *server, int signal)
{
    int status = 0;
    if (server->process != 0) {
        HF_CHECK(kill(server->process, signal) == 0);
        while (waitpid(server->process, &status, 0) < 0) {
            HF_CHECK(errno == EINTR);
        }
        server->process = 0;
    }
    return status;
}
