#include "api/log_json.h"

static void put_form(struct hf_json_writer *w, const char *name, uint64_t segments, uint64_t bytes)
{
    hf_json_begin_object(w, name);
    hf_json_put_number(w, "segments", segments);
    hf_json_put_number(w, "bytes", bytes);
    hf_json_end_object(w);
}

void hf_json_put_log_bytes(struct hf_json_writer *w, const char *name,
                           const struct hf_log_bytes *bytes)
{
    hf_json_begin_object(w, name);
    put_form(w, "plain", bytes->plain_segments, bytes->plain_bytes);
    put_form(w, "compressed", bytes->compressed_segments, bytes->compressed_bytes);
    put_form(w, "archived", bytes->archived_segments, bytes->archived_bytes);
    hf_json_end_object(w);
}
