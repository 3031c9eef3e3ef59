/*
 * Merges of index runs by a node in the simulated world: keys leave the index once their retention is over and not
 * before, ids never do; a node that stops ends a merge; an expired key is a new request, in the index or not.
 */
#include <stdio.h>

#include "core/recent.h"
#include "node/node_priv.h"
#include "unit/node_rig.h"
#include "unit/support.h"

#define RETENTION_US 100000u
#define COMMITS      12u

struct told {
    enum hf_err code;
    bool replayed;
    uint64_t position;
};

static struct told transfer(struct node_rig *rig, const char *key, const char *id, unsigned amount)
{
    struct node_asked asked;
    char json[256];
    (void)snprintf(json, sizeof(json),
                   "{\"do\":[{\"op\":\"transfer\",\"id\":\"%s\",\"from\":\"a\",\"to\":\"b\","
                   "\"asset\":\"USD/2\",\"amount\":\"%u\"}]}",
                   id, amount);
    node_rig_ask_keyed(rig, &asked, json, key);
    node_rig_drive_until(rig, &asked.done);
    const struct hf_answer *answer = &asked.request.answer;
    struct told told = {answer->code, answer->replayed, answer->position};
    node_asked_release(&asked);
    return told;
}

/* The transfer of a number, under a key that begins so. */
static struct told transfer_number(struct node_rig *rig, const char *word, unsigned number)
{
    char id[32];
    char key[32];
    (void)snprintf(id, sizeof(id), "t%u", number);
    (void)snprintf(key, sizeof(key), "%s-%u", word, number);
    return transfer(rig, key, id, 1 + number);
}

/* Stores one, and does what follows from it. */
static void checkpoint(struct node_rig *rig)
{
    uint64_t before = rig->node->stored_position;
    hf_node_checkpoint(rig->node); /* it begins behind a batch */
    node_rig_commit(rig,
                    "{\"do\":[{\"op\":\"append\",\"stream\":\"s\",\"type\":\"x\",\"data\":1}]}");
    for (unsigned i = 0; i < 2000 && rig->node->stored_position == before; i++) {
        node_rig_drive(rig, 1000);
    }
    assert_true(rig->node->stored_position > before);
    while (rig->node->merge.running || rig->node->merge.wanted) {
        node_rig_drive(rig, 1000);
    }
}

static uint64_t count_of(struct node_rig *rig, enum hf_index_kind kind)
{
    uint64_t count = 0;
    struct hf_index_set *set = hf_index_acquire(rig->node->index);
    for (size_t i = 0; i < set->run_count; i++) {
        count += hf_run_kind_count(set->runs[i], (uint8_t)kind);
    }
    hf_index_release(rig->node->index, set);
    return count;
}

static size_t run_count(struct node_rig *rig)
{
    struct hf_index_set *set = hf_index_acquire(rig->node->index);
    size_t count = set->run_count;
    hf_index_release(rig->node->index, set);
    return count;
}

static struct node_rig begin(uint32_t runs_max, uint64_t retention_us)
{
    struct node_rig rig;
    node_rig_init(&rig, 23);
    rig.limits.index_runs_max = runs_max;
    rig.limits.key_retention_us = retention_us;
    rig.limits.recent_bytes_max = 0;
    node_rig_make(&rig);
    node_rig_start(&rig);
    node_rig_drive(&rig, 1000);
    node_rig_commit(&rig, "{\"do\":[{\"op\":\"open_account\",\"account\":\"a\",\"asset\":\"USD/2\","
                          "\"floor\":null},{\"op\":\"open_account\",\"account\":\"b\",\"asset\":"
                          "\"USD/2\"}]}");
    return rig;
}

static void restart(struct node_rig *rig)
{
    node_rig_stop(rig);
    node_rig_make(rig);
    node_rig_start(rig);
    node_rig_drive(rig, 1000);
}

static void commit_all(struct node_rig *rig, struct told told[COMMITS])
{
    for (unsigned i = 0; i < COMMITS; i++) {
        told[i] = transfer_number(rig, "key", i);
        assert_int_equal(told[i].code, HF_ERR_OK);
        assert_false(told[i].replayed);
        if (i % 3 == 2) {
            checkpoint(rig);
        }
    }
}

/* Each comes again as it was, by its key or by its id. */
static void check_replays(struct node_rig *rig, const char *word, const struct told told[COMMITS])
{
    for (unsigned i = 0; i < COMMITS; i++) {
        struct told again = transfer_number(rig, word, i);
        assert_int_equal(again.code, HF_ERR_OK);
        assert_true(again.replayed);
        assert_int_equal(again.position, told[i].position);
    }
}

static void check_new(struct node_rig *rig, const char *key, const char *id)
{
    struct told told = transfer(rig, key, id, 77);
    assert_int_equal(told.code, HF_ERR_OK);
    assert_false(told.replayed);
    assert_true(transfer(rig, key, id, 77).replayed);
    assert_int_equal(transfer(rig, key, id, 78).code, HF_ERR_IDEMPOTENCY_KEY_REUSED);
}

static void keys_leave_after_their_retention(void **state)
{
    (void)state;
    struct node_rig rig = begin(8, RETENTION_US);
    struct told told[COMMITS];
    commit_all(&rig, told);
    node_rig_drive(&rig, RETENTION_US);
    assert_int_equal(count_of(&rig, HF_INDEX_KEY), COMMITS);
    check_new(&rig, "key-3", "expired-and-there");
    assert_int_equal(count_of(&rig, HF_INDEX_KEY), COMMITS);
    uint64_t records = hf_index_record_count(rig.node->index);
    checkpoint(&rig);
    assert_int_equal(count_of(&rig, HF_INDEX_KEY), 1); /* key 3 as it was used last */
    assert_int_equal(count_of(&rig, HF_INDEX_TRANSFER), COMMITS + 1);
    assert_true(hf_index_record_count(rig.node->index) < records);
    check_new(&rig, "key-4", "expired-and-gone");
    restart(&rig);
    check_new(&rig, "key-5", "gone-behind-a-restart");
    assert_true(transfer(&rig, "key-3", "expired-and-there", 77).replayed);
    check_replays(&rig, "other", told); /* ids are for ever */
    node_rig_end(&rig);
}

static void no_other_key_leaves(void **state)
{
    (void)state;
    struct node_rig rig = begin(1, 60000000);
    struct told told[COMMITS];
    commit_all(&rig, told);
    node_rig_drive(&rig, RETENTION_US);
    checkpoint(&rig);
    assert_int_equal(run_count(&rig), 1); /* they were merged */
    assert_int_equal(count_of(&rig, HF_INDEX_KEY), COMMITS);
    check_replays(&rig, "key", told);
    restart(&rig);
    check_replays(&rig, "key", told);
    check_replays(&rig, "other", told);
    node_rig_end(&rig);
}

/* A merge of runs of which only a part has expired. */
static void a_merge_tells_old_keys_from_young_ones(void **state)
{
    (void)state;
    struct node_rig rig = begin(1, RETENTION_US);
    assert_false(transfer(&rig, "old", "o", 1).replayed);
    node_rig_drive(&rig, RETENTION_US / 2);
    assert_false(transfer(&rig, "young", "y", 1).replayed);
    node_rig_drive(&rig, RETENTION_US / 2);
    checkpoint(&rig);
    assert_int_equal(count_of(&rig, HF_INDEX_KEY),
                     2); /* one run, not merged, not all of it has expired */
    assert_false(transfer(&rig, "new", "n", 1).replayed);
    checkpoint(&rig);
    assert_int_equal(run_count(&rig), 1);
    assert_int_equal(count_of(&rig, HF_INDEX_KEY), 2);
    assert_true(transfer(&rig, "young", "y", 1).replayed);
    check_new(&rig, "old", "o2");
    assert_int_equal(count_of(&rig, HF_INDEX_TRANSFER), 3);
    node_rig_end(&rig);
}

static void a_stop_ends_a_merge(void **state)
{
    (void)state;
    struct node_rig rig = begin(8, 60000000);
    struct told told[COMMITS];
    commit_all(&rig, told);
    assert_int_equal(run_count(&rig), COMMITS / 3);
    rig.limits.index_runs_max = 1;
    node_rig_stop(&rig);
    node_rig_make(&rig);
    node_rig_start(&rig);
    while (!rig.node->merge.running) {
        assert_true(hf_node_step(rig.node));
    }
    hf_node_stop(rig.node); /* the job has not begun */
    node_rig_drive(&rig, 100000);
    assert_int_equal(rig.node->phase, HF_NODE_STOPPED);
    assert_int_equal(rig.node->merge.err, HF_ERR_CLOSED);
    assert_int_equal(run_count(&rig), COMMITS / 3);
    hf_node_free(rig.node);
    node_rig_make(&rig);
    node_rig_start(&rig);
    node_rig_drive(&rig, 100000);
    assert_int_equal(run_count(&rig), 1);
    check_replays(&rig, "key", told);
    node_rig_end(&rig);
}

/* So that runs do not become more and more under owners that soon stop. */
static void a_stop_waits_for_a_merge_that_is_overdue(void **state)
{
    (void)state;
    struct node_rig rig = begin(8, 60000000);
    struct told told[COMMITS];
    commit_all(&rig, told);
    checkpoint(&rig);
    assert_int_equal(run_count(&rig), COMMITS / 3 + 1);
    rig.limits.index_runs_max = 1;
    node_rig_stop(&rig);
    node_rig_make(&rig);
    node_rig_start(&rig);
    while (!rig.node->merge.running) {
        assert_true(hf_node_step(rig.node));
    }
    hf_node_stop(rig.node);
    node_rig_drive(&rig, 100000);
    assert_int_equal(rig.node->phase, HF_NODE_STOPPED);
    assert_int_equal(rig.node->merge.err, HF_ERR_OK);
    assert_true(run_count(&rig) < COMMITS / 3 + 1);
    node_rig_end(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_leave_after_their_retention),
        cmocka_unit_test(no_other_key_leaves),
        cmocka_unit_test(a_merge_tells_old_keys_from_young_ones),
        cmocka_unit_test(a_stop_ends_a_merge),
        cmocka_unit_test(a_stop_waits_for_a_merge_that_is_overdue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
