/* Balances at some point: a time is turned into a position, then the entry is found (read_point.c), and its commit alone is
 * read. */
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

bool hf_balance_find(struct hf_read_work *r, const struct hf_account *account,
                     const struct hf_entry_bound *bound, struct hf_balance *balance)
{
    struct hf_entry_place place;
    *balance = as_now(account);
    if (balance->version <= bound->version && balance->position <= bound->position) {
        return true;
    }
    if (!hf_entry_locate(r, account, bound, &place)) {
        return false;
    }
    *balance = as_opened(account);
    if (place.version == 0) {
        return true;
    }
    struct hf_entry_walk walk = hf_entry_walk_at(r, account, &place);
    struct hf_page_item item;
    if (hf_entry_walk_next(&walk, &item) != HF_WALK_ENTRY) {
        return false;
    }
    *balance = after_entry(&item);
    return true;
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
    if (r->query->version > account->version) {
        hf_read_refuse(r, HF_ERR_INVALID_REQUEST, "The account has no such version yet.");
        return;
    }
    struct hf_entry_bound bound = {.version = r->query->version, .position = UINT64_MAX};
    (void)hf_balance_find(r, account, &bound, &r->out->balance);
}

static void read_at_position(struct hf_read_work *r, const struct hf_account *account,
                             uint64_t position)
{
    struct hf_entry_bound bound = {.version = UINT64_MAX, .position = position};
    if (position < account->opened_position) {
        hf_read_refuse(r, HF_ERR_ACCOUNT_NOT_FOUND, "The account was not open yet at that point.");
    } else {
        (void)hf_balance_find(r, account, &bound, &r->out->balance);
    }
}

static void read_at_time(struct hf_read_work *r, const struct hf_account *account)
{
    uint64_t position;
    if (hf_view_position_at(r->view, r->query->at_us, &position) == HF_LOOKUP_PRESENT) {
        read_at_position(r, account, position);
    }
}

void hf_read_balance(struct hf_read_work *r)
{
    const struct hf_account *account = hf_read_find_account(r);
    if (account == NULL) {
        return;
    }
    switch (r->query->at) {
    case HF_AT_NOW:
        r->out->balance = as_now(account);
        return;
    case HF_AT_TIME:
        if (r->query->clock == HF_CLOCK_EFFECTIVE) {
            read_effective(r, account);
        } else {
            read_at_time(r, account);
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
        read_at_position(r, account, r->query->position);
        return;
    }
}
