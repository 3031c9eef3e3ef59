#include "api/problem_detail.h"

#include <stdarg.h>
#include <stdio.h>

#include "api/entity_json.h"
#include "base/time_text.h"
#include "core/saga_wire.h"

struct sentence {
    char *text;  /* HF_PROBLEM_DETAIL_BYTES */
    size_t used; /* without the NUL */
};

static void say(struct sentence *s, const char *format, ...) HF_PRINTF(2, 3);

static void say(struct sentence *s, const char *format, ...)
{
    size_t room = HF_PROBLEM_DETAIL_BYTES - s->used;
    va_list arguments;
    va_start(arguments, format);
    int written = vsnprintf(s->text + s->used, room, format, arguments);
    va_end(arguments);
    if (written > 0) {
        s->used += (size_t)written < room ? (size_t)written : room - 1;
    }
}

static void say_name(struct sentence *s, struct hf_str text)
{
    say(s, "%.*s", (int)text.len, text.ptr);
}

static void say_amount(struct sentence *s, hf_u128 amount)
{
    char digits[HF_U128_TEXT_BYTES];
    hf_u128_format(amount, digits);
    say(s, "%s", digits);
}

static void say_balance(struct sentence *s, hf_i128 balance)
{
    char digits[HF_I128_TEXT_BYTES];
    hf_i128_format(balance, digits);
    say(s, "%s", digits);
}

static void say_time(struct sentence *s, uint64_t time_us)
{
    char text[HF_TIME_TEXT_BYTES];
    hf_time_format(time_us, text);
    say(s, "%s", text);
}

/* ---- by thing ---- */

static void account_balances(struct sentence *s, const struct hf_account *account)
{
    say_name(s, account->name.text);
    say(s, " is at version %llu with posted ", (unsigned long long)account->version);
    say_balance(s, hf_totals_posted(&account->totals));
    say(s, " and available ");
    say_balance(s, hf_totals_available(&account->totals));
}

static void funds(struct sentence *s, const struct hf_account *account)
{
    say_name(s, account->name.text);
    say(s, " has ");
    say_balance(s, hf_totals_available(&account->totals));
    say(s, " available and a floor of ");
    say_balance(s, account->floor);
    say(s, ": too little for this operation.");
}

static void account_limit(struct sentence *s, const struct hf_account *account)
{
    say_name(s, account->name.text);
    say(s, " has ");
    say_balance(s, hf_totals_incoming(&account->totals));
    say(s, " posted and pending to it");
    if (account->has_ceiling) {
        say(s, " and a ceiling of ");
        say_balance(s, account->ceiling);
    }
    say(s, ": the operation would go past %s.",
        account->has_ceiling ? "it, or a total past 2^127 - 1" : "a total of 2^127 - 1");
}

static void hold_limit(struct sentence *s, const struct hf_hold *hold)
{
    say_name(s, hold->name.text);
    say(s, " has ");
    say_amount(s, hold->remaining);
    say(s, " left and ");
    if (hold->expires_at_us == 0) {
        say(s, "never expires: more can't be captured, and there is nothing to extend.");
        return;
    }
    say(s, "expires at ");
    say_time(s, hold->expires_at_us);
    say(s, ": more can't be captured, and it extends to a later time only.");
}

static void transfer_limit(struct sentence *s, const struct hf_transfer *transfer)
{
    say_name(s, transfer->name.text);
    say(s, " moved ");
    say_amount(s, transfer->amount);
    say(s, ", of which ");
    say_amount(s, transfer->reversed);
    say(s, " are reversed: at most ");
    say_amount(s, transfer->amount - transfer->reversed);
    say(s, " can be reversed now.");
}

static void limit_exceeded(struct sentence *s, const struct hf_entity *current)
{
    if (current->kind == HF_KIND_ACCOUNT) {
        account_limit(s, &current->account);
    } else if (current->kind == HF_KIND_HOLD) {
        hold_limit(s, &current->hold);
    } else if (current->kind == HF_KIND_TRANSFER) {
        transfer_limit(s, &current->transfer);
    } else if (current->kind == HF_KIND_NONE) {
        say(s, "The time or amount lies beyond what is allowed: a message is delivered at most ten "
               "years "
               "ahead.");
    }
}

static void condition_failed(struct sentence *s, const struct hf_entity *current)
{
    say(s, "The condition does not hold: ");
    switch (current->kind) {
    case HF_KIND_ACCOUNT:
        account_balances(s, &current->account);
        break;
    case HF_KIND_STREAM:
        say_name(s, current->stream.name.text);
        say(s, " is at version %llu", (unsigned long long)current->stream.version);
        break;
    case HF_KIND_DOCUMENT:
        say_name(s, current->document.name.text);
        say(s, " is at version %llu", (unsigned long long)current->document.version);
        break;
    case HF_KIND_TRANSFER:
        say_name(s, current->transfer.name.text);
        say(s, " exists");
        break;
    case HF_KIND_HOLD:
        say_name(s, current->hold.name.text);
        say(s, " is %s", hf_hold_state_wire(current->hold.state));
        break;
    case HF_KIND_SUBSCRIPTION:
        say_name(s, current->subscription.name.text);
        say(s, " is at version %llu, or the receipt is no longer live",
            (unsigned long long)current->subscription.version);
        break;
    case HF_KIND_SAGA:
        say_name(s, current->saga.name.text);
        say(s, " is at version %llu and %s", (unsigned long long)current->saga.version,
            hf_saga_state_wire((enum hf_saga_state)current->saga.state));
        break;
    case HF_KIND_SAGA_DEFINITION:
        say_name(s, current->saga_definition.name.text);
        say(s, " has a version %llu", (unsigned long long)current->saga_definition.version);
        break;
    case HF_KIND_NONE:
    case HF_KIND_EVENT:
    case HF_KIND_LEASE:
    case HF_KIND_KEY:
    case HF_KIND_MESSAGE:
    case HF_KIND_COUNT:
        say(s, "there is no such thing");
        break;
    }
    say(s, ".");
}

static void lease(struct sentence *s, const struct hf_entity *current)
{
    if (current->kind != HF_KIND_LEASE) {
        say(s, "Nobody holds the lease: acquire it anew and use the new token.");
        return;
    }
    say_name(s, current->lease.name.text);
    say(s, " is held by ");
    say_name(s, current->lease.owner);
    say(s, " with token %llu until ", (unsigned long long)current->lease.token);
    say_time(s, current->lease.expires_at_us);
    say(s, ".");
}

static void hold_not_open(struct sentence *s, const struct hf_entity *current)
{
    if (current->kind != HF_KIND_HOLD) {
        return;
    }
    say_name(s, current->hold.name.text);
    if (current->hold.state == HF_HOLD_OPEN) {
        say(s, " would have been ended by an operation of this commit before.");
        return;
    }
    say(s, " is %s since ", hf_hold_state_wire(current->hold.state));
    say_time(s, current->hold.modified_at_us);
    say(s, "; ");
    say_amount(s, current->hold.captured);
    say(s, " of ");
    say_amount(s, current->hold.amount);
    say(s, " were captured.");
}

/* `current` is as without the commit: the state may have come of an operation before in it. */
static void account_state(struct sentence *s, const struct hf_entity *current,
                          enum hf_account_state state)
{
    if (current->kind != HF_KIND_ACCOUNT) {
        return;
    }
    say_name(s, current->account.name.text);
    if (current->account.state == state) {
        say(s, " is %s.", hf_account_state_wire(state));
    } else {
        say(s, " would have been %s by an operation of this commit before.",
            hf_account_state_wire(state));
    }
}

static void account_closed(struct sentence *s, const struct hf_entity *current)
{
    account_state(s, current, HF_ACCOUNT_CLOSED);
}

static void account_frozen(struct sentence *s, const struct hf_entity *current)
{
    account_state(s, current, HF_ACCOUNT_FROZEN);
}

static void account_not_empty(struct sentence *s, const struct hf_entity *current)
{
    if (current->kind != HF_KIND_ACCOUNT) {
        return;
    }
    const struct hf_account *account = &current->account;
    say_name(s, account->name.text);
    say(s, " has ");
    say_balance(s, hf_totals_posted(&account->totals));
    say(s, " posted, ");
    say_amount(s, account->totals.debits_pending);
    say(s, " pending from it and ");
    say_amount(s, account->totals.credits_pending);
    say(s, " pending to it: all must be 0 to close it.");
}

static void asset_mismatch(struct sentence *s, const struct hf_entity *current)
{
    if (current->kind == HF_KIND_ACCOUNT) {
        struct hf_str asset = hf_asset_str(&current->account.asset);
        say_name(s, current->account.name.text);
        say(s, " holds %.*s.", (int)asset.len, asset.ptr);
    }
}

static void id_taken(struct sentence *s, const struct hf_entity *current)
{
    if (current->kind == HF_KIND_NONE) {
        say(s, "The id can't be used (again): a refused commit spent it, or this commit names it "
               "twice.");
    } else if (current->kind == HF_KIND_STREAM) {
        say(s, "The event's id is taken; ");
        say_name(s, current->stream.name.text);
        say(s, " is at version %llu.", (unsigned long long)current->stream.version);
    } else {
        say(s, "The id is taken by another request: see current.");
    }
}

static void message_exists(struct sentence *s, const struct hf_entity *current)
{
    if (current->kind != HF_KIND_MESSAGE) {
        say(s, "This commit names the message's id twice.");
        return;
    }
    say(s, "The id is taken by message %llu-%u of ", (unsigned long long)current->message.position,
        current->message.index);
    say_name(s, current->message.topic.text);
    say(s, ", which another commit published.");
}

static void partial_replay(struct sentence *s, const struct hf_entity *current)
{
    say(s,
        "These %s, or some of them, are stored already by another commit: send alone what is "
        "missing.",
        current->kind == HF_KIND_MESSAGE ? "messages" : "events");
}

static void subscription_exists(struct sentence *s, const struct hf_entity *current)
{
    if (current->kind == HF_KIND_SUBSCRIPTION) {
        say_name(s, current->subscription.name.text);
        say(s, " is at version %llu: ", (unsigned long long)current->subscription.version);
    }
    say(s, "filter, order and beginning of a subscription never change; other settings need "
           "If-Match.");
}

/* "g1 is at version 2 and succeeded: <what follows from it>" */
static void say_saga(struct sentence *s, const struct hf_entity *current, const char *rest)
{
    if (current->kind == HF_KIND_SAGA) {
        say_name(s, current->saga.name.text);
        say(s, " is at version %llu and %s: ", (unsigned long long)current->saga.version,
            hf_saga_state_wire((enum hf_saga_state)current->saga.state));
    }
    say(s, "%s", rest);
}

static void saga_exists(struct sentence *s, const struct hf_entity *current)
{
    say_saga(s, current, "the id is taken for ever by a saga that was started with other content.");
}

static void saga_ended(struct sentence *s, const struct hf_entity *current)
{
    say_saga(s, current, "nothing moves a saga that has ended.");
}

static void saga_past_pivot(struct sentence *s, const struct hf_entity *current)
{
    say_saga(s, current, "its pivot is done, so that nothing of it is undone any more.");
}

static void saga_step_state(struct sentence *s, const struct hf_entity *current)
{
    say_saga(s, current, "its steps are not in a state for this; read the saga.");
}

/* The codes whose sentence is more than their title. */
static void about(struct sentence *s, enum hf_err code, const struct hf_entity *current)
{
    static const struct {
        enum hf_err code;
        void (*tell)(struct sentence *, const struct hf_entity *);
        const char *text;
    } rows[] = {
        {HF_ERR_LIMIT_EXCEEDED, limit_exceeded, NULL},
        {HF_ERR_CONDITION_FAILED, condition_failed, NULL},
        {HF_ERR_FENCED, lease, NULL},
        {HF_ERR_LEASE_HELD, lease, NULL},
        {HF_ERR_HOLD_NOT_OPEN, hold_not_open, NULL},
        {HF_ERR_ACCOUNT_CLOSED, account_closed, NULL},
        {HF_ERR_ACCOUNT_FROZEN, account_frozen, NULL},
        {HF_ERR_ACCOUNT_NOT_EMPTY, account_not_empty, NULL},
        {HF_ERR_ASSET_MISMATCH, asset_mismatch, NULL},
        {HF_ERR_TRANSFER_EXISTS, id_taken, NULL},
        {HF_ERR_HOLD_EXISTS, id_taken, NULL},
        {HF_ERR_EVENT_EXISTS, id_taken, NULL},
        {HF_ERR_PARTIAL_REPLAY, partial_replay, NULL},
        {HF_ERR_MESSAGE_EXISTS, message_exists, NULL},
        {HF_ERR_SUBSCRIPTION_EXISTS, subscription_exists, NULL},
        {HF_ERR_SUBSCRIPTION_NOT_FOUND, NULL,
         "The subscription that the operation names does not exist."},
        {HF_ERR_SAGA_EXISTS, saga_exists, NULL},
        {HF_ERR_SAGA_ENDED, saga_ended, NULL},
        {HF_ERR_SAGA_PAST_PIVOT, saga_past_pivot, NULL},
        {HF_ERR_SAGA_STEP_STATE, saga_step_state, NULL},
        {HF_ERR_SAGA_NOT_FOUND, NULL,
         "There is no such saga; of one that has ended only the id is kept after a time."},
        {HF_ERR_SAGA_STEP_NOT_FOUND, NULL, "The saga's definition has no step of this name."},
        {HF_ERR_SAGA_DEFINITION_NOT_FOUND, NULL,
         "No definition is stored under this name and version: PUT "
         "/v1/saga-definitions/{name}/{version} stores one."},
        {HF_ERR_DEFINITION_EXISTS, NULL,
         "This version is stored with other content and never changes: store a new version."},
        {HF_ERR_HOLD_OWNED_BY_SAGA, NULL,
         "A saga that has not ended owns the hold: only the saga captures or voids it."},
        {HF_ERR_STALE_RECEIPT, NULL,
         "The message was settled, its lease ran out, or an earlier one of its key went back: it "
         "was not "
         "counted. It comes again with another receipt unless it has ended."},
        {HF_ERR_ACK_OUT_OF_ORDER, NULL,
         "An earlier message of the same key is still out: settle the messages of a key in their "
         "order."},
        {HF_ERR_SUBSCRIPTION_PUSHED, NULL,
         "The subscription has a push: Holdfast sends its messages itself, and nobody else "
         "receives them. PUT it without push to receive from it."},
        {HF_ERR_ACCOUNT_NOT_FOUND, NULL, "An account that the operation names does not exist."},
        {HF_ERR_TRANSFER_NOT_FOUND, NULL, "The transfer that the operation names does not exist."},
        {HF_ERR_HOLD_NOT_FOUND, NULL, "The hold that the operation names does not exist."},
        {HF_ERR_DOCUMENT_NOT_FOUND, NULL, "The document that the operation names does not exist."},
        {HF_ERR_IDEMPOTENCY_KEY_REUSED, NULL,
         "The key belongs to another request: send that one again, or take a new key."},
        {HF_ERR_CANCELLED, NULL,
         "The key was cancelled: nothing was done under it, nor ever will be."},
        {HF_ERR_TOO_LARGE, NULL, "The commit or its document would be larger than is allowed."},
    };
    if (code == HF_ERR_INSUFFICIENT_FUNDS && current->kind == HF_KIND_ACCOUNT) {
        funds(s, &current->account);
        return;
    }
    for (size_t i = 0; i < HF_ARRAY_COUNT(rows); i++) {
        if (rows[i].code == code && rows[i].tell != NULL) {
            rows[i].tell(s, current);
        } else if (rows[i].code == code) {
            say(s, "%s", rows[i].text);
        }
    }
}

void hf_problem_detail(enum hf_err code, const struct hf_entity *current,
                       char text[HF_PROBLEM_DETAIL_BYTES])
{
    struct sentence s = {.text = text};
    text[0] = '\0';
    about(&s, code, current);
    if (s.used == 0) {
        say(&s, "%s.", hf_err_title(code));
    }
}
