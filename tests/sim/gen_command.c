/* Whole commands: fresh ones, and earlier ones once more in every way that must be told apart. */
#include <stdio.h>

#include "base/check.h"
#include "sim/gen_priv.h"

static const char *const principals[] = {"local", "shop"};

static void clear_work(struct hf_gen *gen)
{
    struct hf_arena arena = gen->work.arena;
    hf_arena_clear(&arena);
    gen->work = (struct hf_gen_recipe){
        .arena = arena, .kind = HF_COMMAND_COMMIT, .principal = hf_str_from(principals[0])};
}

static void copy_text(struct hf_arena *arena, struct hf_str *text)
{
    if (hf_str_present(*text)) {
        *text = hf_arena_copy(arena, *text);
        HF_CHECK(text->ptr != NULL);
    }
}

/* Every text of a recipe that is not a literal, into the recipe's own arena. */
static void own_texts(struct hf_gen_recipe *recipe)
{
    struct hf_arena *arena = &recipe->arena;
    copy_text(arena, &recipe->principal);
    copy_text(arena, &recipe->key);
    copy_text(arena, &recipe->metadata);
    for (uint32_t i = 0; i < recipe->op_count; i++) {
        struct hf_op_fields *op = &recipe->ops[i];
        struct hf_str *texts[] = {
            &op->op,           &op->account, &op->id,       &op->from,         &op->to,
            &op->asset,        &op->amount,  &op->transfer, &op->hold,         &op->stream,
            &op->document,     &op->lease,   &op->owner,    &op->type,         &op->data,
            &op->metadata,     &op->floor,   &op->ceiling,  &op->effective_at, &op->topic,
            &op->subscription, &op->receipt, &op->key,      &op->deliver_at,   &op->error};
        for (size_t j = 0; j < HF_ARRAY_COUNT(texts); j++) {
            copy_text(arena, texts[j]);
        }
    }
    for (uint32_t i = 0; i < recipe->condition_count; i++) {
        struct hf_condition_fields *condition = &recipe->conditions[i];
        struct hf_str *texts[] = {&condition->account,      &condition->stream,
                                  &condition->document,     &condition->transfer,
                                  &condition->lease,        &condition->hold,
                                  &condition->modified_at,  &condition->state,
                                  &condition->subscription, &condition->receipt};
        for (size_t j = 0; j < HF_ARRAY_COUNT(texts); j++) {
            copy_text(arena, texts[j]);
        }
        for (size_t j = 0; j < HF_COMPARE_COUNT; j++) {
            copy_text(arena, &condition->available[j]);
            copy_text(arena, &condition->posted[j]);
        }
    }
    struct hf_queue_fields *own = &recipe->own; /* its filter and words are literals */
    struct hf_str *texts[] = {&own->subscription, &own->consumer, &own->attempt, &own->message,
                              &own->key};
    for (size_t j = 0; j < HF_ARRAY_COUNT(texts); j++) {
        copy_text(arena, texts[j]);
    }
    for (uint32_t i = 0; i < own->item_count; i++) {
        copy_text(arena, &recipe->items[i].receipt);
        copy_text(arena, &recipe->items[i].error);
    }
}

static void copy_recipe(struct hf_gen_recipe *to, const struct hf_gen_recipe *from)
{
    struct hf_arena arena = to->arena;
    hf_arena_clear(&arena);
    *to = *from;
    to->arena = arena;
    own_texts(to);
}

void hf_gen_random_key(struct hf_gen *gen)
{
    bool fresh = hf_gen_percent(gen, 90);
    gen->work.key = fresh ? hf_gen_text(gen, "key-%llu", (unsigned long long)gen->fresh++)
                          : hf_gen_text(gen, "pool-%llu.%u", (unsigned long long)(gen->made / 200),
                                        (unsigned)hf_gen_below(gen, 12));
}

static void fresh_command(struct hf_gen *gen)
{
    struct hf_gen_recipe *work = &gen->work;
    work->principal = hf_str_from(principals[hf_gen_percent(gen, 20) ? 1 : 0]);
    work->op_count = 1;
    while (work->op_count < HF_GEN_OPS_MAX && hf_gen_percent(gen, 28)) {
        work->op_count++;
    }
    for (uint32_t i = 0; i < work->op_count; i++) {
        hf_gen_op(gen, &work->ops[i]);
    }
    while (work->condition_count < HF_GEN_CONDITIONS_MAX && hf_gen_percent(gen, 18)) {
        hf_gen_condition(gen, &work->conditions[work->condition_count++]);
    }
    if (hf_gen_percent(gen, 50)) {
        hf_gen_random_key(gen);
    }
    if (hf_gen_percent(gen, 8)) {
        work->metadata = hf_gen_json(gen, true);
    }
    work->dry_run = hf_sim_random_chance(&gen->random, gen->knobs.dry_run_ppm);
    /* Appends alone, each with an id: what replays and overlaps by event ids. */
    if (hf_gen_percent(gen, 4)) {
        work->condition_count = 0;
        work->key = HF_STR_NONE;
        work->op_count = 1 + (uint32_t)hf_gen_below(gen, 3);
        for (uint32_t i = 0; i < work->op_count; i++) {
            work->ops[i] = (struct hf_op_fields){
                .op = HF_STR("append"),
                .stream = hf_gen_plain(gen, 's', hf_gen_below(gen, HF_GEN_STREAMS)),
                .type = HF_STR("order.many"),
                .data = hf_gen_json(gen, false),
                .id = hf_gen_text(gen, "e%llu", (unsigned long long)gen->fresh++)};
        }
    }
}

static void opening_command(struct hf_gen *gen, size_t first, size_t count)
{
    gen->work.op_count = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        gen->work.ops[i] = (struct hf_op_fields){0};
        hf_gen_opening(gen, &gen->work.ops[i], first + i);
    }
    hf_gen_random_key(gen);
}

/* The same JSON with other white space. */
static void respace(struct hf_gen *gen, struct hf_str *json)
{
    if (hf_str_present(*json) && json->len < 1000) {
        *json = hf_gen_text(gen, " %.*s\n", (int)json->len, json->ptr);
    }
}

/* An earlier command once more: in the same words, or in one of the ways that look like it. */
static void duplicate_command(struct hf_gen *gen)
{
    struct hf_gen_recipe *work = &gen->work;
    uint64_t kept = hf_min_u64(gen->recipe_count, HF_GEN_RECIPES);
    uint64_t window = hf_gen_percent(gen, 70) ? hf_min_u64(kept, 6) : kept;
    uint64_t at = gen->recipe_count - 1 - hf_gen_below(gen, window);
    copy_recipe(work, &gen->recipes[at % HF_GEN_RECIPES]);
    uint32_t last = work->op_count == 0 ? 0 : work->op_count - 1;
    uint64_t way = hf_gen_below(gen, 16);
    if (work->own.type != 0 && way != 1 && way != 2 && way != 6 && way != 9) {
        way = 15; /* it has no other operations; only who asks under which key varies */
    }
    if (work->op_count == 0 && work->own.type == 0 && way >= 2 && way <= 8) {
        way = 15; /* a cancelled key has no operations to vary */
    }
    switch (way) {
    case 0: /* the same key, something else */
        if (work->op_count < HF_GEN_OPS_MAX) {
            hf_gen_op(gen, &work->ops[work->op_count++]);
            work->kind = HF_COMMAND_COMMIT;
        }
        break;
    case 1: /* the same operations under another key */
        hf_gen_random_key(gen);
        break;
    case 2: /* without a key */
        work->key = work->kind == HF_COMMAND_COMMIT ? HF_STR_NONE : work->key;
        break;
    case 3: /* one operation less: ids of another commit */
        work->op_count = work->op_count > 1 ? work->op_count - 1 : work->op_count;
        work->key = work->kind == HF_COMMAND_COMMIT ? HF_STR_NONE : work->key;
        break;
    case 4: /* one more, without the key */
        if (work->op_count < HF_GEN_OPS_MAX && work->kind == HF_COMMAND_COMMIT) {
            hf_gen_op(gen, &work->ops[work->op_count++]);
            work->key = HF_STR_NONE;
        }
        break;
    case 5: /* the same ids, another amount or text */
        work->key = work->kind == HF_COMMAND_COMMIT ? HF_STR_NONE : work->key;
        if (hf_str_present(work->ops[last].amount)) {
            work->ops[last].amount = hf_gen_amount(gen);
        } else if (hf_str_present(work->ops[last].data)) {
            work->ops[last].data = hf_gen_json(gen, false);
        }
        break;
    case 6: /* somebody else's key of the same name */
        work->principal = hf_str_from(principals[hf_gen_percent(gen, 50) ? 1 : 0]);
        break;
    case 7: /* the same JSON spelt otherwise */
        for (uint32_t i = 0; i < work->op_count; i++) {
            respace(gen, &work->ops[i].data);
            respace(gen, &work->ops[i].metadata);
        }
        break;
    case 8: /* another expected version: replay by id does not look at it */
        if (hf_str_present(work->ops[last].stream)) {
            work->ops[last].has_expected_version = true;
            work->ops[last].expected_version = hf_gen_below(gen, 5);
            work->key = HF_STR_NONE;
        }
        break;
    case 9: /* cancel its key */
        if (hf_str_present(work->key)) {
            work->kind = HF_COMMAND_CANCEL_KEY;
            work->own = (struct hf_queue_fields){0};
            work->op_count = 0;
            work->condition_count = 0;
            work->metadata = HF_STR_NONE;
            work->dry_run = false;
        }
        break;
    default: /* in the same words */
        break;
    }
    if (work->op_count == 0 && work->own.type == 0 && work->kind == HF_COMMAND_COMMIT) {
        hf_gen_op(gen, &work->ops[work->op_count++]);
    }
}

static void cancel_command(struct hf_gen *gen)
{
    gen->work.kind = HF_COMMAND_CANCEL_KEY;
    gen->work.principal = hf_str_from(principals[hf_gen_percent(gen, 20) ? 1 : 0]);
    hf_gen_random_key(gen);
}

static void build(const struct hf_gen_recipe *recipe, struct hf_command *command)
{
    struct hf_malformed malformed = {0};
    hf_command_init(command, recipe->kind);
    bool ok = hf_command_set_principal(command, recipe->principal, &malformed);
    bool attempt = hf_str_present(recipe->own.attempt); /* it is the key */
    if (ok && hf_str_present(recipe->key) && !attempt) {
        ok = hf_command_set_key(command, recipe->key, &malformed);
    }
    if (ok && hf_str_present(recipe->metadata)) {
        ok = hf_command_set_metadata(command, recipe->metadata, &malformed);
    }
    for (uint32_t i = 0; ok && i < recipe->condition_count; i++) {
        ok = hf_command_add_condition(command, &recipe->conditions[i], &malformed);
    }
    for (uint32_t i = 0; ok && i < recipe->op_count; i++) {
        ok = hf_command_add_op(command, &recipe->ops[i], &malformed);
    }
    if (ok && recipe->own.type != 0) {
        struct hf_queue_fields own = recipe->own;
        own.items = recipe->items;
        ok = hf_command_add_queue_op(command, &own, &malformed);
    }
    if (ok && recipe->own.type == HF_OP_PUT_SUBSCRIPTION) {
        /* Nobody else may choose it; the edges are to be near. */
        struct hf_queue_op *op = (struct hf_queue_op *)command->ops[0].queue;
        op->settings.lines_max = recipe->lines_max;
    }
    command->dry_run = recipe->dry_run;
    ok = ok && hf_command_finish(command, &malformed);
    if (!ok) {
        (void)fprintf(stderr, "the generator's command is malformed: %s: %s\n", malformed.pointer,
                      malformed.text);
    }
    HF_CHECK(ok);
}

/* gen->work is what is asked for. */
static void finish(struct hf_gen *gen, struct hf_command *command)
{
    struct hf_gen_recipe *work = &gen->work;
    gen->made++;
    bool named = hf_str_present(work->key) || hf_str_present(work->own.attempt);
    if (gen->knobs.tag_unkeyed && !named) {
        work->metadata = hf_gen_text(gen, "{\"n\":%llu}", (unsigned long long)gen->made);
    } else if (hf_str_present(work->own.attempt)) {
        work->metadata = HF_STR_NONE; /* the same attempt is the same request */
    }
    build(work, command);
    copy_recipe(&gen->recipes[gen->recipe_count % HF_GEN_RECIPES], work);
    gen->recipe_count++;
}

void hf_gen_command(struct hf_gen *gen, struct hf_command *command)
{
    clear_work(gen);
    if (gen->made == 0) {
        opening_command(gen, 0, 6);
    } else if (gen->made == 1) {
        opening_command(gen, 6, 6);
    } else if (hf_sim_random_chance(&gen->random, gen->knobs.units_ppm)) {
        hf_gen_units(gen, command);
        return;
    } else if (hf_sim_random_chance(&gen->random, gen->knobs.units_ppm / 4) &&
               hf_gen_repeat_as_json(gen, &gen->work.ops[0])) {
        gen->work.op_count = 1;
    } else if (hf_sim_random_chance(&gen->random, gen->knobs.duplicate_ppm)) {
        duplicate_command(gen);
    } else if (hf_gen_percent(gen, 1)) {
        cancel_command(gen);
    } else {
        fresh_command(gen);
    }
    finish(gen, command);
}

void hf_gen_queue_command(struct hf_gen *gen, struct hf_command *command)
{
    if (gen->made < 2) {
        hf_gen_command(gen, command);
        return;
    }
    clear_work(gen);
    if (hf_sim_random_chance(&gen->random, gen->knobs.duplicate_ppm / 2)) {
        duplicate_command(gen);
    } else {
        gen->work.principal = hf_str_from(principals[hf_gen_percent(gen, 20) ? 1 : 0]);
        hf_gen_queue_fresh(gen);
    }
    finish(gen, command);
}

void hf_gen_late_command(struct hf_gen *gen, size_t slot, bool evening, struct hf_command *command)
{
    clear_work(gen);
    hf_gen_late(gen, slot, evening);
    finish(gen, command);
}

void hf_gen_drain_command(struct hf_gen *gen, struct hf_str subscription, bool redrives,
                          struct hf_command *command)
{
    clear_work(gen);
    hf_gen_drain(gen, subscription, redrives);
    finish(gen, command);
}

void hf_gen_key(struct hf_gen *gen, char key[64], char principal[64])
{
    struct hf_str seen = HF_STR_NONE;
    struct hf_str whose = hf_str_from(principals[0]);
    uint64_t kept = hf_min_u64(gen->recipe_count, HF_GEN_RECIPES);
    if (kept > 0 && !hf_gen_percent(gen, 10)) {
        const struct hf_gen_recipe *recipe =
            &gen->recipes[(gen->recipe_count - 1 - hf_gen_below(gen, kept)) % HF_GEN_RECIPES];
        seen = recipe->key;
        whose = recipe->principal;
    }
    (void)snprintf(key, 64, "%.*s", hf_str_present(seen) ? (int)seen.len : 6,
                   hf_str_present(seen) ? seen.ptr : "nobody");
    (void)snprintf(principal, 64, "%.*s", (int)whose.len, whose.ptr);
}
