/*
 * Addresses that may be called: public ones, and those that the operator allows (`--deliver-allow`).
 *
 * Owns: the list of allowed ranges, the table of special ones. Must never: look a name up; a name may mean another address the next
 * time, so what is judged is the address that a connection is about to be made to. Called by: the caller, before each
 * connection.
 *
 * 1. IPv4: everything but the ranges that IANA's special-purpose registry keeps from the public network, and multicast.
 * 2. IPv6: global unicast (2000::/3) but its special ranges (documentation, 6to4, Teredo and other assignments of protocols); NAT64's
 *    64:ff9b::/96 if the IPv4 address inside may be called. IPv4-mapped and -compatible addresses never.
 * 3. What the list allows may be called, whatever it is. 127.0.0.0/8 does not allow ::ffff:127.0.0.1.
 */
#ifndef HF_DELIVER_ADDRESS_H
#define HF_DELIVER_ADDRESS_H

#include "base/errors.h"

#define HF_ADDRESS_RANGES_MAX 64
#define HF_ADDRESS_TEXT_BYTES 64

struct hf_address {
    bool ipv6;
    uint8_t bytes[16]; /* network order; IPv4: the first four */
};

struct hf_address_range {
    struct hf_address first; /* bits behind the prefix are 0 */
    uint32_t prefix;         /* bits */
};

struct hf_address_rules {
    struct hf_address_range allowed[HF_ADDRESS_RANGES_MAX];
    size_t count;
};

/* "127.0.0.0/8, 10.1.2.3, fd00::/8"; empty or absent: public addresses alone. INVALID_REQUEST says what is wrong. */
enum hf_err hf_address_rules_parse(struct hf_str text, struct hf_address_rules *rules,
                                   struct hf_error *error) HF_WARN_UNUSED;

/* "127.0.0.1", "::1"; nothing else. */
bool hf_address_parse(struct hf_str text, struct hf_address *address) HF_WARN_UNUSED;

/* NULL: it may be called. Else what it is, static: "a loopback address". */
const char *hf_address_refusal(const struct hf_address_rules *rules,
                               const struct hf_address *address);

#endif
