/* The bench's server by libmicrohttpd: one epoll thread, requests suspended for `later`. */
#include <microhttpd.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench.h"

struct request {
    struct MHD_Connection *connection; /* to be resumed */
    size_t body_bytes;                 /* so far */
    bool is_finished;                  /* by the other thread */
};

static bool is_later;

static enum MHD_Result answer(struct MHD_Connection *connection)
{
    static char text[] = BENCH_ANSWER;
    struct MHD_Response *response =
        MHD_create_response_from_buffer(sizeof(text) - 1, text, MHD_RESPMEM_PERSISTENT);
    if (response == NULL) {
        return MHD_NO;
    }
    (void)MHD_add_response_header(response, "Content-Type", "application/json");
    (void)MHD_add_response_header(response, "Holdfast-Position", "123456");
    enum MHD_Result result = MHD_queue_response(connection, 201, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *data,
                              size_t *size, void **own)
{
    (void)context;
    (void)url;
    (void)method;
    (void)version;
    (void)data;
    struct request *request = *own;
    if (request == NULL) {
        *own = request = calloc(1, sizeof(*request));
        if (request != NULL) {
            request->connection = connection;
        }
        return request == NULL ? MHD_NO : MHD_YES;
    }
    if (*size > 0) {
        request->body_bytes += *size;
        *size = 0;
        return MHD_YES;
    }
    if (is_later && !request->is_finished) {
        request->is_finished = true;
        MHD_suspend_connection(connection);
        bench_later(request);
        return MHD_YES;
    }
    return answer(connection);
}

static void completed(void *context, struct MHD_Connection *connection, void **own,
                      enum MHD_RequestTerminationCode code)
{
    (void)context;
    (void)connection;
    (void)code;
    free(*own);
    *own = NULL;
}

static void resume_one(void *request)
{
    MHD_resume_connection(((struct request *)request)->connection);
}

int main(int count, char **arguments)
{
    is_later = bench_mode(count, arguments, resume_one);
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, (uint16_t)bench_port(arguments),
        NULL, NULL, handle, NULL, MHD_OPTION_NOTIFY_COMPLETED, completed, NULL,
        MHD_OPTION_CONNECTION_LIMIT, 10000u, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
    if (daemon == NULL) {
        return 1;
    }
    (void)pause();
    return 0;
}
