#include "api/json_write.h"

#include "base/json.h"
#include "base/time_text.h"
#include "base/u128.h"

static void begin_value(struct hf_json_writer *w, const char *name)
{
    if (w->comma) {
        hf_buffer_u8(w->to, ',');
    }
    if (name != NULL) {
        hf_buffer_u8(w->to, '"');
        hf_buffer_text(w->to, name);
        hf_buffer_bytes(w->to, "\":", 2);
    }
    w->comma = true;
}

static void begin_nested(struct hf_json_writer *w, const char *name, uint8_t bracket)
{
    begin_value(w, name);
    hf_buffer_u8(w->to, bracket);
    w->comma = false;
}

static void end_nested(struct hf_json_writer *w, uint8_t bracket)
{
    hf_buffer_u8(w->to, bracket);
    w->comma = true;
}

void hf_json_begin_object(struct hf_json_writer *w, const char *name)
{
    begin_nested(w, name, '{');
}

void hf_json_end_object(struct hf_json_writer *w)
{
    end_nested(w, '}');
}

void hf_json_begin_array(struct hf_json_writer *w, const char *name)
{
    begin_nested(w, name, '[');
}

void hf_json_end_array(struct hf_json_writer *w)
{
    end_nested(w, ']');
}

void hf_json_put_text(struct hf_json_writer *w, const char *name, struct hf_str text)
{
    begin_value(w, name);
    hf_json_write_string(w->to, text);
}

void hf_json_put_number(struct hf_json_writer *w, const char *name, uint64_t number)
{
    char digits[HF_U128_TEXT_BYTES];
    size_t count = hf_u128_format(number, digits);
    begin_value(w, name);
    hf_buffer_bytes(w->to, digits, count);
}

static void put_quoted(struct hf_json_writer *w, const char *name, const char *text, size_t bytes)
{
    begin_value(w, name);
    hf_buffer_u8(w->to, '"');
    hf_buffer_bytes(w->to, text, bytes);
    hf_buffer_u8(w->to, '"');
}

void hf_json_put_amount(struct hf_json_writer *w, const char *name, hf_u128 amount)
{
    char digits[HF_U128_TEXT_BYTES];
    size_t count = hf_u128_format(amount, digits);
    put_quoted(w, name, digits, count);
}

void hf_json_put_balance(struct hf_json_writer *w, const char *name, hf_i128 balance)
{
    char digits[HF_I128_TEXT_BYTES];
    size_t count = hf_i128_format(balance, digits);
    put_quoted(w, name, digits, count);
}

void hf_json_put_bool(struct hf_json_writer *w, const char *name, bool value)
{
    begin_value(w, name);
    hf_buffer_text(w->to, value ? "true" : "false");
}

void hf_json_put_time(struct hf_json_writer *w, const char *name, uint64_t time_us)
{
    char text[HF_TIME_TEXT_BYTES];
    hf_time_format(time_us, text);
    put_quoted(w, name, text, strlen(text));
}

void hf_json_put_null(struct hf_json_writer *w, const char *name)
{
    begin_value(w, name);
    hf_buffer_text(w->to, "null");
}

void hf_json_put_raw(struct hf_json_writer *w, const char *name, struct hf_str json)
{
    if (!hf_str_present(json)) {
        hf_json_put_null(w, name);
        return;
    }
    begin_value(w, name);
    hf_buffer_bytes(w->to, json.ptr, json.len);
}
