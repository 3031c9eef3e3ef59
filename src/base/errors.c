#include "base/errors.h"

#include "base/check.h"

#include <stdarg.h>
#include <stdio.h>

struct error_row {
    uint32_t number;   /* as in enum hf_err */
    int status;        /* HTTP */
    const char *name;  /* C name without prefix */
    const char *wire;  /* code in problem documents */
    const char *title; /* constant per code */
};

static const struct error_row rows[] = {
#define HF_ERROR_ROW(name, number, status, code, title) {number, status, #name, code, title},
    HF_ERRORS(HF_ERROR_ROW)
#undef HF_ERROR_ROW
};

static const struct error_row unknown_row = {0, 500, "UNKNOWN", "unknown", "Unknown"};

static const struct error_row *row_of(uint32_t number)
{
    for (size_t i = 0; i < HF_ARRAY_COUNT(rows); i++) {
        if (rows[i].number == number) {
            return &rows[i];
        }
    }
    return &unknown_row;
}

enum hf_err hf_error_set(struct hf_error *error, enum hf_err code, const char *format, ...)
{
    if (error == NULL) {
        return code;
    }
    va_list arguments;
    va_start(arguments, format);
    error->code = code;
    (void)vsnprintf(error->text, sizeof(error->text), format, arguments);
    va_end(arguments);
    return code;
}

enum hf_err hf_error_wrap(struct hf_error *error, const char *format, ...)
{
    if (error == NULL) {
        return HF_ERR_OK;
    }
    char context[HF_ERROR_TEXT_BYTES];
    char inner[HF_ERROR_TEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(context, sizeof(context), format, arguments);
    va_end(arguments);
    memcpy(inner, error->text, sizeof(inner));
    inner[sizeof(inner) - 1] = '\0';
    size_t context_bytes = strlen(context);
    size_t room = sizeof(error->text) - 1;
    size_t used = context_bytes < room ? context_bytes : room;
    memcpy(error->text, context, used);
    int whole_bytes = snprintf(error->text + used, sizeof(error->text) - used, ": %s", inner);
    HF_CHECK(whole_bytes >= 0); /* what does not fit is cut, as the header says */
    return error->code;
}

const char *hf_err_name(enum hf_err code)
{
    return row_of((uint32_t)code)->name;
}

const char *hf_err_wire(enum hf_err code)
{
    return row_of((uint32_t)code)->wire;
}

const char *hf_err_title(enum hf_err code)
{
    return row_of((uint32_t)code)->title;
}

int hf_err_status(enum hf_err code)
{
    return row_of((uint32_t)code)->status;
}

bool hf_err_known(uint32_t number)
{
    return row_of(number) != &unknown_row;
}
