/*
 * The audit's third part: what the node answers with, against what the log gives.
 *
 *   read a page of accounts at position P ─► replay the log to P ─► compare ─► next page, at P' ≥ P …
 *
 * So the writer copies a page, and everything else happens here.
 */
#include "base/alloc.h"
#include "base/check.h"
#include "observe/audit_priv.h"

#define PAGE_ACCOUNTS 256u
#define PAGE_ASSETS   HF_QUERIES_MAX
#define BUDGET_US     300000000u /* of the part: the rest of the accounts are the next pass's */

struct live {
    struct hf_audit *audit;
    struct hf_replay *replay;
    uint64_t until_us; /* monotonic */
    bool compared;     /* what was read */
    bool broken;       /* the replay can't go on */
    struct hf_request request;
    uint64_t position; /* that the read saw */
    void (*compare)(struct live *live);

    struct hf_account accounts[PAGE_ACCOUNTS]; /* names point into `names` */
    struct hf_buffer names;
    uint32_t count;
    bool more;

    struct hf_query queries[PAGE_ASSETS];
    struct hf_asset_sums sums[PAGE_ASSETS];
    size_t sum_count;
};

/* ---- reading ---- */

static void done(struct hf_request *request)
{
    struct live *live = request->context;
    struct hf_audit *audit = live->audit;
    HF_CHECK(pthread_mutex_lock(&audit->mutex) == 0);
    audit->answered = true;
    HF_CHECK(pthread_cond_broadcast(&audit->changed) == 0);
    HF_CHECK(pthread_mutex_unlock(&audit->mutex) == 0);
}

/* false: there is no answer, which was noted if it is one. */
static bool read_node(struct live *live, const struct hf_query *queries, size_t count,
                      hf_render_fn render)
{
    struct hf_audit *audit = live->audit;
    struct hf_error error = {0};
    live->request = (struct hf_request){
        .queries = queries, .query_count = count, .render = render, .done = done, .context = live};
    enum hf_err err = hf_node_submit(audit->options.node, &live->request);
    if (err == HF_ERR_OK && !hf_audit_wait(audit)) {
        err = HF_ERR_CLOSED;
    }
    if (err == HF_ERR_OK && !live->request.answer.decided) {
        err = live->request.answer.code;
    }
    live->position = live->request.answer.seen_position;
    hf_answer_release(&live->request.answer);
    if (err == HF_ERR_OK) {
        return true;
    }
    /* Too busy, or not the leader any more: nothing is wrong with the data. */
    bool passes = err == HF_ERR_NOT_READY || err == HF_ERR_OVERLOADED;
    (void)hf_error_set(&error, passes ? HF_ERR_LIMIT : err, "read accounts: %s", hf_err_wire(err));
    hf_audit_note(audit, &error);
    return false;
}

static void take_accounts(struct hf_request *request, size_t index,
                          const struct hf_reading *reading)
{
    struct live *live = request->context;
    (void)index;
    hf_buffer_clear(&live->names);
    live->count = reading->entity_count;
    live->more = reading->more;
    for (uint32_t i = 0; i < live->count; i++) {
        live->accounts[i] = reading->entities[i].account;
        struct hf_str text = live->accounts[i].name.text;
        hf_buffer_bytes(&live->names, text.ptr, text.len);
    }
}

static void take_sums(struct hf_request *request, size_t index, const struct hf_reading *reading)
{
    struct live *live = request->context;
    live->sums[index] = reading->totals;
}

/* ---- comparing ---- */

static bool same_account(const struct hf_account *a, const struct hf_account *b)
{
    return hf_asset_equal(&a->asset, &b->asset) && a->state == b->state &&
           a->has_floor == b->has_floor && a->has_ceiling == b->has_ceiling &&
           a->floor == b->floor && a->ceiling == b->ceiling &&
           memcmp(&a->totals, &b->totals, sizeof(a->totals)) == 0 && a->version == b->version &&
           a->opened_position == b->opened_position && a->opened_at_us == b->opened_at_us &&
           a->modified_at_us == b->modified_at_us && a->last_position == b->last_position &&
           a->metadata_position == b->metadata_position;
}

static void differs(struct live *live, struct hf_str name, const char *how)
{
    hf_audit_damage(live->audit, "account %.*s at position %llu: %s", (int)name.len, name.ptr,
                    (unsigned long long)live->position, how);
}

/* Both in the order of names, so that one that is missing on either side is met. */
static void compare_accounts(struct live *live)
{
    const struct hf_state *state = live->replay->state;
    struct hf_str after = hf_str_from(live->audit->after);
    const struct hf_name *name = hf_names_behind(&state->account_names, after, after.len == 0);
    for (uint32_t i = 0; i < live->count; i++) {
        const struct hf_account *account = &live->accounts[i];
        int order = name == NULL ? 1 : hf_str_compare(name->text, account->name.text);
        if (order != 0) {
            differs(live, order < 0 ? name->text : account->name.text,
                    order < 0 ? "the log has it, the node does not"
                              : "the node has it, the log does not");
            return;
        }
        if (!same_account(account, HF_CONTAINER_OF(name, struct hf_account, name))) {
            differs(live, name->text, "the node's balance or state is not what the log gives");
        }
        live->audit->pass.accounts++;
        name = hf_names_behind(&state->account_names, name->text, false);
    }
    if (!live->more && name != NULL) {
        differs(live, name->text, "the log has it, the node does not");
    }
}

static void compare_sums(struct live *live)
{
    for (size_t i = 0; i < live->sum_count; i++) {
        const struct hf_asset_sums *node = &live->sums[i];
        const struct hf_asset_sums *log = hf_assets_get(&live->replay->state->assets, &node->asset);
        if (log == NULL || log->accounts != node->accounts ||
            !hf_wide_equal(&log->debits_posted, &node->debits_posted) ||
            !hf_wide_equal(&log->credits_posted, &node->credits_posted) ||
            !hf_wide_equal(&log->debits_pending, &node->debits_pending) ||
            !hf_wide_equal(&log->credits_pending, &node->credits_pending)) {
            hf_audit_damage(live->audit,
                            "asset %s at position %llu: the node's sums are not the log's",
                            node->asset.text, (unsigned long long)live->position);
        } else if (!hf_wide_equal(&node->debits_posted, &node->credits_posted) ||
                   !hf_wide_equal(&node->debits_pending, &node->credits_pending)) {
            hf_audit_damage(live->audit, "asset %s at position %llu: Σ debits and Σ credits differ",
                            node->asset.text, (unsigned long long)live->position);
        }
        live->audit->pass.assets++;
    }
}

/* ---- to the position ---- */

static enum hf_err at_commit(void *context, const struct hf_commit *commit,
                             const struct hf_commit_frame *frame, const struct hf_hash *hash,
                             struct hf_error *error)
{
    struct live *live = context;
    struct hf_outside *outside = live->audit->options.outside;
    (void)frame;
    (void)hash;
    if (commit->position == live->position) {
        live->compare(live);
        live->compared = true;
    }
    if (commit->position % 1024 == 0 && outside->monotonic_us(outside) > live->until_us) {
        return hf_error_set(error, HF_ERR_LIMIT, "it took too long");
    }
    return HF_ERR_OK;
}

/* Compares what was read with the replayed state of the same position. false: no further. */
static bool compare_there(struct live *live)
{
    struct hf_audit *audit = live->audit;
    struct hf_error error = {0};
    live->compared = live->replay->state->position == live->position;
    if (live->compared) {
        live->compare(live);
        return true;
    }
    uint64_t seq;
    enum hf_err err = audit->log->driver->seek(audit->log, live->position, &seq, &error);
    if (err != HF_ERR_OK) {
        (void)hf_error_wrap(&error, "find position %llu", (unsigned long long)live->position);
        hf_audit_note(audit, &error);
        live->broken = true;
        return false;
    }
    live->broken = !hf_audit_replay_to(audit, live->replay, seq, at_commit, live);
    return !live->broken && live->compared;
}

/* ---- the part ---- */

static bool has_time(const struct live *live)
{
    struct hf_outside *outside = live->audit->options.outside;
    return outside->monotonic_us(outside) < live->until_us && !hf_audit_is_full(live->audit);
}

/* false: it ended before the last account. */
static bool check_accounts(struct live *live)
{
    struct hf_audit *audit = live->audit;
    live->compare = compare_accounts;
    do {
        struct hf_query query = {
            .type = HF_QUERY_ACCOUNTS, .limit = PAGE_ACCOUNTS, .after = hf_str_from(audit->after)};
        if (!has_time(live) || !read_node(live, &query, 1, take_accounts) || live->names.failed) {
            return false;
        }
        size_t at = 0;
        for (uint32_t i = 0; i < live->count; i++) {
            struct hf_str *text = &live->accounts[i].name.text;
            text->ptr = (const char *)live->names.data + at;
            at += text->len;
        }
        if (!compare_there(live) ||
            !hf_audit_pace(audit, live->count * sizeof(live->accounts[0]))) {
            return false;
        }
        if (live->count > 0) {
            struct hf_str last = live->accounts[live->count - 1].name.text;
            memcpy(audit->after, last.ptr, last.len);
            audit->after[last.len] = '\0';
        }
    } while (live->more);
    audit->after[0] = '\0';
    return true;
}

static void check_sums(struct live *live)
{
    const struct hf_assets *assets = &live->replay->state->assets;
    live->compare = compare_sums;
    for (size_t from = 0; from < assets->count && has_time(live); from += live->sum_count) {
        live->sum_count = hf_min_u64(assets->count - from, PAGE_ASSETS);
        for (size_t i = 0; i < live->sum_count; i++) {
            live->queries[i] =
                (struct hf_query){.type = HF_QUERY_TOTALS, .asset = assets->items[from + i].asset};
        }
        if (!read_node(live, live->queries, live->sum_count, take_sums) || !compare_there(live)) {
            return;
        }
    }
}

/* Σ over all accounts of the replayed state, one by one: the sums that are kept along may be wrong together. */
static void add_up(struct hf_audit *audit, const struct hf_state *state)
{
    struct hf_arena arena;
    size_t count;
    hf_arena_init(&arena);
    const struct hf_asset_totals *totals = hf_state_totals(state, &arena, &count);
    for (size_t i = 0; totals != NULL && i < count; i++) {
        if (totals[i].debits_posted != totals[i].credits_posted ||
            totals[i].debits_pending != totals[i].credits_pending) {
            hf_audit_damage(audit, "asset %s: Σ debits and Σ credits of the log's accounts differ",
                            totals[i].asset.text);
        }
    }
    hf_arena_release(&arena);
}

void hf_audit_check_live(struct hf_audit *audit, struct hf_replay *replay)
{
    struct hf_outside *outside = audit->options.outside;
    struct hf_error error = {0};
    struct live *live = hf_calloc(1, sizeof(*live));
    if (live == NULL) {
        (void)hf_error_set(&error, HF_ERR_NO_MEMORY, "balances: out of memory");
        hf_audit_note(audit, &error);
        return;
    }
    live->audit = audit;
    live->replay = replay;
    live->until_us = outside->monotonic_us(outside) + BUDGET_US;
    hf_buffer_init(&live->names);
    add_up(audit, replay->state);
    (void)check_accounts(live);
    if (!live->broken && audit->pass.result == HF_AUDIT_UNDER_WAY) {
        check_sums(live);
    }
    hf_buffer_release(&live->names);
    hf_free(live);
}
