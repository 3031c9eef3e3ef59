/*
 * Holdfast's packed records: offsets, flags and media types of docs/protocol.md, for whoever writes or reads them.
 *
 * Numbers are little-endian and unsigned unless told; ids are 16 bytes in the order of their hex digits. A record is
 * HOLDFAST_PACKED_BYTES long; what is not named here is zero. Nothing here allocates, fails or keeps a pointer.
 */
#ifndef HOLDFAST_PACKED_H
#define HOLDFAST_PACKED_H

#define HOLDFAST_PACKED_BYTES       128  /* a record, of a transfer or of an account */
#define HOLDFAST_PACKED_RECORDS_MAX 8190 /* in one request */

#define HOLDFAST_PACKED_TRANSFERS "application/vnd.holdfast.transfers" /* POST /v1/transfers */
#define HOLDFAST_PACKED_ACCOUNTS  "application/vnd.holdfast.accounts"  /* POST /v1/accounts */
#define HOLDFAST_PACKED_RESULTS   "application/vnd.holdfast.results"   /* the answer to both */

/* ---- a transfer record: offset of each field ---- */

#define HOLDFAST_TRANSFER_ID   0  /* 16 bytes, new, not zero */
#define HOLDFAST_TRANSFER_FROM 16 /* 16 bytes: account that is debited; CAPTURE, VOID: zero */
#define HOLDFAST_TRANSFER_TO   32 /* 16 bytes: account that is credited; likewise */
#define HOLDFAST_TRANSFER_AMOUNT                                                                   \
    48 /* 128 bits, minor units; CAPTURE: all ones = all left; VOID: zero */
#define HOLDFAST_TRANSFER_PENDING      64 /* 16 bytes: the hold of CAPTURE, VOID; else zero */
#define HOLDFAST_TRANSFER_USER_DATA    80 /* 16 bytes, yours */
#define HOLDFAST_TRANSFER_EFFECTIVE_US 96 /* 64 bits, µs since 1970, 0 = none; of transfers only */
#define HOLDFAST_TRANSFER_ASSET        104 /* 8 bytes: the first ones of the SHA-256 of its name */
#define HOLDFAST_TRANSFER_TIMEOUT_MS   112 /* 64 bits, 0 = never; of HOLD only */
#define HOLDFAST_TRANSFER_CODE         120 /* 32 bits, yours */
#define HOLDFAST_TRANSFER_FLAGS        124 /* 32 bits */

#define HOLDFAST_FLAG_LINKED  1u  /* all or none with the next record */
#define HOLDFAST_FLAG_HOLD    2u  /* reserve */
#define HOLDFAST_FLAG_CAPTURE 4u  /* post from a hold */
#define HOLDFAST_FLAG_VOID    8u  /* end a hold */
#define HOLDFAST_FLAG_FINAL   16u /* CAPTURE: give back what is left */

/* ---- an account record ---- */

#define HOLDFAST_ACCOUNT_ID      0  /* 16 bytes, not zero */
#define HOLDFAST_ACCOUNT_FLOOR   16 /* 128 bits, signed, minor units; zero with NO_FLOOR */
#define HOLDFAST_ACCOUNT_CEILING 32 /* 128 bits, signed, minor units; zero without CEILING */
#define HOLDFAST_ACCOUNT_ASSET   48 /* 24 bytes: "USD/2", zero behind it */
#define HOLDFAST_ACCOUNT_FLAGS   72 /* 32 bits */

#define HOLDFAST_ACCOUNT_ASSET_BYTES 24

#define HOLDFAST_FLAG_NO_FLOOR 1u /* available may fall without end */
#define HOLDFAST_FLAG_CEILING  2u /* there is a ceiling */

/* ---- the answer: a head, then an entry for each record that was not accepted ---- */

#define HOLDFAST_RESULTS_POSITION 0  /* 64 bits: of the commit; 0 = nothing was recorded */
#define HOLDFAST_RESULTS_TIME_US  8  /* 64 bits: of the commit, µs since 1970 */
#define HOLDFAST_RESULTS_ACCEPTED 16 /* 32 bits: records that took effect now */
#define HOLDFAST_RESULTS_REPLAYED 20 /* 32 bits: records that had taken effect earlier */
#define HOLDFAST_RESULTS_REFUSED  24 /* 32 bits: entries that follow */
#define HOLDFAST_RESULTS_BYTES    32 /* of the head */

#define HOLDFAST_RESULT_INDEX 0 /* 32 bits: of the record in the request */
#define HOLDFAST_RESULT_CODE  4 /* 16 bits: why */
#define HOLDFAST_RESULT_FLAGS 6 /* 16 bits */
#define HOLDFAST_RESULT_BYTES 8 /* of an entry */

#define HOLDFAST_FLAG_REPLAYED 1u /* it was refused by an earlier request */
#define HOLDFAST_FLAG_CHAIN    2u /* another record of its chain is the cause */

/* Codes. */
#define HOLDFAST_CODE_ACCOUNT_NOT_FOUND  120
#define HOLDFAST_CODE_HOLD_NOT_FOUND     122
#define HOLDFAST_CODE_ACCOUNT_EXISTS     140
#define HOLDFAST_CODE_TRANSFER_EXISTS    141
#define HOLDFAST_CODE_HOLD_EXISTS        142
#define HOLDFAST_CODE_HOLD_NOT_OPEN      145
#define HOLDFAST_CODE_ACCOUNT_CLOSED     146
#define HOLDFAST_CODE_ID_COLLISION       151
#define HOLDFAST_CODE_HOLD_OWNED_BY_SAGA 163
#define HOLDFAST_CODE_INSUFFICIENT_FUNDS 170
#define HOLDFAST_CODE_LIMIT_EXCEEDED     171
#define HOLDFAST_CODE_ASSET_MISMATCH     172
#define HOLDFAST_CODE_AMOUNT_INVALID     173
#define HOLDFAST_CODE_ACCOUNT_FROZEN     180

#endif
