/*
 * Short forms for the rows of the tables of verbs.
 *
 * Owns: macros alone. Must never: be included by anything but tables of verbs. Called by: remote_verbs.c,
 * remote_queue.c.
 */
#ifndef HF_CLI_REMOTE_TABLE_H
#define HF_CLI_REMOTE_TABLE_H

#include "cli/remote.h"

#define OPERAND(member, number)                                                                    \
    {                                                                                              \
        .name = (member), .form = HF_FORM_TEXT, .operand = (number)                                \
    }
#define TEXT(member, from)                                                                         \
    {                                                                                              \
        .name = (member), .form = HF_FORM_TEXT, .option = (from)                                   \
    }
#define NUMBER(member, from)                                                                       \
    {                                                                                              \
        .name = (member), .form = HF_FORM_NUMBER, .option = (from)                                 \
    }
#define JSON(member, from)                                                                         \
    {                                                                                              \
        .name = (member), .form = HF_FORM_JSON, .option = (from)                                   \
    }
#define IS_TRUE(member, from)                                                                      \
    {                                                                                              \
        .name = (member), .form = HF_FORM_TRUE, .option = (from)                                   \
    }
#define IS_NULL(member, from)                                                                      \
    {                                                                                              \
        .name = (member), .form = HF_FORM_NULL, .option = (from)                                   \
    }
#define CONSTANT(member, value)                                                                    \
    {                                                                                              \
        .name = (member), .form = HF_FORM_TEXT, .constant = (value)                                \
    }
#define NEEDED(member, how, from)                                                                  \
    {                                                                                              \
        .name = (member), .form = (how), .option = (from), .required = true                        \
    }
#define PARTS(...)   ((const struct hf_remote_part[]){__VA_ARGS__, {.name = NULL}})
#define NO_MEMBERS   ((const struct hf_remote_part[]){{.name = NULL}})
#define COLUMNS(...) ((const struct hf_remote_column[]){__VA_ARGS__, {.title = NULL}})
#define VERBS(table) .verbs = (table), .verb_count = HF_ARRAY_COUNT(table)
#define BIT(option)  HF_REMOTE_BIT(HF_REMOTE_##option)

#endif
