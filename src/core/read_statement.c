/*
 * Statements: opening balance, the transfers of a period, closing balance.
 *
 * By the recorded clock the period is a run of versions, between the entries at its two ends; by the effective
 * clock it is whatever of all the account's transfers counts within.
 */
#include "base/check.h"
#include "core/read_priv.h"

static void too_large(struct hf_read_work *r)
{
    hf_read_refuse(r, HF_ERR_TOO_LARGE,
                   "The statement has too many lines or entries for one answer: take a shorter "
                   "period, or pages by the recorded clock (JSON).");
}

/* Room for query->limit lines. */
static bool begin_lines(struct hf_read_work *r)
{
    r->out->statement.lines = hf_read_alloc(r, r->query->limit, sizeof(*r->out->statement.lines));
    return r->out->statement.lines != NULL;
}

static void reverse(struct hf_statement_line *lines, uint32_t count)
{
    for (uint32_t i = 0; i < count / 2; i++) {
        struct hf_statement_line line = lines[i];
        lines[i] = lines[count - 1 - i];
        lines[count - 1 - i] = line;
    }
}

/* The lines of the versions start down to last; false: refused, or something is needed. */
static bool collect(struct hf_read_work *r, const struct hf_account *account, uint64_t start,
                    uint64_t last, bool effective)
{
    struct hf_statement *statement = &r->out->statement;
    struct hf_entry_walk walk = hf_entry_walk_begin(r, account, start, last, true);
    struct hf_page_item item;
    enum hf_entry_walk_step step;
    while ((step = hf_entry_walk_next(&walk, &item)) == HF_WALK_ENTRY) {
        struct hf_statement_line line = {
            .commit = item.commit, .event = item.event, .side = item.side};
        if (!hf_entry_posting(&item, &line.time_us, &line.debit) ||
            (effective && line.time_us >= r->query->to_us)) {
            continue;
        }
        line.posted = hf_totals_posted(&item.side->totals);
        hf_u128 amount = item.event->posting.transfer.amount;
        struct hf_totals *closing = &statement->closing.totals;
        struct hf_totals *opening = &statement->opening.totals;
        if (effective) {
            /* Parts of sums that fit: no overflow. */
            *(line.debit ? &closing->debits_posted : &closing->credits_posted) += amount;
            if (line.time_us < r->query->from_us) {
                *(line.debit ? &opening->debits_posted : &opening->credits_posted) += amount;
                continue;
            }
        } else {
            line.time_us = item.commit->time_us;
        }
        if (statement->line_count == r->query->limit) {
            too_large(r);
            return false;
        }
        statement->lines[statement->line_count++] = line;
    }
    if (step == HF_WALK_OVER) {
        too_large(r);
    }
    return step == HF_WALK_END;
}

/* ---- by the recorded clock ---- */

/* The balance before a time; UINT64_MAX: now. */
static bool balance_before(struct hf_read_work *r, const struct hf_account *account,
                           uint64_t time_us, struct hf_balance *balance)
{
    struct hf_entry_bound bound = {.version = UINT64_MAX, .position = UINT64_MAX};
    if (time_us <= account->opened_at_us) {
        *balance = (struct hf_balance){.has_pending = true};
        return true;
    }
    if (time_us != UINT64_MAX &&
        hf_view_position_at(r->view, time_us - 1, &bound.position) != HF_LOOKUP_PRESENT) {
        return false;
    }
    return hf_balance_find(r, account, &bound, balance);
}

static void read_recorded(struct hf_read_work *r, const struct hf_account *account)
{
    struct hf_statement *statement = &r->out->statement;
    bool opened = balance_before(r, account, r->query->from_us, &statement->opening);
    bool closed = balance_before(r, account, r->query->to_us, &statement->closing);
    if (!opened || !closed || !begin_lines(r)) {
        return;
    }
    uint64_t first = hf_max_u64(statement->opening.version + 1, r->query->from);
    uint64_t newest = statement->closing.version;
    if (first > newest) {
        return;
    }
    uint64_t page = r->query->whole ? HF_QUERY_WALK_MAX : r->query->limit;
    uint64_t start = newest - first >= page ? first + page - 1 : newest;
    if (r->query->whole && start < newest) {
        too_large(r);
        return;
    }
    if (collect(r, account, start, first, false)) {
        reverse(statement->lines, statement->line_count);
        r->out->more = start < newest;
        r->out->next_from = start + 1;
    }
}

/* ---- by the effective clock ---- */

static int compare_lines(const void *a, const void *b)
{
    const struct hf_statement_line *left = a;
    const struct hf_statement_line *right = b;
    if (left->time_us != right->time_us) {
        return left->time_us < right->time_us ? -1 : 1;
    }
    return left->side->version < right->side->version ? -1 : 1;
}

static void read_effective(struct hf_read_work *r, const struct hf_account *account)
{
    struct hf_statement *statement = &r->out->statement;
    if (account->version > HF_QUERY_WALK_MAX) {
        too_large(r);
        return;
    }
    if (!begin_lines(r) || !collect(r, account, account->version, 1, true)) {
        return;
    }
    qsort(statement->lines, statement->line_count, sizeof(*statement->lines), compare_lines);
    hf_i128 posted = hf_totals_posted(&statement->opening.totals);
    for (uint32_t i = 0; i < statement->line_count; i++) {
        struct hf_statement_line *line = &statement->lines[i];
        hf_i128 amount = (hf_i128)line->event->posting.transfer.amount;
        posted += line->debit ? -amount : amount;
        line->posted = posted;
    }
    HF_CHECK(posted == hf_totals_posted(&statement->closing.totals));
}

void hf_read_statement(struct hf_read_work *r)
{
    const struct hf_account *account = hf_read_find_account(r);
    if (account == NULL) {
        return;
    }
    if (r->query->clock == HF_CLOCK_EFFECTIVE) {
        read_effective(r, account);
    } else {
        read_recorded(r, account);
    }
}
