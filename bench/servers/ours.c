/* The bench's server by src/http: any request is answered with 201 and a small JSON text. */
#include <unistd.h>

#include "bench.h"
#include "http/http_server.h"

static void answer(struct hf_http_exchange *exchange)
{
    hf_buffer_text(&exchange->answer, BENCH_ANSWER);
    hf_http_respond(exchange, &(struct hf_http_response){.status = 201,
                                                         .content_type = "application/json",
                                                         .headers = HF_STR(BENCH_HEADER "\r\n")});
}

static void resume_one(void *request)
{
    hf_http_resume(request);
}

static void handle(void *context, struct hf_http_exchange *exchange)
{
    if (*(bool *)context) {
        bench_later(exchange);
    } else {
        answer(exchange);
    }
}

static void resume(void *context, struct hf_http_exchange *exchange)
{
    (void)context;
    answer(exchange);
}

int main(int count, char **arguments)
{
    bool later = bench_mode(count, arguments, resume_one);
    struct hf_http_limits limits = hf_http_limits_default();
    struct hf_http_handler handler = {.context = &later, .handle = handle, .resume = resume};
    struct hf_http_server *server;
    struct hf_error error = {0};
    char address[32];
    (void)snprintf(address, sizeof(address), "127.0.0.1:%d", bench_port(arguments));
    if (hf_http_server_new(&limits, &handler, &server, &error) != HF_ERR_OK ||
        hf_http_server_listen(server, address, NULL, &error) != HF_ERR_OK ||
        hf_http_server_start(server, &error) != HF_ERR_OK) {
        (void)fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    (void)pause();
    return 0;
}
