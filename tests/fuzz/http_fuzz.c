/*
 * Fuzz target of src/http's parsers: any bytes are refused or read, and how they were cut does not matter.
 *
 * The first two bytes say where and how finely the input is cut; the rest is a connection's input, of which
 * requests are read one behind the other as the server does.
 */
#include "unit/http_reading.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    size_t first = data[0];
    size_t piece = (size_t)data[1] + 1;
    const char *text = (const char *)data + 2;
    size_t left = size - 2;
    for (int requests = 0; left > 0 && requests < 4; requests++) {
        struct reading whole = reading_of(text, left, left, 1);
        struct reading bytes = reading_of(text, left, 1, 1);
        struct reading pieces = reading_of(text, left, first, piece);
        HF_CHECK(reading_equal(&whole, &bytes) && reading_equal(&whole, &pieces));
        HF_CHECK(whole.progress != HF_HTTP_BAD || (whole.status >= 400 && whole.status <= 505));
        HF_CHECK(whole.progress != HF_HTTP_DONE || whole.used_bytes <= left);
        bool goes_on = whole.progress == HF_HTTP_DONE;
        text += whole.used_bytes;
        left -= whole.used_bytes;
        hf_buffer_release(&whole.summary);
        hf_buffer_release(&bytes.summary);
        hf_buffer_release(&pieces.summary);
        if (!goes_on) {
            break;
        }
    }
    return 0;
}
