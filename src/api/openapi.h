/*
 * docs/openapi.yaml, inside of the program: what GET /openapi.yaml answers.
 *
 * Owns: nothing; the array is made of the file by tools/embed.py when the program is built. Called by: api's door.
 */
#ifndef HF_API_OPENAPI_H
#define HF_API_OPENAPI_H

#include "base/types.h"

extern const unsigned char hf_openapi_yaml[];
extern const size_t hf_openapi_yaml_bytes;

static inline struct hf_str hf_openapi_text(void)
{
    return (struct hf_str){(const char *)hf_openapi_yaml, hf_openapi_yaml_bytes};
}

#endif
