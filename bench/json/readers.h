/*
 * The JSON readers that are compared, behind one form: read a whole text, say whether it is valid.
 *
 * Each is set as strict as its options allow. jansson and json-c build a tree; yajl and ours go
 * through the tokens. Called by: json_bench.c (speed), strictness.c (what is accepted).
 */
#ifndef HF_BENCH_JSON_READERS_H
#define HF_BENCH_JSON_READERS_H

#include "base/types.h"

struct reader {
    const char *name;                 /* as it is printed */
    bool (*read)(struct hf_str text); /* true if the text is accepted */
    const char *numbers_kept;         /* are number lexemes to be had? */
    const char *bytes_kept;           /* are a value's own bytes to be had? */
};

#define READERS_COUNT 4
extern const struct reader readers[READERS_COUNT];

/* json-c, which is loaded at run time; stops the program if it can't be. */
void json_c_load(void);
bool json_c_read(struct hf_str text);

/* Prints which kinds of text each reader accepts, as a Markdown table. */
void strictness_print(void);

#endif
