/*
 * libholdfast_client: transfers by the thousand. Packed records (docs/protocol.md), several requests under way, and
 * a batcher that gathers the single transfers of many threads.
 *
 * Every record is idempotent by its id for ever. So give a record its id once, where the payment is decided, keep it
 * with the payment, and send that same record again after any error but INVALID: it happens once, however often. No
 * idempotency key goes with it.
 *
 * Each function tells who frees what, and returns an enum holdfast_client_error as those of holdfast_client.h do; here
 * UNKNOWN means: send the same records again. Three ways in, each upon the one before:
 *
 *   packed call   one request of up to 8,190 records, until it is definite       holdfast_client_packed
 *   ticket        the same, started now and waited for later                     holdfast_client_packed_start, …_wait
 *   batcher       single records and short chains of any number of threads,      holdfast_client_batcher_…
 *                 gathered into packed requests
 *
 * A request under way has a connection of its own. libcurl does not pipeline HTTP/1.1, and the server, which answers the
 * requests of one connection in their order, decides those of several connections side by side.
 */
#ifndef HOLDFAST_CLIENT_PACKED_H
#define HOLDFAST_CLIENT_PACKED_H

#include <holdfast_client.h>
#include <holdfast_packed.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HOLDFAST_CLIENT_TICKETS_MAX                                                                \
    64 /* requests of one client that are started and not waited for */

/* ---- ids and records ---- */

struct holdfast_client_id {
    uint8_t bytes[16]; /* in the order of their hex digits; all zero = none */
};

/* A new id: the ms since 1970, then random bits (a UUID of version 7, RFC 9562), which keeps the server's index small. Of one
 * thread each is above the one before. Any thread. */
HOLDFAST_CLIENT_API struct holdfast_client_id holdfast_client_id_new(void);
/* The id by which packed records call what has a name: of a UUID's 8-4-4-4-12 text its own bytes, else the first 16 of
 * the SHA-256 of the name. */
HOLDFAST_CLIENT_API struct holdfast_client_id holdfast_client_id_of(const char *name);
/* 8-4-4-4-12 in lower case, by which JSON and the command line call it; text has 37 bytes. */
HOLDFAST_CLIENT_API void holdfast_client_id_text(const struct holdfast_client_id *id,
                                                 char text[37]);

/* A record as it is sent; holdfast_packed.h has its offsets. */
struct holdfast_client_record {
    uint8_t bytes[HOLDFAST_PACKED_BYTES];
};

/* A transfer, hold, capture or void. Zero-initialise; zero = absent. */
struct holdfast_client_packed_transfer {
    struct holdfast_client_id id;        /* yours, new, not zero */
    struct holdfast_client_id from;      /* account that is debited; zero with CAPTURE, VOID */
    struct holdfast_client_id to;        /* account that is credited; likewise */
    struct holdfast_client_id pending;   /* CAPTURE, VOID: the hold */
    struct holdfast_client_id user_data; /* yours; never looked at */
    const char *asset;                   /* "USD/2"; NULL with CAPTURE, VOID */
    uint64_t amount;       /* minor units, above 0; zero with VOID. The lower 64 of 128 bits */
    uint64_t amount_high;  /* the upper 64 bits. CAPTURE: both UINT64_MAX = all that is left */
    uint64_t effective_us; /* since 1970, for statements; of transfers only */
    uint64_t timeout_ms;   /* HOLD: until it expires; 0 = never */
    uint32_t code;         /* yours; never looked at */
    uint32_t flags;        /* HOLDFAST_FLAG_LINKED, HOLD, CAPTURE, VOID, FINAL */
};

/* An account. Amounts are signed numbers of 128 bits: low as it stands, high with the sign. */
struct holdfast_client_packed_account {
    struct holdfast_client_id id; /* yours, not zero */
    const char *asset;            /* "USD/2" */
    uint64_t floor;               /* the lower 64 bits; zero with NO_FLOOR */
    int64_t floor_high;           /* the upper ones: -1 with a negative floor */
    uint64_t ceiling;             /* likewise; zero without CEILING */
    int64_t ceiling_high;
    uint32_t flags; /* HOLDFAST_FLAG_NO_FLOOR, CEILING */
};

/* The record of it. false: the id is zero, or the asset has more than 24 bytes (an account's) or is missing there; then
 * *record is all zero. Everything else is for the server to judge. */
HOLDFAST_CLIENT_API bool
holdfast_client_pack_transfer(const struct holdfast_client_packed_transfer *transfer,
                              struct holdfast_client_record *record);
HOLDFAST_CLIENT_API bool
holdfast_client_pack_account(const struct holdfast_client_packed_account *account,
                             struct holdfast_client_record *record);

/* "insufficient_funds" for 170: the code as JSON has it; "ok" for 0, "unknown" for a number this library does not know. Static. */
HOLDFAST_CLIENT_API const char *holdfast_client_code_text(uint16_t code);

/* ---- one request ---- */

enum holdfast_client_packed_kind {
    HOLDFAST_CLIENT_TRANSFERS = 1, /* POST /v1/transfers */
    HOLDFAST_CLIENT_ACCOUNTS = 2,  /* POST /v1/accounts */
};

/* What a packed call carries. The records are read until the call returns (a ticket's: until it is waited for), and stay yours. */
struct holdfast_client_packed {
    enum holdfast_client_packed_kind kind;
    const struct holdfast_client_record *records; /* each with its id; a chain ends within them */
    size_t record_count;                          /* 1 to HOLDFAST_PACKED_RECORDS_MAX */
    uint64_t total_timeout_ms;                    /* 0 = the client's */
};

/* A record that has no effect. */
struct holdfast_client_not_accepted {
    uint32_t index; /* of the record in the request */
    uint16_t code;  /* HOLDFAST_CODE_…: why */
    uint16_t flags; /* HOLDFAST_FLAG_REPLAYED, CHAIN */
};

/* accepted + replayed + refused_count = records. What is not among the refused has taken effect, now or earlier. Read only;
 * members may be added at the end. */
struct holdfast_client_packed_result {
    uint64_t position; /* of this request's commit; 0 = nothing was recorded, for all was known */
    uint64_t time_us;  /* of that commit, since 1970; 0 with position 0 */
    uint32_t accepted; /* records that took effect by the sending that was answered */
    uint32_t replayed; /* that had taken effect before: by an earlier sending of this call, too */
    uint32_t refused_count;                             /* of what follows */
    const struct holdfast_client_not_accepted *refused; /* index ascends, each once */
    const char *address;                                /* who answered */
    unsigned attempts;                                  /* 1 = at once */
};

/* Sends the records, the same bytes, on one address after the other, until there is a whole answer that fits them, or the total time
 * is over. OK: *result has the outcome of every record, to be freed by holdfast_client_packed_result_free.
 *
 * INVALID: no records, more than 8,190, an id that is zero, a chain without its end: nothing was sent.
 * REFUSED: the server refuses the request as a whole (400, 401, 403, 406, 413, 415: failure->status, code, text): nothing
 *   was done, no id is spent. failure->text has the place ("/17/flags") if one record is the cause.
 * UNAVAILABLE, MISCONFIGURED: nothing was done. UNKNOWN: perhaps done; send the same records again, by this call or
 *   another one. Also when a refusal as a whole follows a sending whose outcome is not known; 413 then: in smaller
 *   requests. NO_MEMORY: as UNKNOWN if failure->attempts > 0.
 * failure may be NULL; failure->key is always "". Any thread, at the same time too. */
HOLDFAST_CLIENT_API enum holdfast_client_error
holdfast_client_packed(struct holdfast_client *client, const struct holdfast_client_packed *packed,
                       struct holdfast_client_packed_result **result,
                       struct holdfast_client_failure *failure);
/* NULL is fine. */
HOLDFAST_CLIENT_API void
holdfast_client_packed_result_free(struct holdfast_client_packed_result *result);

/* ---- several requests of one thread ---- */

struct holdfast_client_ticket; /* a packed call under way, on a thread of its own */

/* Starts a packed call and returns. OK: *ticket is to be given to holdfast_client_packed_wait, before which neither the
 * records may change nor the client be freed. INVALID and NO_MEMORY (a thread, too): nothing was sent. BUSY: the client has
 * HOLDFAST_CLIENT_TICKETS_MAX of them already. Requests under way may be decided in any order. */
HOLDFAST_CLIENT_API enum holdfast_client_error holdfast_client_packed_start(
    struct holdfast_client *client, const struct holdfast_client_packed *packed,
    struct holdfast_client_ticket **ticket, struct holdfast_client_failure *failure);
/* Would holdfast_client_packed_wait return at once? */
HOLDFAST_CLIENT_API bool holdfast_client_packed_done(const struct holdfast_client_ticket *ticket);
/* Waits for the end of the call, gives what holdfast_client_packed would have given, and frees the ticket: once each, from any
 * one thread. */
HOLDFAST_CLIENT_API enum holdfast_client_error
holdfast_client_packed_wait(struct holdfast_client_ticket *ticket,
                            struct holdfast_client_packed_result **result,
                            struct holdfast_client_failure *failure);

/* ---- the batcher ---- */

/*
 * Gathers transfers, holds, captures and voids into packed requests, with up to requests_max of them under way, each on a
 * thread and connection of the batcher's. A request leaves at once if none is under way; else as soon as it is
 * full or its oldest record has waited delay_us. So one caller alone waits for nobody, and many share the cost.
 *
 * - Every submission that was taken (OK) ends exactly once: its call-back is called, or its blocking call returns, with
 *   the outcome of its own records.
 * - Order: of two submissions under way at once, either may be decided first. Who needs an order waits for the first, or puts
 *   both into one submission, or says requests_max 1: then the order is that of the submissions, as long as all end with OK.
 * - One wrong record refuses a request as a whole. The batcher then divides the request, until only the submission with that
 *   record gets REFUSED.
 * - Time: a record waits for its turn first; total_timeout_ms counts from the first sending of its request.
 */
struct holdfast_client_batcher;

/* Zero-initialise; 0 stands for the default in brackets. */
struct holdfast_client_batcher_options {
    unsigned
        records_max; /* of a request [8,190; at most that]: 128 bytes each, if a proxy limits bodies */
    unsigned requests_max; /* under way, 1 to 64 [4] */
    unsigned waiting_max;  /* records that wait for their turn, at least records_max [65,536] */
    unsigned delay_us; /* how long a record may wait for others while requests are under way [0] */
    uint64_t total_timeout_ms; /* of a request with all its attempts [the client's] */
};

/* Starts the batcher's threads. The client must outlive it. All memory is taken here: (256 bytes a record) x (waiting_max +
 * requests_max x records_max) at most. INVALID or NO_MEMORY. */
HOLDFAST_CLIENT_API enum holdfast_client_error holdfast_client_batcher_new(
    struct holdfast_client *client, const struct holdfast_client_batcher_options *options,
    struct holdfast_client_batcher **batcher, struct holdfast_client_failure *failure);

/* The outcome of one record. */
struct holdfast_client_outcome {
    uint16_t code;  /* 0 = it has taken effect; else HOLDFAST_CODE_…: why it has none */
    uint16_t flags; /* of a code: HOLDFAST_FLAG_REPLAYED, CHAIN */
};

/* The outcome of a submission. Pointers live during the call-back. */
struct holdfast_client_submitted {
    enum holdfast_client_error error;               /* OK, or as of holdfast_client_packed */
    const struct holdfast_client_failure *failure;  /* NULL with OK */
    const struct holdfast_client_outcome *outcomes; /* of each record, in order; NULL but with OK */
    size_t record_count;                            /* as submitted */
    /* Of the request's commit: what has taken effect did so there or earlier. 0 = all records of the request were known. */
    uint64_t position;
    unsigned attempts; /* sendings of the request */
};

/* Records that go in one request, one behind the other. */
struct holdfast_client_submission {
    /* Copied; ids not zero; a chain ends within them. 1 to records_max. */
    const struct holdfast_client_record *records;
    size_t record_count;
    uint64_t room_wait_ms; /* how long to wait if the batcher is full; 0 = BUSY at once */
    /* Called once, on a thread of the batcher's, or on that of close for what is not sent any more. Others wait for their
     * outcomes meanwhile: be brief. May submit (a full batcher is then BUSY at once), but must not wait for the batcher, nor
     * close or free it. */
    void (*done)(void *context, const struct holdfast_client_submitted *submitted);
    void *context;
};

/* OK: taken; done will be called, perhaps before this returns. Else it will never be, and nothing was sent: INVALID, BUSY
 * (full), CLOSED. Any thread; those that wait for room get it in the order of their calls. */
HOLDFAST_CLIENT_API enum holdfast_client_error
holdfast_client_batcher_submit(struct holdfast_client_batcher *batcher,
                               const struct holdfast_client_submission *submission,
                               struct holdfast_client_failure *failure);

/* One record, and waits for its outcome; also for room, as long as the total time-out is. OK: outcome->code tells. The errors are
 * those of submit and of holdfast_client_packed. A record with HOLDFAST_FLAG_LINKED is INVALID: submit its whole chain. */
HOLDFAST_CLIENT_API enum holdfast_client_error holdfast_client_batcher_transfer(
    struct holdfast_client_batcher *batcher, const struct holdfast_client_record *record,
    struct holdfast_client_outcome *outcome, struct holdfast_client_failure *failure);

/* Waits until everything that was submitted before has ended, and its call-backs have returned. Records do not wait for others
 * meanwhile. Not from a call-back. */
HOLDFAST_CLIENT_API void holdfast_client_batcher_flush(struct holdfast_client_batcher *batcher);

/* From now on submissions are CLOSED, also those that wait for room. What was taken is sent for at most drain_ms more; what has not been
 * sent by then ends as UNAVAILABLE: nothing has changed. Returns when everything has ended and the threads are gone; what
 * is under way may need its total time-out. Once; not from a call-back. */
HOLDFAST_CLIENT_API void holdfast_client_batcher_close(struct holdfast_client_batcher *batcher,
                                                       uint64_t drain_ms);
/* Closes, without a limit, if that has not been done, and frees. No other call may be under way: close first, wait for your
 * threads, then free. NULL is fine. */
HOLDFAST_CLIENT_API void holdfast_client_batcher_free(struct holdfast_client_batcher *batcher);

#ifdef __cplusplus
}
#endif

#endif
