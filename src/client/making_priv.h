/*
 * A request of the client, being put together: its path and its JSON body.
 *
 * Owns: the text so far. Must never: send anything but by hf_making_finish. Called by: the calls of every day.
 */
#ifndef HF_CLIENT_MAKING_PRIV_H
#define HF_CLIENT_MAKING_PRIV_H

#include "client/client_priv.h"

/* A request being put together. What goes wrong first is remembered, the rest is dropped. */
struct hf_making {
    struct hf_buffer path;
    struct hf_buffer body;
    bool comma;        /* the next member needs one before it */
    bool query;        /* the path has a '?' */
    const char *wrong; /* static; NULL: nothing */
};

void hf_making_begin(struct hf_making *making);
/* before + name + after */
void hf_making_begin_path(struct hf_making *making, const char *before, const char *name,
                          const char *after);
/* A name as one segment of the path. */
void hf_making_path_name(struct hf_making *making, const char *name);
void hf_making_path_query(struct hf_making *making, const char *name, uint64_t number);

/* Members of the body. NULL and false: absent. */
void hf_making_text(struct hf_making *making, const char *name, const char *value);
void hf_making_required(struct hf_making *making, const char *name, const char *value);
/* JSON as it stands, if it is JSON. */
void hf_making_raw(struct hf_making *making, const char *name, const char *json);
void hf_making_number(struct hf_making *making, const char *name, uint64_t value);
void hf_making_true(struct hf_making *making, const char *name, bool value);
void hf_making_end_body(struct hf_making *making);

/* Sends and releases it. request->body: the caller's own instead of the one made. */
enum holdfast_client_error
hf_making_finish(struct holdfast_client *client, struct hf_making *making,
                 const struct holdfast_client_call *call, struct holdfast_client_request *request,
                 struct holdfast_client_answer **answer, struct holdfast_client_failure *failure);
enum holdfast_client_error hf_making_finish_method(struct holdfast_client *client,
                                                   struct hf_making *making,
                                                   const struct holdfast_client_call *call,
                                                   const char *method,
                                                   struct holdfast_client_answer **answer,
                                                   struct holdfast_client_failure *failure);

#endif
