/*
 * Two services change different fields of a user's profile: each reads it whole, sets its field, saves it
 * whole (P10).
 *
 *   POST /set?user=U&field=F&value=V      200 saved, "retries=N"
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/database.h"
#include "common/service.h"
#include "holdfast_client.h"

#define BODY_BYTES 8192
#define TEXT_BYTES (3 * PARAMETER_BYTES_MAX)
#define TRIES_MAX  1000 /* a bound, never met */

struct change {
    const char *user, *field, *value;
};

static void set_naive(struct request *request, const struct change *c)
{
    char before[BODY_BYTES], after[BODY_BYTES];
    if (!database_text(before, sizeof(before), "SELECT body FROM profiles WHERE name = ?", "t",
                       c->user)) {
        respond(request, 404, "no such user");
        return;
    }
    /* json_set works on the text that was read: SQLite is only the JSON library here. */
    (void)database_text(after, sizeof(after), "SELECT json_set(?1, '$.' || ?2, ?3)", "ttt", before,
                        c->field, c->value);
    (void)database_change("UPDATE profiles SET body = ? WHERE name = ?", "tt", after, c->user);
    respond(request, 200, "retries=0");
}

/* The version that the change was made on goes with it. If another was faster, the refusal tells the version to go
 * on from. */
static void set_holdfast(struct request *request, const struct change *c)
{
    struct holdfast_client_answer *profile;
    char patch[TEXT_BYTES], version[TEXT_BYTES];
    int length = snprintf(patch, sizeof(patch), "{\"%s\":\"%s\"}", c->field, c->value);
    if (holdfast_client_document_get(service_holdfast(), NULL, c->user, 0, &profile, NULL) !=
        HOLDFAST_CLIENT_OK) {
        respond(request, 503, "unknown");
        return;
    }
    int status = profile->status == 200 ? 412 : profile->status;
    (void)snprintf(version, sizeof(version), "%s", profile->etag);
    holdfast_client_answer_free(profile);
    int tries = 0;
    for (; status == 412 && tries < TRIES_MAX; tries++) {
        struct holdfast_client_call call = {.if_match = version};
        uint64_t now;
        if (holdfast_client_document_patch(service_holdfast(), &call, c->user, patch,
                                           (size_t)length, &profile, NULL) != HOLDFAST_CLIENT_OK) {
            respond(request, 503, "unknown");
            return;
        }
        status = profile->status;
        if (status == 412 && holdfast_client_answer_number(profile, "/current/version", &now)) {
            (void)snprintf(version, sizeof(version), "\"%llu\"", (unsigned long long)now);
        }
        holdfast_client_answer_free(profile);
    }
    respond(request, status, "retries=%d", tries - 1);
}

static void set(struct request *request)
{
    struct change c = {.user = request_text(request, "user"),
                       .field = request_text(request, "field"),
                       .value = request_text(request, "value")};
    if (c.user[0] == '\0' || c.field[0] == '\0') {
        respond(request, 400, "user, field and value are needed");
    } else {
        service_settings()->naive ? set_naive(request, &c) : set_holdfast(request, &c);
    }
}

int main(int argc, char **argv)
{
    static const struct route routes[] = {{"POST", "/set", set}};
    return service_run(argc, argv, routes, 1);
}
