/* `when`: comparing JSON values without floats. */
#include "base/json.h"
#include "core/saga_definition_priv.h"

#define EXPONENT_DIGITS_MAX 18u
#define VALUE_BYTES_MAX     HF_DATA_BYTES_MAX /* of what a condition looks at */

/* ---- numbers ---- */

/* d.ddd × 10^order, d not 0. */
struct decimal {
    bool zero;
    bool negative;
    int64_t order;
    struct hf_str digits; /* from d on, perhaps with a point between them */
};

/* false: the exponent is beyond what we compare. */
static bool decimal_of(struct hf_str lexeme, struct decimal *number)
{
    size_t at = lexeme.len > 0 && lexeme.ptr[0] == '-' ? 1 : 0;
    size_t end = at;
    size_t first = SIZE_MAX; /* digit that is not 0 */
    size_t point = SIZE_MAX;
    for (; end < lexeme.len && lexeme.ptr[end] != 'e' && lexeme.ptr[end] != 'E'; end++) {
        char c = lexeme.ptr[end];
        if (c == '.') {
            point = end;
        } else if (c != '0' && first == SIZE_MAX) {
            first = end;
        }
    }
    *number = (struct decimal){.zero = first == SIZE_MAX, .negative = at == 1};
    if (number->zero) {
        return true;
    }
    number->digits = (struct hf_str){lexeme.ptr + first, end - first};
    point = point == SIZE_MAX ? end : point;
    number->order = first < point ? (int64_t)(point - first) - 1 : -(int64_t)(first - point);
    if (end == lexeme.len) {
        return true;
    }
    bool down = lexeme.ptr[end + 1] == '-';
    size_t digit = end + 1 + (lexeme.ptr[end + 1] == '-' || lexeme.ptr[end + 1] == '+');
    while (digit < lexeme.len && lexeme.ptr[digit] == '0') {
        digit++;
    }
    if (lexeme.len - digit > EXPONENT_DIGITS_MAX) {
        return false;
    }
    int64_t exponent = 0;
    for (; digit < lexeme.len; digit++) {
        exponent = exponent * 10 + (lexeme.ptr[digit] - '0');
    }
    number->order += down ? -exponent : exponent;
    return true;
}

/* The next digit, 0 behind the last one. */
static char next_digit(struct hf_str digits, size_t *at)
{
    if (*at < digits.len && digits.ptr[*at] == '.') {
        (*at)++;
    }
    return *at < digits.len ? digits.ptr[(*at)++] : '0';
}

static int compare_digits(struct hf_str a, struct hf_str b)
{
    size_t at_a = 0;
    size_t at_b = 0;
    while (at_a < a.len || at_b < b.len) {
        char digit_a = next_digit(a, &at_a);
        char digit_b = next_digit(b, &at_b);
        if (digit_a != digit_b) {
            return digit_a < digit_b ? -1 : 1;
        }
    }
    return 0;
}

/* <0, 0, >0 */
static int compare_decimals(const struct decimal *a, const struct decimal *b)
{
    int sign_a = a->zero ? 0 : (a->negative ? -1 : 1);
    int sign_b = b->zero ? 0 : (b->negative ? -1 : 1);
    if (sign_a != sign_b || sign_a == 0) {
        return sign_a - sign_b;
    }
    int order = a->order != b->order ? (a->order < b->order ? -1 : 1)
                                     : compare_digits(a->digits, b->digits);
    return order * sign_a;
}

/* ---- values ---- */

enum relation {
    LESS,
    EQUAL,
    GREATER,
    DIFFERENT, /* without order */
};

static enum relation relation_of(int order)
{
    return order < 0 ? LESS : (order > 0 ? GREATER : EQUAL);
}

static enum relation relate_canonical(struct hf_str a, struct hf_str b, bool *short_memory)
{
    struct hf_buffer forms[2];
    hf_buffer_init(&forms[0]);
    hf_buffer_init(&forms[1]);
    enum relation relation = DIFFERENT;
    if (!hf_json_canonical(a, &forms[0]) || !hf_json_canonical(b, &forms[1])) {
        *short_memory = true;
    } else if (hf_str_equal((struct hf_str){(const char *)forms[0].data, forms[0].size_bytes},
                            (struct hf_str){(const char *)forms[1].data, forms[1].size_bytes})) {
        relation = EQUAL;
    }
    hf_buffer_release(&forms[0]);
    hf_buffer_release(&forms[1]);
    return relation;
}

static enum relation relate(struct hf_str a, struct hf_str b, struct hf_arena *arena,
                            bool *short_memory)
{
    struct hf_json readers[2];
    hf_json_init(&readers[0], a, arena);
    hf_json_init(&readers[1], b, arena);
    enum hf_json_token type_a = hf_json_next(&readers[0]);
    enum hf_json_token type_b = hf_json_next(&readers[1]);
    if (type_a != type_b) {
        return DIFFERENT;
    }
    if (type_a == HF_JSON_STRING) {
        struct hf_str text_a = hf_json_string(&readers[0], arena);
        struct hf_str text_b = hf_json_string(&readers[1], arena);
        if (!hf_str_present(text_a) || !hf_str_present(text_b)) {
            *short_memory = true;
            return DIFFERENT;
        }
        return relation_of(hf_str_compare(text_a, text_b));
    }
    if (type_a == HF_JSON_NUMBER) {
        struct decimal number_a;
        struct decimal number_b;
        return decimal_of(readers[0].raw, &number_a) && decimal_of(readers[1].raw, &number_b)
                   ? relation_of(compare_decimals(&number_a, &number_b))
                   : DIFFERENT;
    }
    return relate_canonical(a, b, short_memory);
}

bool hf_saga_compares(struct hf_str value, enum hf_saga_compare compare, struct hf_str operand,
                      bool *short_memory)
{
    struct hf_arena arena;
    hf_arena_init(&arena);
    enum relation relation = relate(value, operand, &arena, short_memory);
    hf_arena_release(&arena);
    switch (compare) {
    case HF_WHEN_EQ:
        return relation == EQUAL;
    case HF_WHEN_NE:
        return relation != EQUAL;
    case HF_WHEN_GT:
        return relation == GREATER;
    case HF_WHEN_GTE:
        return relation == GREATER || relation == EQUAL;
    case HF_WHEN_LT:
        return relation == LESS;
    case HF_WHEN_LTE:
        return relation == LESS || relation == EQUAL;
    }
    return false;
}

/* Of one value that equals a's operand b is seen to be false. */
static bool rules_out(const struct hf_saga_when *a, const struct hf_saga_when *b,
                      bool *short_memory)
{
    return a->compare == HF_WHEN_EQ &&
           !hf_saga_compares(a->operand, b->compare, b->operand, short_memory);
}

bool hf_saga_whens_exclude(const struct hf_saga_when *a, const struct hf_saga_when *b,
                           bool *short_memory)
{
    return a->present && b->present && hf_str_equal(a->value.text, b->value.text) &&
           (rules_out(a, b, short_memory) || rules_out(b, a, short_memory));
}

bool hf_saga_when_holds(const struct hf_saga_when *when, const struct hf_saga_scope *scope,
                        bool *short_memory)
{
    if (!when->present) {
        return true;
    }
    struct hf_buffer value;
    struct hf_str what;
    hf_buffer_init(&value);
    enum hf_render outcome =
        hf_template_render(&when->value, scope, VALUE_BYTES_MAX, &value, &what);
    bool holds = outcome == HF_RENDER_OK &&
                 hf_saga_compares((struct hf_str){(const char *)value.data, value.size_bytes},
                                  when->compare, when->operand, short_memory);
    *short_memory = *short_memory || outcome == HF_RENDER_NO_MEMORY;
    hf_buffer_release(&value);
    return holds && !*short_memory;
}
