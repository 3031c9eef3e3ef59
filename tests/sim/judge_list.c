/* Readings of lists, balances, statements and totals: against the model, and the log walked from its beginning. */
#include <stdarg.h>
#include <stdlib.h>

#include "base/check.h"
#include "sim/judge_priv.h"

typedef unsigned long long ull;

HF_PRINTF(2, 3) static bool say(char *difference, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(difference, HF_DIFFERENCE_BYTES, format, arguments);
    va_end(arguments);
    return false;
}

static bool expect_code(const struct run_reading *real, enum hf_err expected, char *difference)
{
    return real->code == expected || say(difference, "the read says %s, expected is %s",
                                         hf_err_wire(real->code), hf_err_wire(expected));
}

/* ---- the log ---- */

/* A walk over all entries of an account, oldest first. */
struct walk {
    const struct judge *judge;
    const struct hf_name *account;
    uint64_t commit;             /* place of the next one */
    uint32_t event;              /* the next one in it */
    const struct hf_commit *at;  /* what was found: its commit… */
    const struct hf_event *what; /* …event… */
    const struct hf_side *side;  /* …and the account's side */
};

static const struct hf_side *side_of(const struct hf_event *event, const struct hf_name *account)
{
    const struct hf_side *sides[2] = {NULL, NULL};
    if (event->type == HF_EVENT_ACCOUNT_CHANGED) {
        sides[0] = &event->changed.side;
    } else if (event->type == HF_EVENT_TRANSFER_POSTED || event->type == HF_EVENT_HOLD_OPENED ||
               event->type == HF_EVENT_HOLD_CAPTURED || event->type == HF_EVENT_HOLD_VOIDED ||
               event->type == HF_EVENT_HOLD_EXPIRED) {
        sides[0] = &event->posting.debit;
        sides[1] = &event->posting.credit;
    }
    for (int i = 0; i < 2; i++) {
        if (sides[i] != NULL && hf_name_equal(&sides[i]->account, account)) {
            return sides[i];
        }
    }
    return NULL;
}

static bool walk_next(struct walk *walk)
{
    for (; walk->commit < walk->judge->checker.model->position; walk->commit++, walk->event = 0) {
        walk->at = &walk->judge->commits[walk->commit].commit;
        while (walk->event < walk->at->event_count) {
            walk->what = walk->at->events[walk->event++];
            walk->side = side_of(walk->what, walk->account);
            if (walk->side != NULL) {
                return true;
            }
        }
    }
    return false;
}

static bool posts(const struct walk *walk, uint64_t *effective_us)
{
    if (walk->what->type != HF_EVENT_TRANSFER_POSTED &&
        walk->what->type != HF_EVENT_HOLD_CAPTURED) {
        return false;
    }
    const struct hf_transfer *transfer = &walk->what->posting.transfer;
    *effective_us = transfer->has_effective_at ? transfer->effective_at_us : walk->at->time_us;
    return true;
}

static hf_i128 change_of(const struct walk *walk)
{
    hf_i128 amount = (hf_i128)walk->what->posting.transfer.amount;
    return walk->side == &walk->what->posting.debit ? -amount : amount;
}

/* The query's account in the model; NULL: there is none, and the code was compared. */
static const struct hf_account *account_of(struct judge *judge, const struct hf_query *query,
                                           const struct run_reading *real, bool *ok,
                                           char *difference)
{
    const struct hf_model_thing *thing =
        hf_model_find(judge->checker.model, HF_KIND_ACCOUNT, &query->name);
    bool there = thing != NULL && !thing->gone;
    *ok = there || expect_code(real, HF_ERR_ACCOUNT_NOT_FOUND, difference);
    return there ? &thing->account : NULL;
}

/* ---- lists by name ---- */

static int compare_things(const void *a, const void *b)
{
    const struct hf_model_thing *left = *(const struct hf_model_thing *const *)a;
    const struct hf_model_thing *right = *(const struct hf_model_thing *const *)b;
    return hf_str_compare(left->name.text, right->name.text);
}

static bool is_listed(const struct hf_query *query, const struct run_reading *real,
                      const struct hf_model_thing *thing)
{
    struct hf_str text = thing->name.text;
    return !thing->gone && (thing->kind != HF_KIND_DOCUMENT || thing->document.exists) &&
           text.len >= query->prefix.len &&
           (query->prefix.len == 0 ||
            memcmp(text.ptr, query->prefix.ptr, query->prefix.len) == 0) &&
           hf_str_compare(text, query->after) > 0 &&
           (!real->more || hf_str_compare(text, real->next_after) <= 0);
}

bool judge_names(struct judge *judge, const struct hf_query *query, const struct run_reading *real,
                 char *difference)
{
    enum hf_kind kind = query->type == HF_QUERY_ACCOUNTS  ? HF_KIND_ACCOUNT
                        : query->type == HF_QUERY_STREAMS ? HF_KIND_STREAM
                                                          : HF_KIND_DOCUMENT;
    size_t count = 0;
    const struct hf_model_thing *all = judge->checker.model->newest[kind];
    const struct hf_model_thing *thing;
    for (thing = all; thing != NULL; thing = thing->before) {
        count += is_listed(query, real, thing);
    }
    if (real->code != HF_ERR_OK || real->entity_count != count || count > query->limit) {
        return say(difference, "the list has %u names, the model %zu", real->entity_count, count);
    }
    const struct hf_model_thing **expected =
        hf_arena_alloc_zero(&judge->scratch, count + 1, sizeof(struct hf_model_thing *));
    HF_CHECK(expected != NULL);
    count = 0;
    for (thing = all; thing != NULL; thing = thing->before) {
        if (is_listed(query, real, thing)) {
            expected[count++] = thing;
        }
    }
    qsort(expected, count, sizeof(struct hf_model_thing *), compare_things);
    for (size_t i = 0; i < count; i++) {
        struct hf_entity model = hf_model_entity(expected[i]);
        model.last_change_key = HF_STR_NONE; /* left out of lists */
        if (!hf_compare_entity("listed", &real->entities[i], &model, difference)) {
            return false;
        }
    }
    return true;
}

/* ---- transfers and holds ---- */

/* The thing that an entry lists, as it is now; NULL: none. */
static const struct hf_model_thing *listed_by(struct judge *judge, const struct hf_query *query,
                                              const struct walk *walk)
{
    uint64_t effective_us;
    if (query->type == HF_QUERY_TRANSFERS) {
        return posts(walk, &effective_us) ? hf_model_find(judge->checker.model, HF_KIND_TRANSFER,
                                                          &walk->what->posting.transfer.name)
                                          : NULL;
    }
    if (walk->what->type != HF_EVENT_HOLD_OPENED) {
        return NULL;
    }
    const struct hf_model_thing *hold =
        hf_model_find(judge->checker.model, HF_KIND_HOLD, &walk->what->posting.hold.name);
    bool wanted = hold != NULL && (query->hold_state == 0 || hold->hold.state == query->hold_state);
    return wanted ? hold : NULL;
}

bool judge_of_account(struct judge *judge, const struct hf_query *query,
                      const struct run_reading *real, char *difference)
{
    bool ok;
    const struct hf_account *account = account_of(judge, query, real, &ok, difference);
    if (account == NULL || !expect_code(real, HF_ERR_OK, difference)) {
        return ok && account == NULL;
    }
    /* Oldest first here, newest first there. */
    uint32_t left = real->entity_count;
    struct walk walk = {.judge = judge, .account = &query->name};
    while (walk_next(&walk)) {
        uint64_t version = walk.side->version;
        const struct hf_model_thing *thing = listed_by(judge, query, &walk);
        if (thing == NULL || (query->from > 0 && version >= query->from) ||
            (real->more && version < real->next_from)) {
            continue;
        }
        if (left == 0) {
            return say(difference, "%.*s is missing from the list", (int)thing->name.text.len,
                       thing->name.text.ptr);
        }
        const struct hf_entity *entity = &real->entities[--left];
        struct hf_entity model = hf_model_entity(thing);
        if (!hf_compare_entity("listed", entity, &model, difference)) {
            return false;
        }
        if (thing->kind == HF_KIND_TRANSFER && entity->transfer.reversed != thing->reversed) {
            return say(difference, "listed: the sum of the reversals differs");
        }
    }
    return left == 0 || say(difference, "the list has %u items too many", left);
}

/* ---- balances and totals ---- */

static bool expect_totals(const struct hf_totals *real, const struct hf_totals *expected,
                          char *difference)
{
    return memcmp(real, expected, sizeof(*real)) == 0 ||
           say(difference, "posted is %lld and available %lld, expected %lld and %lld",
               (long long)hf_totals_posted(real), (long long)hf_totals_available(real),
               (long long)hf_totals_posted(expected), (long long)hf_totals_available(expected));
}

/* After the newest entry up to a time by the recorded clock; or all that counts up to it. */
static struct hf_totals balance_at(struct judge *judge, const struct hf_name *account,
                                   enum hf_query_clock clock, uint64_t most_us)
{
    struct hf_totals totals = {0};
    uint64_t effective_us;
    struct walk walk = {.judge = judge, .account = account};
    while (walk_next(&walk)) {
        if (clock == HF_CLOCK_RECORDED && walk.at->time_us <= most_us) {
            totals = walk.side->totals;
        } else if (clock == HF_CLOCK_EFFECTIVE && posts(&walk, &effective_us) &&
                   effective_us <= most_us) {
            hf_i128 change = change_of(&walk);
            *(change < 0 ? &totals.debits_posted : &totals.credits_posted) +=
                (hf_u128)(change < 0 ? -change : change);
        }
    }
    return totals;
}

static struct hf_totals balance_after(struct judge *judge, const struct hf_query *query)
{
    struct hf_totals totals = {0};
    struct walk walk = {.judge = judge, .account = &query->name};
    while (walk_next(&walk)) {
        if (query->at == HF_AT_NOW ||
            (query->at == HF_AT_VERSION && walk.side->version <= query->version) ||
            (query->at == HF_AT_POSITION && walk.at->position <= query->position)) {
            totals = walk.side->totals;
        }
    }
    return totals;
}

bool judge_balance(struct judge *judge, const struct hf_query *query,
                   const struct run_reading *real, char *difference)
{
    bool ok;
    const struct hf_account *account = account_of(judge, query, real, &ok, difference);
    if (account == NULL) {
        return ok;
    }
    bool by_time = query->at == HF_AT_TIME;
    bool effective = by_time && query->clock == HF_CLOCK_EFFECTIVE;
    bool to_come = (query->at == HF_AT_VERSION && query->version > account->version) ||
                   (query->at == HF_AT_POSITION && query->position > real->position);
    bool too_early = (by_time && !effective && query->at_us < account->opened_at_us) ||
                     (query->at == HF_AT_POSITION && query->position < account->opened_position);
    enum hf_err expected = to_come     ? HF_ERR_INVALID_REQUEST
                           : too_early ? HF_ERR_ACCOUNT_NOT_FOUND
                                       : HF_ERR_OK;
    if (expected != HF_ERR_OK || real->code != HF_ERR_OK) {
        return expect_code(real, expected, difference);
    }
    struct hf_totals totals = by_time ? balance_at(judge, &query->name, query->clock, query->at_us)
                                      : balance_after(judge, query);
    return expect_totals(&real->balance.totals, &totals, difference);
}

bool judge_totals(struct judge *judge, const struct hf_query *query, const struct run_reading *real,
                  char *difference)
{
    struct hf_asset_sums sums = {0};
    const struct hf_model_thing *thing = judge->checker.model->newest[HF_KIND_ACCOUNT];
    for (; thing != NULL; thing = thing->before) {
        if (!thing->gone && hf_asset_equal(&thing->account.asset, &query->asset)) {
            const struct hf_totals *totals = &thing->account.totals;
            sums.accounts++;
            hf_wide_add(&sums.debits_posted, totals->debits_posted);
            hf_wide_add(&sums.credits_posted, totals->credits_posted);
            hf_wide_add(&sums.debits_pending, totals->debits_pending);
            hf_wide_add(&sums.credits_pending, totals->credits_pending);
        }
    }
    return expect_code(real, HF_ERR_OK, difference) &&
           ((real->totals.accounts == sums.accounts &&
             hf_wide_equal(&real->totals.debits_posted, &sums.debits_posted) &&
             hf_wide_equal(&real->totals.credits_posted, &sums.credits_posted) &&
             hf_wide_equal(&real->totals.debits_pending, &sums.debits_pending) &&
             hf_wide_equal(&real->totals.credits_pending, &sums.credits_pending)) ||
            say(difference, "the totals of %.*s differ from the model's", (int)query->asset.len,
                query->asset.text));
}

/* ---- statements ---- */

/* The statement's lines among the entries; returns their count, and compares those that were shown. */
static size_t check_lines(struct judge *judge, const struct hf_query *query,
                          const struct run_reading *real, bool *same)
{
    bool effective = query->clock == HF_CLOCK_EFFECTIVE;
    size_t count = 0;
    struct walk walk = {.judge = judge, .account = &query->name};
    *same = true;
    while (walk_next(&walk)) {
        uint64_t time_us;
        if (!posts(&walk, &time_us)) {
            continue;
        }
        time_us = effective ? time_us : walk.at->time_us;
        if (time_us < query->from_us || time_us >= query->to_us ||
            walk.side->version < query->from ||
            (real->more && walk.side->version >= real->next_from)) {
            continue;
        }
        bool shown = false;
        for (uint32_t i = 0; i < real->line_count; i++) {
            const struct run_line *line = &real->lines[i];
            shown =
                shown || (line->version == walk.side->version && line->time_us == time_us &&
                          line->position == walk.at->position && line->change == change_of(&walk));
        }
        *same = *same && shown;
        count++;
    }
    return count;
}

/* Each line's balance follows from the one before it, and they are in order. */
static bool check_order(const struct run_reading *real, bool from_the_first, char *difference)
{
    hf_i128 posted = hf_totals_posted(&real->opening.totals);
    for (uint32_t i = 0; i < real->line_count; i++) {
        const struct run_line *line = &real->lines[i];
        const struct run_line *before = i == 0 ? NULL : &real->lines[i - 1];
        if (before != NULL &&
            (before->time_us > line->time_us ||
             (before->time_us == line->time_us && before->version >= line->version))) {
            return say(difference, "the statement's lines are out of order");
        }
        if ((i > 0 || from_the_first) && line->posted != posted + line->change) {
            return say(difference, "line %u of the statement does not follow", i);
        }
        posted = line->posted;
    }
    return real->more || !from_the_first || posted == hf_totals_posted(&real->closing.totals) ||
           say(difference, "the statement's lines do not lead to its closing balance");
}

bool judge_statement(struct judge *judge, const struct hf_query *query,
                     const struct run_reading *real, char *difference)
{
    bool ok;
    bool same;
    const struct hf_account *account = account_of(judge, query, real, &ok, difference);
    if (account == NULL) {
        return ok;
    }
    size_t count = check_lines(judge, query, real, &same);
    bool whole = query->whole || query->clock == HF_CLOCK_EFFECTIVE;
    if (real->code != HF_ERR_OK || (whole && count > query->limit)) {
        return expect_code(real, whole && count > query->limit ? HF_ERR_TOO_LARGE : HF_ERR_OK,
                           difference);
    }
    struct hf_totals none = {0};
    struct hf_totals opening =
        query->from_us == 0 ? none
                            : balance_at(judge, &query->name, query->clock, query->from_us - 1);
    struct hf_totals closing =
        balance_at(judge, &query->name, query->clock, query->to_us - (query->to_us != UINT64_MAX));
    if (count != real->line_count || !same) {
        return say(difference, "the statement has %u lines, the log %zu", real->line_count, count);
    }
    return expect_totals(&real->opening.totals, &opening, difference) &&
           expect_totals(&real->closing.totals, &closing, difference) &&
           check_order(real, query->from == 0, difference);
}
