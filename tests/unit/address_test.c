/* Addresses that may be called: every special range at both of its edges, and the list of the operator's. */
#include "deliver/address.h"

#include <stdio.h>

#include "unit/support.h"

struct row {
    const char *address;
    const char *what; /* part of the refusal; NULL: it may be called */
};

/* First and last address of each range, and their neighbours where those are public. */
static const struct row rows[] = {
    {"0.0.0.0", "this network"},
    {"0.255.255.255", "this network"},
    {"1.0.0.0", NULL},
    {"9.255.255.255", NULL},
    {"10.0.0.0", "private"},
    {"10.255.255.255", "private"},
    {"11.0.0.0", NULL},
    {"100.63.255.255", NULL},
    {"100.64.0.0", "carrier"},
    {"100.127.255.255", "carrier"},
    {"100.128.0.0", NULL},
    {"126.255.255.255", NULL},
    {"127.0.0.0", "loopback"},
    {"127.0.0.1", "loopback"},
    {"127.255.255.255", "loopback"},
    {"128.0.0.0", NULL},
    {"169.253.255.255", NULL},
    {"169.254.0.0", "link-local"},
    {"169.254.169.254", "link-local"},
    {"169.254.255.255", "link-local"},
    {"169.255.0.0", NULL},
    {"172.15.255.255", NULL},
    {"172.16.0.0", "private"},
    {"172.31.255.255", "private"},
    {"172.32.0.0", NULL},
    {"191.255.255.255", NULL},
    {"192.0.0.0", "protocol"},
    {"192.0.0.255", "protocol"},
    {"192.0.1.0", NULL},
    {"192.0.2.0", "documentation"},
    {"192.0.2.255", "documentation"},
    {"192.0.3.0", NULL},
    {"192.31.196.0", "protocol"},
    {"192.52.193.255", "protocol"},
    {"192.88.98.255", NULL},
    {"192.88.99.0", "6to4"},
    {"192.88.99.255", "6to4"},
    {"192.88.100.0", NULL},
    {"192.167.255.255", NULL},
    {"192.168.0.0", "private"},
    {"192.168.255.255", "private"},
    {"192.169.0.0", NULL},
    {"192.175.48.1", "protocol"},
    {"198.17.255.255", NULL},
    {"198.18.0.0", "benchmarks"},
    {"198.19.255.255", "benchmarks"},
    {"198.20.0.0", NULL},
    {"198.51.99.255", NULL},
    {"198.51.100.0", "documentation"},
    {"198.51.100.255", "documentation"},
    {"198.51.101.0", NULL},
    {"203.0.112.255", NULL},
    {"203.0.113.0", "documentation"},
    {"203.0.113.255", "documentation"},
    {"203.0.114.0", NULL},
    {"223.255.255.255", NULL},
    {"224.0.0.0", "multicast"},
    {"239.255.255.255", "multicast"},
    {"240.0.0.0", "reserved"},
    {"255.255.255.254", "reserved"},
    {"255.255.255.255", "broadcast"},
    {"::", "unspecified"},
    {"::1", "loopback"},
    {"::2", "IPv4-compatible"},
    {"::7f00:1", "IPv4-compatible"},
    {"::ffff:127.0.0.1", "IPv4-mapped"},
    {"::ffff:8.8.8.8", "IPv4-mapped"},
    {"::1:0:0:0", "no public"},
    {"64:ff9b::7f00:1", "loopback"},
    {"64:ff9b::a00:1", "private"},
    {"64:ff9b::808:808", NULL},
    {"64:ff9b:1::1", "no public"},
    {"100::1", "no public"},
    {"1fff:ffff::1", "no public"},
    {"2001::1", "protocol"},
    {"2001:1ff:ffff::", "protocol"},
    {"2001:200::", NULL},
    {"2001:db7:ffff::", NULL},
    {"2001:db8::", "documentation"},
    {"2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "documentation"},
    {"2001:db9::", NULL},
    {"2001:4860:4860::8888", NULL},
    {"2002:7f00:1::", "6to4"},
    {"2003::1", NULL},
    {"2620:4f:8000::1", "protocol"},
    {"2620:4f:8001::1", NULL},
    {"3ffe::1", NULL},
    {"3fff::1", "documentation"},
    {"3fff:fff:ffff::1", "documentation"},
    {"3fff:1000::1", NULL},
    {"4000::1", "no public"},
    {"5f00::1", "no public"},
    {"fbff::1", "no public"},
    {"fc00::1", "unique local"},
    {"fdff:ffff::1", "unique local"},
    {"fe00::1", "no public"},
    {"fe80::1", "link-local"},
    {"febf::1", "link-local"},
    {"fec0::1", "site-local"},
    {"feff::1", "site-local"},
    {"ff00::1", "multicast"},
    {"ff02::1", "multicast"},
    {"ffff::1", "multicast"},
};

static const char *refusal_of(const char *allowed, const char *text)
{
    struct hf_address_rules rules;
    struct hf_address address;
    struct hf_error error = {0};
    assert_int_equal(hf_address_rules_parse(hf_str_from(allowed), &rules, &error), HF_ERR_OK);
    assert_true(hf_address_parse(hf_str_from(text), &address));
    return hf_address_refusal(&rules, &address);
}

static void test_special_ranges(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < HF_ARRAY_COUNT(rows); i++) {
        const char *refusal = refusal_of("", rows[i].address);
        bool right = rows[i].what == NULL
                         ? refusal == NULL
                         : refusal != NULL && strstr(refusal, rows[i].what) != NULL;
        if (!right) {
            fail_msg("%s: %s", rows[i].address, refusal == NULL ? "may be called" : refusal);
        }
    }
}

static void test_what_is_allowed(void **unused)
{
    (void)unused;
    const char *list = "127.0.0.0/8, 10.1.2.3,fd00::/8 ,::1,172.16.4.0/22,64:ff9b::a01:203";
    assert_null(refusal_of(list, "127.0.0.1"));
    assert_null(refusal_of(list, "127.255.255.255"));
    assert_null(refusal_of(list, "10.1.2.3"));
    assert_non_null(refusal_of(list, "10.1.2.2"));
    assert_null(refusal_of(list, "fd12::1"));
    assert_non_null(refusal_of(list, "fc00::1"));
    assert_null(refusal_of(list, "::1"));
    assert_null(refusal_of(list, "172.16.7.255"));
    assert_non_null(refusal_of(list, "172.16.8.0"));
    assert_non_null(refusal_of(list, "172.16.3.255"));
    /* neither family stands for the other */
    assert_non_null(refusal_of(list, "::ffff:127.0.0.1"));
    assert_non_null(refusal_of("::/0", "127.0.0.1"));
    assert_non_null(refusal_of("0.0.0.0/0", "::1"));
    assert_null(refusal_of("0.0.0.0/0", "169.254.169.254"));
    assert_null(refusal_of("::/0", "::ffff:127.0.0.1"));
    /* public ones need no leave */
    assert_null(refusal_of("10.0.0.0/8", "8.8.8.8"));
}

static void test_malformed_lists(void **unused)
{
    (void)unused;
    static const struct row bad[] = {
        {"localhost", "no IPv4 or IPv6"},    {"127.1", "no IPv4 or IPv6"},
        {"010.0.0.1", "no IPv4 or IPv6"},    {"127.0.0.1/33", "prefix length"},
        {"127.0.0.1/", "prefix length"},     {"127.0.0.1/8x", "prefix length"},
        {"127.0.0.1/0008", "prefix length"}, {"::1/129", "prefix length"},
        {"10.1.0.0/8", "bits set"},          {"fd00::1/8", "bits set"},
        {"10.0.0.0/8,,::1", "empty"},        {",", "empty"},
        {"::1%lo", "no IPv4 or IPv6"},
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(bad); i++) {
        struct hf_address_rules rules;
        struct hf_error error = {0};
        assert_int_equal(hf_address_rules_parse(hf_str_from(bad[i].address), &rules, &error),
                         HF_ERR_INVALID_REQUEST);
        assert_int_equal(rules.count, 0);
        if (strstr(error.text, bad[i].what) == NULL) {
            fail_msg("%s: %s", bad[i].address, error.text);
        }
    }
    char many[HF_ADDRESS_RANGES_MAX * 8 + 64] = "";
    size_t used = 0;
    for (size_t i = 0; i <= HF_ADDRESS_RANGES_MAX; i++) {
        used += (size_t)snprintf(many + used, sizeof(many) - used, "%s::1", i == 0 ? "" : ",");
    }
    struct hf_address_rules rules;
    struct hf_error error = {0};
    assert_int_equal(hf_address_rules_parse(hf_str_from(many), &rules, &error),
                     HF_ERR_INVALID_REQUEST);
    assert_non_null(strstr(error.text, "more than 64"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_special_ranges),
        cmocka_unit_test(test_what_is_allowed),
        cmocka_unit_test(test_malformed_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
