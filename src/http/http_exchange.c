#include "http/http_exchange.h"

#include <stdatomic.h>

#include "base/check.h"
#include "http/http_priv.h"

struct hf_str hf_http_header(const struct hf_http_exchange *exchange, struct hf_str name,
                             size_t *count)
{
    struct hf_str value = HF_STR_NONE;
    size_t found = 0;
    for (size_t i = 0; i < exchange->header_count; i++) {
        if (hf_str_equal(exchange->headers[i].name, name)) {
            value = found == 0 ? exchange->headers[i].value : value;
            found++;
        }
    }
    if (count != NULL) {
        *count = found;
    }
    return value;
}

void hf_http_respond(struct hf_http_exchange *exchange, const struct hf_http_response *response)
{
    struct hf_http_work *work = HF_CONTAINER_OF(exchange, struct hf_http_work, exchange);
    struct hf_http_connection *connection = work->connection;
    HF_CHECK(work->is_handed && !work->is_stream);
    work->is_handed = false;
    work->server->exchange_count--;
    if (connection->state == HF_HTTP_CLOSED) {
        hf_http_bury(connection);
        return;
    }
    HF_CHECK(connection->state == HF_HTTP_EXCHANGE);
    connection->must_end =
        connection->must_end || response->close || work->server->drain_deadline_ms != 0;
    hf_http_render(connection, response);
    if (!connection->is_running) {
        hf_http_ready(connection);
    }
}

void hf_http_resume(struct hf_http_exchange *exchange)
{
    struct hf_http_work *work = HF_CONTAINER_OF(exchange, struct hf_http_work, exchange);
    struct hf_http_server *server = work->server;
    /* As soon as the work stands in the list, the loop may answer it, and the server may be stopped: until
     * `resuming` falls the server's memory stays. */
    atomic_fetch_add(&server->resuming, 1);
    struct hf_http_work *first = atomic_load_explicit(&server->done, memory_order_relaxed);
    do {
        atomic_store_explicit(&work->next_done, first, memory_order_relaxed);
    } while (!atomic_compare_exchange_weak(&server->done, &first, work));
    hf_http_ring(server);
    atomic_fetch_sub(&server->resuming, 1);
}
