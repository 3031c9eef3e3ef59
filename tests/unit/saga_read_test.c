/* Reads of sagas: one, its history, lists by filter, definitions, counts, what the runner has to do. */
#include "core/saga_text.h"
#include "unit/saga_rig.h"

#define CALL(name) "{\"name\":\"" name "\",\"action\":{\"url\":\"http://127.0.0.1:9/" name "\"}"
#define UNDO(name) ",\"compensation\":{\"url\":\"http://127.0.0.1:9/undo-" name "\"}"

static const char two[] =
    "{\"steps\":[" CALL("a") UNDO("a") "}," CALL("b") UNDO("b") ",\"after\":[\"a\"]}]}";

static void a_history_has_every_act_newest_last(void **state)
{
    struct saga_rig *rig = *state;
    assert_int_equal(saga_define(rig, "two", 1, two), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "s", "two@1", NULL), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "a", 500), HF_ERR_OK);
    assert_int_equal(saga_verb(rig, "s", HF_SAGA_ACT_RETRY, NULL), HF_ERR_OK);
    struct saga_answer answer = {.status = 200, .body = "{\"id\":4}"};
    assert_int_equal(saga_give(rig, "s", "a", &answer), HF_ERR_OK);
    const struct hf_reading *reading = saga_query(rig, HF_QUERY_SAGA_HISTORY, "s");
    assert_int_equal(reading->item_count, 4);
    assert_false(reading->more);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(reading->items[i].event->saga->version, i + 1);
        assert_int_equal(reading->items[i].commit->position, i + 2);
    }
    const struct hf_saga_changed *failed = reading->items[1].event->saga;
    assert_int_equal(failed->act, HF_SAGA_ACT_ANSWER);
    assert_int_equal(failed->outcome, HF_OUTCOME_RETRY);
    assert_int_equal(failed->status, 500);
    assert_int_equal(failed->attempt, 1);
    assert_int_equal(failed->duration_ms, 3);
    assert_text(failed->error, "HTTP 500");
    assert_text(failed->step_name, "a");
    const struct hf_saga_changed *act = reading->items[2].event->saga;
    assert_int_equal(act->act, HF_SAGA_ACT_RETRY);
    assert_text(act->actor, "ann");
    assert_text(act->reason, "by hand");
    assert_text(reading->items[3].event->saga->after[0].result.text, "{\"id\":4}");
    assert_int_equal(saga_query(rig, HF_QUERY_SAGA_HISTORY, "x")->code, HF_ERR_SAGA_NOT_FOUND);
}

/* Long ones page by page, from either side of the indexed versions. */
static void a_history_goes_page_by_page(void **state)
{
    struct saga_rig *rig = *state;
    rig->quick = true;
    assert_int_equal(saga_define(rig, "two", 1, two), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "s", "two@1", NULL), HF_ERR_OK);
    for (unsigned i = 0; i < 99; i++) {
        assert_int_equal(saga_status(rig, "s", "a", 500), HF_ERR_OK);
    }
    assert_int_equal(saga_get(rig, "s")->version, 100);
    static const uint32_t limits[] = {1, 7, 31, 32, 33, 100, 1000};
    for (size_t l = 0; l < HF_ARRAY_COUNT(limits); l++) {
        struct hf_query query = {
            .type = HF_QUERY_SAGA_HISTORY, .limit = limits[l], .name = saga_name("s")};
        uint64_t seen = 0;
        bool more = true;
        while (more) {
            const struct hf_reading *reading = saga_read(rig, &query);
            assert_true(reading->item_count > 0 && reading->item_count <= limits[l]);
            for (uint32_t i = 0; i < reading->item_count; i++) {
                assert_int_equal(reading->items[i].event->saga->version, ++seen);
            }
            more = reading->more;
            query.from = reading->next_from;
        }
        assert_int_equal(seen, 100);
    }
    struct hf_query behind = {
        .type = HF_QUERY_SAGA_HISTORY, .limit = 5, .name = saga_name("s"), .from = 500};
    assert_int_equal(saga_read(rig, &behind)->item_count, 0);
}

static uint32_t count(struct saga_rig *rig, const struct hf_saga_filter *filter)
{
    struct hf_query query = {.type = HF_QUERY_SAGAS, .limit = 3, .saga_filter = filter};
    uint32_t seen = 0;
    bool more = true;
    static char after[HF_NAME_BYTES_MAX];
    while (more) {
        const struct hf_reading *reading = saga_read(rig, &query);
        seen += reading->saga_count;
        more = reading->more;
        if (more) {
            assert_true(hf_str_compare(query.after, reading->next_after) < 0 ||
                        !hf_str_present(query.after));
            memcpy(after, reading->next_after.ptr, reading->next_after.len);
            query.after = (struct hf_str){after, reading->next_after.len};
        }
    }
    return seen;
}

static void lists_go_by_state_key_tag_step_and_age(void **state)
{
    struct saga_rig *rig = *state;
    assert_int_equal(saga_define(rig, "two", 1, two), HF_ERR_OK);
    assert_int_equal(saga_define(rig, "two", 2, two), HF_ERR_OK);
    char id[16];
    for (unsigned i = 0; i < 12; i++) {
        (void)snprintf(id, sizeof(id), "s%02u", i);
        struct hf_op_fields fields = {
            .saga = hf_str_from(id),
            .definition = i % 2 == 0 ? HF_STR("two@1") : HF_STR("two@2"),
            .business_key = i % 3 == 0 ? HF_STR("k") : HF_STR("k2"),
            .tags = i % 4 == 0 ? HF_STR("{\"shop\":\"berlin\",\"v\":\"\\u00fc\"}") : HF_STR_NONE,
        };
        assert_int_equal(saga_start_fields(rig, &fields), HF_ERR_OK);
        rig->now_us += 1000000;
    }
    assert_int_equal(saga_status(rig, "s01", "a", 500), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s02", "a", 401), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s03", "a", 200), HF_ERR_OK);
    struct hf_saga_filter filter = {0};
    assert_int_equal(count(rig, NULL), 12);
    assert_int_equal(count(rig, &filter), 12);
    filter = (struct hf_saga_filter){.has_state = true, .state = HF_SAGA_RUNNING};
    assert_int_equal(count(rig, &filter), 11);
    filter.state = HF_SAGA_PARKED;
    assert_int_equal(count(rig, &filter), 1);
    filter = (struct hf_saga_filter){.failing = true};
    assert_int_equal(count(rig, &filter), 1);
    filter = (struct hf_saga_filter){.definition = HF_STR("two")};
    assert_int_equal(count(rig, &filter), 12);
    filter.definition = HF_STR("two@2");
    assert_int_equal(count(rig, &filter), 6);
    filter.definition = HF_STR("tw");
    assert_int_equal(count(rig, &filter), 0);
    filter = (struct hf_saga_filter){.business_key = HF_STR("k")};
    assert_int_equal(count(rig, &filter), 4);
    filter.business_key = HF_STR("k2");
    assert_int_equal(count(rig, &filter), 8);
    filter.business_key = HF_STR("k1");
    assert_int_equal(count(rig, &filter), 0);
    filter = (struct hf_saga_filter){.tag_key = HF_STR("shop"), .tag_value = HF_STR("berlin")};
    assert_int_equal(count(rig, &filter), 3);
    filter = (struct hf_saga_filter){.tag_key = HF_STR("v"), .tag_value = HF_STR("ü")};
    assert_int_equal(count(rig, &filter), 3);
    filter.tag_value = HF_STR("u");
    assert_int_equal(count(rig, &filter), 0);
    filter = (struct hf_saga_filter){.step = HF_STR("b")};
    assert_int_equal(count(rig, &filter), 1);
    filter.step = HF_STR("a");
    assert_int_equal(count(rig, &filter), 11);
    filter = (struct hf_saga_filter){.older_than_us = SAGA_RIG_START_US + 3500000};
    assert_int_equal(count(rig, &filter), 4);
    filter.has_state = true;
    filter.state = HF_SAGA_PARKED;
    assert_int_equal(count(rig, &filter), 1);
}

static void definitions_are_listed_by_name_and_number(void **state)
{
    struct saga_rig *rig = *state;
    static const uint64_t versions[] = {10, 2, 1, 256};
    for (size_t i = 0; i < HF_ARRAY_COUNT(versions); i++) {
        assert_int_equal(saga_define(rig, "b", versions[i], two), HF_ERR_OK);
    }
    assert_int_equal(saga_define(rig, "a", 1, two), HF_ERR_OK);
    assert_int_equal(saga_define(rig, "bb", 1, two), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "s", two, NULL), HF_ERR_OK); /* inline: not listed */
    struct hf_query query = {.type = HF_QUERY_SAGA_DEFINITIONS, .limit = 2};
    static const char *const expected[] = {"a@1", "b@1", "b@2", "b@10", "b@256", "bb@1"};
    char after[64] = "";
    size_t at = 0;
    bool more = true;
    while (more) {
        query.after = hf_str_from(after);
        const struct hf_reading *reading = saga_read(rig, &query);
        for (uint32_t i = 0; i < reading->definition_count; i++) {
            char text[64];
            (void)snprintf(
                text, sizeof(text), "%.*s@%u", (int)reading->definitions[i]->name.text.len,
                reading->definitions[i]->name.text.ptr, (unsigned)reading->definitions[i]->version);
            assert_true(at < HF_ARRAY_COUNT(expected));
            assert_string_equal(text, expected[at++]);
        }
        more = reading->more;
        (void)snprintf(after, sizeof(after), "%.*s", (int)reading->next_after.len,
                       reading->next_after.len == 0 ? "" : reading->next_after.ptr);
    }
    assert_int_equal(at, HF_ARRAY_COUNT(expected));
    query =
        (struct hf_query){.type = HF_QUERY_SAGA_DEFINITIONS, .limit = 100, .name = saga_name("b")};
    assert_int_equal(saga_read(rig, &query)->definition_count, 4);
    query =
        (struct hf_query){.type = HF_QUERY_SAGA_DEFINITION, .name = saga_name("b"), .version = 256};
    const struct hf_reading *one = saga_read(rig, &query);
    assert_int_equal(one->definition_count, 1);
    assert_text(one->definitions[0]->name.text, "b");
    assert_true(one->text.text.len > 0);
    query.version = 3;
    assert_int_equal(saga_read(rig, &query)->code, HF_ERR_SAGA_DEFINITION_NOT_FOUND);
}

static void counts_and_work(void **state)
{
    struct saga_rig *rig = *state;
    assert_int_equal(saga_define(rig, "two", 1, two), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "a", "two@1", NULL), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "b", "two@1", NULL), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "c", "two@1", NULL), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "d", "two@1", NULL), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "e", "two@1", NULL), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "a", "a", 500), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "b", "a", 401), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "c", "a", 202), HF_ERR_OK);
    struct saga_answer polls = {.status = 202, .location = "http://127.0.0.1:9/j"};
    assert_int_equal(saga_give(rig, "d", "a", &polls), HF_ERR_OK);
    assert_int_equal(saga_verb(rig, "e", HF_SAGA_ACT_PAUSE, NULL), HF_ERR_OK);
    const struct hf_reading *reading = saga_query(rig, HF_QUERY_SAGA_COUNTS, NULL);
    const struct hf_saga_counts *counts = &reading->saga_counts;
    assert_int_equal(counts->by_state[HF_SAGA_RUNNING], 1);
    assert_int_equal(counts->by_state[HF_SAGA_PARKED], 1);
    assert_int_equal(counts->by_state[HF_SAGA_WAITING], 2);
    assert_int_equal(counts->by_state[HF_SAGA_PAUSED], 1);
    assert_int_equal(counts->failing, 1);
    assert_int_equal(counts->oldest_failing_us, saga_get(rig, "a")->failing_us);
    assert_int_equal(counts->attempts[HF_OUTCOME_RETRY], 1);
    assert_int_equal(counts->attempts[HF_OUTCOME_PENDING], 2);
    assert_int_equal(counts->definitions, 1);
    assert_int_equal(reading->definition_count, 1);
    assert_int_equal(reading->definitions[0]->by_state[HF_SAGA_WAITING], 2);
    reading = saga_query(rig, HF_QUERY_SAGA_WORK, NULL); /* a: due, d: polls, e: paused */
    assert_int_equal(reading->saga_count, 3);
    assert_text(reading->sagas[0].saga->name.text, "a");
    assert_text(reading->sagas[1].saga->name.text, "d");
    assert_text(reading->sagas[2].saga->name.text, "e");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SAGA_TEST(a_history_has_every_act_newest_last),
        SAGA_TEST(a_history_goes_page_by_page),
        SAGA_TEST(lists_go_by_state_key_tag_step_and_age),
        SAGA_TEST(definitions_are_listed_by_name_and_number),
        SAGA_TEST(counts_and_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
