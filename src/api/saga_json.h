/*
 * Sagas, their histories and definitions as JSON.
 *
 * Owns: the members' names and order; those of events are frozen by tests/golden. Must never: render a saga's secret, a callback
 * token or a header of a call; look beyond what it is given. Called by: entity_json.c, reading_json.c, the routes of sagas.
 */
#ifndef HF_API_SAGA_JSON_H
#define HF_API_SAGA_JSON_H

#include "api/json_write.h"
#include "core/read.h"

/* A saga as it is, with its steps, as an object. */
void hf_saga_json(struct hf_json_writer *w, const struct hf_saga_reading *reading);
/* {"data":[…],"next":…}: without input; of the steps only those that are under way. */
void hf_saga_list_json(struct hf_json_writer *w, const struct hf_query *query,
                       const struct hf_reading *reading);
/* {"data":[…],"next":…}: an item for each act, oldest first. */
void hf_saga_history_json(struct hf_json_writer *w, const struct hf_reading *reading);
/* {"name":…,"version":…,…,"definition":{…}} */
void hf_saga_definition_json(struct hf_json_writer *w, const struct hf_reading *reading);
void hf_saga_definition_list_json(struct hf_json_writer *w, const struct hf_query *query,
                                  const struct hf_reading *reading);

/* The members of SAGA_DEFINED and those behind it. */
void hf_saga_event_json(struct hf_json_writer *w, const struct hf_event *event);
/* The same as the result of an operation: of an event of a saga with the version, state and reason in which the commit left
 * the saga, for steps of the server's own run in the same commit and have events of their own. */
void hf_saga_result_json(struct hf_json_writer *w, const struct hf_commit *commit,
                         const struct hf_event *event);
/* The newest of the commit's events of the saga that `event` is of. */
const struct hf_saga_changed *hf_saga_left_by(const struct hf_commit *commit,
                                              const struct hf_event *event);
/* What was given with it besides: a definition, input and tags, a result. Nothing if there is none. */
void hf_saga_event_texts_json(struct hf_json_writer *w, const struct hf_event *event);
/* The members matched, done, refused, next. */
void hf_saga_bulk_json(struct hf_json_writer *w, const struct hf_saga_bulk *bulk);
/* The operation that it came of: "start_saga", "retry"; NULL: it comes of none. */
const char *hf_saga_event_operation(const struct hf_event *event);

#endif
