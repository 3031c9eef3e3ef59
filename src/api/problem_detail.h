/*
 * A refusal in a sentence, with the numbers that a reader needs.
 *
 * Owns: the sentences, frozen by tests/golden (they are part of recorded answers). Must never: know more
 * than the refusal's code and `current`. Called by: answer_json.
 */
#ifndef HF_API_PROBLEM_DETAIL_H
#define HF_API_PROBLEM_DETAIL_H

#include "core/entity.h"

#define HF_PROBLEM_DETAIL_BYTES 640 /* a name, an owner, several amounts and words */

void hf_problem_detail(enum hf_err code, const struct hf_entity *current,
                       char text[HF_PROBLEM_DETAIL_BYTES]);

#endif
