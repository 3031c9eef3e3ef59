/*
 * Tickets: packed calls that are started now and waited for later, each on a thread of its own.
 *
 * A thread costs some ten microseconds, a request that is worth a ticket some thousands.
 */
#include "base/alloc.h"
#include "base/check.h"
#include "client/packed_priv.h"

struct holdfast_client_ticket {
    struct holdfast_client *client;
    struct holdfast_client_packed packed; /* its records are the caller's */
    pthread_t thread;
    atomic_bool done; /* what follows is there */
    enum holdfast_client_error error;
    struct holdfast_client_packed_result *result; /* owned until it is waited for */
    struct holdfast_client_failure failure;
};

static void *run(void *context)
{
    struct holdfast_client_ticket *ticket = context;
    ticket->error =
        holdfast_client_packed(ticket->client, &ticket->packed, &ticket->result, &ticket->failure);
    atomic_store(&ticket->done, true);
    return NULL;
}

/* One more under way, if there may be. */
static bool count_in(struct holdfast_client *client)
{
    unsigned count = atomic_load(&client->tickets);
    do {
        if (count >= HOLDFAST_CLIENT_TICKETS_MAX) {
            return false;
        }
    } while (!atomic_compare_exchange_weak(&client->tickets, &count, count + 1));
    return true;
}

enum holdfast_client_error holdfast_client_packed_start(struct holdfast_client *client,
                                                        const struct holdfast_client_packed *packed,
                                                        struct holdfast_client_ticket **ticket,
                                                        struct holdfast_client_failure *failure)
{
    *ticket = NULL;
    if (failure != NULL) {
        *failure = (struct holdfast_client_failure){0};
    }
    const char *wrong = hf_client_packed_wrong(packed);
    if (wrong != NULL) {
        return hf_client_fail(failure, HOLDFAST_CLIENT_INVALID, "%s", wrong);
    }
    if (!count_in(client)) {
        return hf_client_fail(failure, HOLDFAST_CLIENT_BUSY, "%d requests are under way already",
                              HOLDFAST_CLIENT_TICKETS_MAX);
    }
    struct holdfast_client_ticket *made = hf_calloc(1, sizeof(*made));
    if (made != NULL) {
        made->client = client;
        made->packed = *packed;
        if (hf_client_thread(&made->thread, run, made)) {
            *ticket = made;
            return HOLDFAST_CLIENT_OK;
        }
    }
    hf_free(made);
    atomic_fetch_sub(&client->tickets, 1);
    return hf_client_fail(failure, HOLDFAST_CLIENT_NO_MEMORY, "no memory for a thread");
}

bool holdfast_client_packed_done(const struct holdfast_client_ticket *ticket)
{
    return atomic_load(&ticket->done);
}

enum holdfast_client_error
holdfast_client_packed_wait(struct holdfast_client_ticket *ticket,
                            struct holdfast_client_packed_result **result,
                            struct holdfast_client_failure *failure)
{
    HF_CHECK(pthread_join(ticket->thread, NULL) == 0);
    enum holdfast_client_error error = ticket->error;
    *result = ticket->result;
    if (failure != NULL) {
        *failure = ticket->failure;
    }
    atomic_fetch_sub(&ticket->client->tickets, 1);
    hf_free(ticket);
    return error;
}
