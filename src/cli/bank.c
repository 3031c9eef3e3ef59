#include "cli/bank.h"

#include "base/alloc.h"
#include "cli/lines.h"
#include "core/name.h"

#define FIELDS        10
#define NUMBER_DIGITS 18 /* of ids */
#define AMOUNT_DIGITS 15 /* before the point */

static const char header[] =
    "\"trans_id\";\"account_id\";\"date\";\"type\";\"operation\";\"amount\";"
    "\"balance\";\"k_symbol\";\"bank\";\"account\"";

enum field {
    TRANS_ID,
    ACCOUNT_ID,
    DATE,
    TYPE,
    OPERATION,
    AMOUNT,
    BALANCE,
    K_SYMBOL,
    BANK,
    ACCOUNT
};

void hf_bank_init(struct hf_bank *bank)
{
    *bank = (struct hf_bank){0};
    hf_arena_init(&bank->arena);
}

void hf_bank_release(struct hf_bank *bank)
{
    hf_free(bank->rows);
    hf_free(bank->accounts);
    hf_free(bank->sides);
    hf_free(bank->bad);
    hf_arena_release(&bank->arena);
}

/* Room for one more item; NULL if memory is short. */
static void *grow(void *items, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity) {
        return items;
    }
    size_t more = *capacity == 0 ? 256 : 2 * *capacity;
    void *grown = hf_realloc(items, more * size);
    if (grown != NULL) {
        *capacity = more;
    }
    return grown;
}

static bool same(struct hf_str text, const char *literal)
{
    return hf_str_equal(text, hf_str_from(literal));
}

/* Digits only, at most `most`. */
static bool parse_digits(struct hf_str text, size_t most, uint64_t *value)
{
    uint64_t number = 0;
    if (text.len == 0 || text.len > most) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return false;
        }
        number = number * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    *value = number;
    return true;
}

/* "123.45" in 1/100. */
static bool parse_amount(struct hf_str text, uint64_t *minor)
{
    uint64_t whole;
    uint64_t cents;
    if (text.len < 4 || text.ptr[text.len - 3] != '.' ||
        !parse_digits((struct hf_str){text.ptr, text.len - 3}, AMOUNT_DIGITS, &whole) ||
        !parse_digits((struct hf_str){text.ptr + text.len - 2, 2}, 2, &cents)) {
        return false;
    }
    *minor = whole * 100 + cents;
    return true;
}

/* Splits at `;` and takes the quotes off. NULL, or what is wrong. */
static const char *split(struct hf_str line, struct hf_str fields[FIELDS])
{
    size_t count = 0;
    size_t begin = 0;
    for (size_t i = 0; i <= line.len; i++) {
        if (i < line.len && line.ptr[i] != ';') {
            continue;
        }
        if (count == FIELDS) {
            return "more than 10 fields";
        }
        struct hf_str field = {line.ptr + begin, i - begin};
        if (field.len >= 2 && field.ptr[0] == '"' && field.ptr[field.len - 1] == '"') {
            field = (struct hf_str){field.ptr + 1, field.len - 2};
        }
        if (field.len > 0 && memchr(field.ptr, '"', field.len) != NULL) {
            return "a quote that does not close";
        }
        fields[count++] = field;
        begin = i + 1;
    }
    return count == FIELDS ? NULL : "fewer than 10 fields";
}

static struct hf_str trim(struct hf_str text)
{
    while (text.len > 0 && text.ptr[0] == ' ') {
        text = (struct hf_str){text.ptr + 1, text.len - 1};
    }
    while (text.len > 0 && text.ptr[text.len - 1] == ' ') {
        text.len--;
    }
    return text;
}

static const char *own_booking(struct hf_str k_symbol)
{
    return same(k_symbol, "UROK")          ? "bank:interest"
           : same(k_symbol, "SLUZBY")      ? "bank:fees"
           : same(k_symbol, "SANKC. UROK") ? "bank:penalty-interest"
                                           : NULL;
}

/* The other side's name into `name`. NULL, or what is wrong. */
static const char *name_side(const struct hf_str fields[FIELDS], char name[HF_NAME_BYTES_MAX + 1])
{
    struct hf_str operation = fields[OPERATION];
    bool cash =
        same(operation, "VKLAD") || same(operation, "VYBER") || same(operation, "VYBER KARTOU");
    bool other_bank = same(operation, "PREVOD Z UCTU") || same(operation, "PREVOD NA UCET");
    const char *own = own_booking(trim(fields[K_SYMBOL]));
    if (!cash && !other_bank && operation.len > 0) {
        return "unknown operation";
    }
    if (own == NULL && other_bank) {
        if (fields[BANK].len == 0) {
            return "a transfer to or from a bank without the bank";
        }
        (void)snprintf(name, HF_NAME_BYTES_MAX + 1, "banks:%.*s", (int)fields[BANK].len,
                       fields[BANK].ptr);
        return hf_name_valid(hf_str_from(name)) ? NULL : "a bank whose name can't be an account's";
    }
    (void)snprintf(name, HF_NAME_BYTES_MAX + 1, "%s",
                   own != NULL ? own
                   : cash      ? "cash"
                               : "bank:other");
    return NULL;
}

/* Index of the side; it is added if it is new. false: memory is short. */
static bool find_side(struct hf_bank *bank, struct hf_str name, uint32_t *index)
{
    for (size_t i = 0; i < bank->side_count; i++) {
        if (hf_str_equal(bank->sides[i], name)) {
            *index = (uint32_t)i;
            return true;
        }
    }
    struct hf_str *sides =
        grow(bank->sides, bank->side_count, &bank->side_capacity, sizeof(*bank->sides));
    if (sides == NULL || bank->side_count == UINT32_MAX) {
        return false;
    }
    bank->sides = sides;
    struct hf_str copy = hf_arena_copy(&bank->arena, name);
    *index = (uint32_t)bank->side_count;
    sides[bank->side_count] = copy;
    bank->side_count += copy.ptr != NULL;
    return copy.ptr != NULL;
}

/* NULL, or what is wrong; `name` gets the other side. */
static const char *parse_row(struct hf_str line, struct hf_bank_row *row,
                             char name[HF_NAME_BYTES_MAX + 1])
{
    struct hf_str fields[FIELDS];
    uint64_t date;
    *row = (struct hf_bank_row){0};
    const char *wrong = split(line, fields);
    if (wrong != NULL) {
        return wrong;
    }
    if (!parse_digits(fields[TRANS_ID], NUMBER_DIGITS, &row->trans_id) ||
        !parse_digits(fields[ACCOUNT_ID], NUMBER_DIGITS, &row->account_id)) {
        return "an id that is no number";
    }
    if (fields[DATE].len != 6 || !parse_digits(fields[DATE], 6, &date)) {
        return "a date that is not YYMMDD";
    }
    row->date = (uint32_t)date;
    row->credit = same(fields[TYPE], "PRIJEM");
    if (!row->credit && !same(fields[TYPE], "VYDAJ") && !same(fields[TYPE], "VYBER")) {
        return "unknown type";
    }
    if (!parse_amount(fields[AMOUNT], &row->amount)) {
        return "an amount without two decimals";
    }
    return name_side(fields, name);
}

static bool add_bad(struct hf_bank *bank, uint64_t line, const char *what)
{
    struct hf_bank_bad *bad =
        grow(bank->bad, bank->bad_count, &bank->bad_capacity, sizeof(*bank->bad));
    if (bad == NULL) {
        return false;
    }
    bank->bad = bad;
    bad[bank->bad_count++] = (struct hf_bank_bad){.line = line, .what = what};
    return true;
}

/* false: memory is short. */
static bool add_line(struct hf_bank *bank, const struct hf_lines *lines, struct hf_str line)
{
    struct hf_bank_row row;
    char name[HF_NAME_BYTES_MAX + 1];
    while (line.len > 0 && line.ptr[line.len - 1] == '\r') {
        line.len--;
    }
    if (lines->number == 1 && hf_str_equal(line, HF_STR(header))) {
        return true;
    }
    /* A row that was cut can look whole if the cut falls into its last field: the line end decides. */
    const char *wrong = lines->ended ? parse_row(line, &row, name) : "the line does not end";
    if (wrong != NULL) {
        return add_bad(bank, lines->number, wrong);
    }
    struct hf_bank_row *rows =
        grow(bank->rows, bank->row_count, &bank->row_capacity, sizeof(*bank->rows));
    if (rows == NULL) {
        return false;
    }
    bank->rows = rows;
    if (!find_side(bank, hf_str_from(name), &row.side)) {
        return false;
    }
    rows[bank->row_count++] = row;
    return true;
}

static int compare_ids(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

/* The accounts in ascending order, and each row's place among them. */
static bool index_accounts(struct hf_bank *bank)
{
    bank->accounts = hf_malloc(bank->row_count * sizeof(*bank->accounts));
    if (bank->accounts == NULL) {
        return false;
    }
    for (size_t i = 0; i < bank->row_count; i++) {
        bank->accounts[i] = bank->rows[i].account_id;
    }
    qsort(bank->accounts, bank->row_count, sizeof(*bank->accounts), compare_ids);
    for (size_t i = 0; i < bank->row_count; i++) {
        if (i == 0 || bank->accounts[i] != bank->accounts[bank->account_count - 1]) {
            bank->accounts[bank->account_count++] = bank->accounts[i];
        }
    }
    for (size_t i = 0; i < bank->row_count; i++) {
        const uint64_t *found = bsearch(&bank->rows[i].account_id, bank->accounts,
                                        bank->account_count, sizeof(*found), compare_ids);
        bank->rows[i].account = (uint32_t)(found - bank->accounts);
    }
    return true;
}

enum hf_err hf_bank_read(struct hf_bank *bank, const char *path, struct hf_error *error)
{
    struct hf_lines lines;
    struct hf_str line;
    enum hf_err code = hf_lines_open(&lines, path, error);
    while (code == HF_ERR_OK) {
        code = hf_lines_next(&lines, &line, error);
        if (code != HF_ERR_OK || !hf_str_present(line)) {
            break;
        }
        if (!add_line(bank, &lines, line) || bank->row_count == UINT32_MAX) {
            code = hf_error_set(error, HF_ERR_NO_MEMORY, "read %s: out of memory", path);
        }
    }
    hf_lines_close(&lines);
    if (code == HF_ERR_OK && bank->row_count == 0) {
        return hf_error_set(error, HF_ERR_INVALID_REQUEST,
                            "%s: no row of a bank's transactions in it", path);
    }
    if (code == HF_ERR_OK && !index_accounts(bank)) {
        code = hf_error_set(error, HF_ERR_NO_MEMORY, "read %s: out of memory", path);
    }
    return code;
}
