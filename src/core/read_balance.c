/* Balances at some point: found by binary search over the indexed entries, then a few steps of a walk. */
#include "core/decide_priv.h"
#include "core/read_priv.h"

static struct hf_balance as_opened(const struct hf_account *account)
{
    return (struct hf_balance){
        .has_pending = true,
        .position = account->opened_position,
        .time_us = account->opened_at_us,
    };
}

static struct hf_balance as_now(const struct hf_account *account)
{
    return (struct hf_balance){
        .totals = account->totals,
        .has_pending = true,
        .version = account->version,
        .position = account->version == 0 ? account->opened_position : account->last_position,
        .time_us = account->version == 0 ? account->opened_at_us : account->modified_at_us,
    };
}

static struct hf_balance after_entry(const struct hf_page_item *item)
{
    return (struct hf_balance){
        .totals = item->side->totals,
        .has_pending = true,
        .version = item->side->version,
        .position = item->commit->position,
        .time_us = item->commit->time_us,
    };
}

static bool within(const struct hf_entry_bound *bound, uint64_t position, uint64_t time_us)
{
    return (bound->by_time ? time_us : position) <= bound->most;
}

/* Is the indexed entry number × stride within the bound? false: something is needed. */
static bool probe(struct hf_read_work *r, const struct hf_account *account,
                  const struct hf_entry_bound *bound, uint64_t number, bool *is_within)
{
    struct hf_index_value value;
    enum hf_lookup lookup = hf_view_lookup(r->view, HF_INDEX_ENTRY, &account->name.id,
                                           number * HF_ENTRY_STRIDE, &value);
    r->view->damaged = r->view->damaged || lookup == HF_LOOKUP_ABSENT;
    if (lookup != HF_LOOKUP_PRESENT) {
        return false;
    }
    if (!bound->by_time) {
        *is_within = within(bound, value.position, 0);
        return true;
    }
    const struct hf_commit *commit = hf_view_commit(r->view, value.position);
    if (commit == NULL) {
        return false;
    }
    *is_within = within(bound, 0, commit->time_us);
    return true;
}

/* The numbers of the indexed entries between which the bound lies: *low is within (0: as opened), *high is not or
 * does not exist. A step that lacks something asks for both next ones, too: half as many rounds of fetching. */
static bool search(struct hf_read_work *r, const struct hf_account *account,
                   const struct hf_entry_bound *bound, uint64_t *low, uint64_t *high)
{
    *low = 0;
    *high = account->version / HF_ENTRY_STRIDE + 1;
    while (*high - *low > 1) {
        uint64_t middle = *low + (*high - *low) / 2;
        bool is_within;
        if (!probe(r, account, bound, middle, &is_within)) {
            uint64_t below = *low + (middle - *low) / 2;
            uint64_t above = middle + (*high - middle) / 2;
            bool ignored;
            (void)(below > *low && probe(r, account, bound, below, &ignored));
            (void)(above > middle && probe(r, account, bound, above, &ignored));
            return false;
        }
        *(is_within ? low : high) = middle;
    }
    return true;
}

/* The balance after entry `version`, or after the newest below it that is within the bound (NULL: it itself). */
static bool walk_down(struct hf_read_work *r, const struct hf_account *account, uint64_t version,
                      uint64_t last, const struct hf_entry_bound *bound, struct hf_balance *balance)
{
    struct hf_entry_walk walk = hf_entry_walk_begin(r, account, version, last, true);
    struct hf_page_item item;
    enum hf_entry_walk_step step;
    while ((step = hf_entry_walk_next(&walk, &item)) == HF_WALK_ENTRY) {
        if (bound == NULL || within(bound, item.commit->position, item.commit->time_us)) {
            *balance = after_entry(&item);
            return true;
        }
    }
    if (step == HF_WALK_OVER) {
        hf_read_refuse(r, HF_ERR_TOO_LARGE, "The commits around that point are too large to read.");
    }
    *balance = as_opened(account);
    return step == HF_WALK_END;
}

bool hf_balance_find(struct hf_read_work *r, const struct hf_account *account,
                     const struct hf_entry_bound *bound, struct hf_balance *balance)
{
    struct hf_balance now = as_now(account);
    if (account->version == 0 || within(bound, now.position, now.time_us)) {
        *balance = now;
        return true;
    }
    uint64_t low, high;
    if (!search(r, account, bound, &low, &high)) {
        return false;
    }
    uint64_t start = hf_min_u64(high * HF_ENTRY_STRIDE, account->version);
    uint64_t last = hf_max_u64(low * HF_ENTRY_STRIDE, 1);
    return walk_down(r, account, start, last, bound, balance);
}

bool hf_entry_posting(const struct hf_page_item *item, uint64_t *effective_us, bool *debit)
{
    if ((HF_TRANSFER_EVENTS & HF_EVENT_BIT(item->event->type)) == 0) {
        return false;
    }
    const struct hf_transfer *transfer = &item->event->posting.transfer;
    *effective_us = transfer->has_effective_at ? transfer->effective_at_us : item->commit->time_us;
    *debit = item->side == &item->event->posting.debit;
    return true;
}

/* Every transfer that counts up to at_us, whenever it was recorded. */
static void read_effective(struct hf_read_work *r, const struct hf_account *account)
{
    struct hf_balance *balance = &r->out->balance;
    if (account->version > HF_QUERY_WALK_MAX) {
        hf_read_refuse(r, HF_ERR_TOO_LARGE,
                       "The account has more entries than a read by the effective clock looks at "
                       "(10,000); the recorded clock has no such limit.");
        return;
    }
    *balance = as_now(account);
    balance->totals = (struct hf_totals){0};
    balance->has_pending = false;
    struct hf_entry_walk walk = hf_entry_walk_begin(r, account, account->version, 1, true);
    struct hf_page_item item;
    enum hf_entry_walk_step step;
    while ((step = hf_entry_walk_next(&walk, &item)) == HF_WALK_ENTRY) {
        uint64_t effective_us;
        bool debit;
        if (hf_entry_posting(&item, &effective_us, &debit) && effective_us <= r->query->at_us) {
            /* Parts of sums that fit: no overflow. */
            *(debit ? &balance->totals.debits_posted : &balance->totals.credits_posted) +=
                item.event->posting.transfer.amount;
        }
    }
    if (step == HF_WALK_OVER) {
        hf_read_refuse(r, HF_ERR_TOO_LARGE,
                       "The account's commits are too large for a read by the effective clock.");
    }
}

static void read_at_version(struct hf_read_work *r, const struct hf_account *account)
{
    uint64_t version = r->query->version;
    if (version > account->version) {
        hf_read_refuse(r, HF_ERR_INVALID_REQUEST, "The account has no such version yet.");
    } else if (version == account->version) {
        r->out->balance = as_now(account);
    } else if (version == 0) {
        r->out->balance = as_opened(account);
    } else {
        (void)walk_down(r, account, version, version, NULL, &r->out->balance);
    }
}

static void read_within(struct hf_read_work *r, const struct hf_account *account,
                        const struct hf_entry_bound *bound)
{
    if (!within(bound, account->opened_position, account->opened_at_us)) {
        hf_read_refuse(r, HF_ERR_ACCOUNT_NOT_FOUND, "The account was not open yet at that point.");
    } else {
        (void)hf_balance_find(r, account, bound, &r->out->balance);
    }
}

void hf_read_balance(struct hf_read_work *r)
{
    const struct hf_account *account = hf_read_find_account(r);
    if (account == NULL) {
        return;
    }
    struct hf_entry_bound bound = {.by_time = true, .most = r->query->at_us};
    switch (r->query->at) {
    case HF_AT_NOW:
        r->out->balance = as_now(account);
        return;
    case HF_AT_TIME:
        if (r->query->clock == HF_CLOCK_EFFECTIVE) {
            read_effective(r, account);
        } else {
            read_within(r, account, &bound);
        }
        return;
    case HF_AT_VERSION:
        read_at_version(r, account);
        return;
    case HF_AT_POSITION:
        if (r->query->position > r->state->position) {
            hf_read_refuse(r, HF_ERR_INVALID_REQUEST,
                           "There is no such position yet; min_position waits for it.");
            return;
        }
        bound = (struct hf_entry_bound){.most = r->query->position};
        read_within(r, account, &bound);
        return;
    }
}
