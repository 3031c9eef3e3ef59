/* Unit tests of src/api/access: tokens at rest and in requests, Host, Origin, scopes and names. */
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/access_priv.h"
#include "base/alloc.h"
#include "base/limits.h"
#include "base/time_text.h"

#include "unit/support.h"

#define SECOND 1000000u
#define START  1700000000000000u /* the wall clock at first */

/* A linux outside whose clocks stand still until a test moves them, and whose n-th call fails. */
struct rig {
    struct hf_outside *outside; /* linux's, with functions replaced */
    struct hf_outside linux_functions;
    char directory[64];
    char path[96];            /* of the tokens file */
    unsigned complaints;      /* told */
    unsigned relieved;        /* told that it is whole again */
    char complaint[400];      /* the last one */
    struct hf_arena arena;    /* of exchanges */
    struct hf_access *access; /* NULL until it is made */
    struct hf_caller caller;  /* of the last request */
    const char *detail;       /* of the last request */
};

/* The functions of the table have no context of ours, so what they look at is static. */
static uint64_t wall_us = START;
static uint64_t monotonic_us = SECOND;
static unsigned opens;
static unsigned fail_at; /* the call that fails; 0 = none */
static unsigned calls;
static struct rig *current;

static uint64_t wall(struct hf_outside *o)
{
    (void)o;
    return wall_us;
}

static uint64_t monotonic(struct hf_outside *o)
{
    (void)o;
    return monotonic_us;
}

static bool fails(struct hf_error *error)
{
    calls++;
    if (fail_at != 0 && calls == fail_at) {
        (void)hf_error_set(error, HF_ERR_IO, "planted");
        return true;
    }
    return false;
}

static enum hf_err open_file(struct hf_outside *o, const char *path, enum hf_open_mode mode,
                             struct hf_file **file, struct hf_error *error)
{
    opens++;
    *file = NULL;
    return fails(error) ? HF_ERR_IO : current->linux_functions.open(o, path, mode, file, error);
}

static enum hf_err write_file(struct hf_outside *o, struct hf_file *file, uint64_t offset,
                              const void *data, size_t size, struct hf_error *error)
{
    if (fails(error)) {
        (void)current->linux_functions.write(o, file, offset, data, size / 2, NULL);
        return HF_ERR_IO;
    }
    return current->linux_functions.write(o, file, offset, data, size, error);
}

static enum hf_err sync_file(struct hf_outside *o, struct hf_file *file, struct hf_error *error)
{
    return fails(error) ? HF_ERR_IO : current->linux_functions.sync(o, file, error);
}

static enum hf_err rename_file(struct hf_outside *o, const char *from, const char *to,
                               struct hf_error *error)
{
    return fails(error) ? HF_ERR_IO : current->linux_functions.rename(o, from, to, error);
}

static enum hf_err read_file(struct hf_outside *o, struct hf_file *file, uint64_t offset,
                             void *data, size_t size, size_t *got, struct hf_error *error)
{
    *got = 0;
    return fails(error) ? HF_ERR_IO
                        : current->linux_functions.read(o, file, offset, data, size, got, error);
}

static void complain(void *context, const char *what)
{
    struct rig *rig = context;
    if (what == NULL) {
        rig->relieved++;
    } else {
        rig->complaints++;
        (void)snprintf(rig->complaint, sizeof(rig->complaint), "%s", what);
    }
}

static int set_up(void **state)
{
    struct rig *rig = hf_calloc(1, sizeof(*rig));
    assert_non_null(rig);
    (void)snprintf(rig->directory, sizeof(rig->directory), "access-test-XXXXXX");
    assert_non_null(mkdtemp(rig->directory));
    (void)snprintf(rig->path, sizeof(rig->path), "%s/tokens.json", rig->directory);
    rig->outside = hf_outside_linux_new();
    assert_non_null(rig->outside);
    rig->linux_functions = *rig->outside;
    rig->outside->wall_us = wall;
    rig->outside->monotonic_us = monotonic;
    rig->outside->open = open_file;
    rig->outside->write = write_file;
    rig->outside->sync = sync_file;
    rig->outside->rename = rename_file;
    rig->outside->read = read_file;
    hf_arena_init(&rig->arena);
    wall_us = START;
    monotonic_us = SECOND;
    opens = fail_at = calls = 0;
    current = rig;
    *state = rig;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *rig = *state;
    static const char *const names[] = {"", ".lock", ".new"};
    hf_access_free(rig->access);
    for (size_t i = 0; i < HF_ARRAY_COUNT(names); i++) {
        char path[128];
        (void)snprintf(path, sizeof(path), "%s%s", rig->path, names[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(rig->directory), 0); /* nothing else was left there */
    hf_arena_release(&rig->arena);
    hf_outside_linux_free(rig->outside);
    hf_free(rig);
    return 0;
}

static void make_access(struct rig *rig, const struct hf_access_options *more)
{
    struct hf_error error = {0};
    struct hf_access_options options = {.loopback_only = true};
    if (more != NULL) {
        options = *more;
    }
    options.outside = rig->outside;
    options.tokens_path = rig->path;
    options.complain = complain;
    options.complain_context = rig;
    hf_access_free(rig->access);
    assert_int_equal(hf_access_new(&options, &rig->access, &error), HF_ERR_OK);
}

/* A POST with these headers, each "name: value"; NULL ends them. */
static enum hf_err ask(struct rig *rig, const char *const *lines)
{
    struct hf_http_header headers[8];
    struct hf_http_exchange exchange = {
        .method = HF_HTTP_POST, .headers = headers, .arena = &rig->arena};
    for (; *lines != NULL; lines++) {
        const char *colon = strchr(*lines, ':');
        assert_non_null(colon);
        headers[exchange.header_count++] =
            (struct hf_http_header){{*lines, (size_t)(colon - *lines)}, hf_str_from(colon + 2)};
    }
    return hf_access_check(rig->access, &exchange, &rig->caller, &rig->detail);
}

static enum hf_err ask_with(struct rig *rig, const char *secret)
{
    char line[128];
    const char *const lines[] = {"host: localhost:7070", line, NULL};
    (void)snprintf(line, sizeof(line), "authorization: Bearer %s", secret);
    return ask(rig, lines);
}

struct made {
    char id[HF_TOKEN_ID_BYTES];
    char secret[HF_TOKEN_SECRET_BYTES];
};

static struct made create(struct rig *rig, const struct hf_token *token)
{
    struct made made;
    struct hf_error error = {0};
    enum hf_err code =
        hf_tokens_create(rig->outside, rig->path, token, made.id, made.secret, &error);
    if (code != HF_ERR_OK) {
        fail_msg("%s", error.text);
    }
    return made;
}

static struct made create_plain(struct rig *rig)
{
    return create(
        rig, &(struct hf_token){.principal = "shop", .scopes = HF_SCOPE_READ | HF_SCOPE_COMMIT});
}

static struct hf_str file_text(struct rig *rig)
{
    struct hf_error error = {0};
    struct hf_buffer text;
    hf_buffer_init(&text);
    assert_int_equal(hf_tokens_read(rig->outside, rig->path, &text, &error), HF_ERR_OK);
    struct hf_str copy =
        hf_arena_copy(&rig->arena, (struct hf_str){(const char *)text.data, text.size_bytes});
    hf_buffer_release(&text);
    return copy;
}

static void put_file(struct rig *rig, struct hf_str text)
{
    FILE *file = fopen(rig->path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text.ptr, 1, text.len, file), text.len);
    assert_int_equal(fclose(file), 0);
}

static void a_secret_is_nowhere_at_rest(void **state)
{
    struct rig *rig = *state;
    struct made made = create_plain(rig);
    assert_int_equal(strlen(made.secret), HF_TOKEN_SECRET_TEXT);
    assert_memory_equal(made.secret, "hft_", 4);
    assert_int_equal(strspn(made.secret + 4, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                             "0123456789-_"),
                     43);
    assert_int_equal(strspn(made.id, "0123456789abcdef"), 8);
    struct hf_str text = file_text(rig);
    assert_null(memmem(text.ptr, text.len, made.secret + 4, 16));
    struct hf_hash digest = hf_sha256(made.secret, strlen(made.secret));
    char hex[2 * HF_SHA256_BYTES + 1];
    hf_hash_hex(&digest, hex);
    assert_non_null(memmem(text.ptr, text.len, hex, 64));
    struct stat status;
    assert_int_equal(stat(rig->path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    struct made other = create_plain(rig);
    assert_string_not_equal(made.secret, other.secret);
    assert_string_not_equal(made.id, other.id);
}

static void a_token_lets_its_principal_in(void **state)
{
    struct rig *rig = *state;
    const char *const names[] = {"users:", "orders:1", "AAAAAAAA-bbbb-4CCC-8DDD-0123456789EF"};
    struct made made = create(
        rig, &(struct hf_token){
                 .principal = "shop", .scopes = HF_SCOPE_COMMIT, .names = names, .name_count = 3});
    make_access(rig, NULL);
    assert_true(hf_access_has_tokens(rig->access));
    assert_int_equal(ask_with(rig, made.secret), HF_ERR_OK);
    assert_true(hf_str_equal(rig->caller.principal, HF_STR("shop")));
    assert_int_equal(rig->caller.scopes, HF_SCOPE_COMMIT);
    assert_int_equal(rig->caller.name_count, 3);
    assert_true(hf_caller_may(&rig->caller, HF_SCOPE_COMMIT,
                              HF_STR("aaaaaaaa-bbbb-4ccc-8ddd-0123456789ef"))); /* folded */
    assert_true(hf_caller_may(&rig->caller, HF_SCOPE_COMMIT, HF_STR("users:42")));
    assert_true(hf_caller_may(&rig->caller, HF_SCOPE_COMMIT, HF_STR("users:")));
    assert_true(hf_caller_may(&rig->caller, HF_SCOPE_COMMIT, HF_STR("orders:1")));
    assert_false(hf_caller_may(&rig->caller, HF_SCOPE_COMMIT, HF_STR("orders:12")));
    assert_false(hf_caller_may(&rig->caller, HF_SCOPE_COMMIT, HF_STR("users")));
    assert_false(hf_caller_may(&rig->caller, HF_SCOPE_COMMIT, HF_STR("")));
    assert_true(hf_caller_may(&rig->caller, HF_SCOPE_COMMIT, HF_STR_NONE));
    assert_false(hf_caller_may(&rig->caller, HF_SCOPE_READ, HF_STR("users:42")));
    assert_false(hf_caller_may(&rig->caller, HF_SCOPE_ADMIN, HF_STR("users:42")));
    const char *const lower[] = {"host: localhost", NULL, NULL};
    char line[128];
    (void)snprintf(line, sizeof(line), "authorization: bEARER   %s", made.secret);
    ((const char **)lower)[1] = line;
    assert_int_equal(ask(rig, lower), HF_ERR_OK);
}

static void other_secrets_and_forms_do_not(void **state)
{
    struct rig *rig = *state;
    struct made made = create_plain(rig);
    make_access(rig, NULL);
    for (size_t i = 0; i < HF_TOKEN_SECRET_TEXT; i++) {
        struct made near = made;
        near.secret[i] = near.secret[i] == 'x' ? 'y' : 'x';
        assert_int_equal(ask_with(rig, near.secret), HF_ERR_UNAUTHORIZED);
        near.secret[i] = 0; /* cut off */
        assert_int_equal(ask_with(rig, near.secret), HF_ERR_UNAUTHORIZED);
        assert_null(rig->caller.principal.ptr);
        assert_int_equal(rig->caller.scopes, 0);
    }
    char good[128], longer[128], basic[128], bare[128], joined[128];
    (void)snprintf(good, sizeof(good), "authorization: Bearer %s", made.secret);
    (void)snprintf(longer, sizeof(longer), "authorization: Bearer %sA", made.secret);
    (void)snprintf(basic, sizeof(basic), "authorization: Basic %s", made.secret);
    (void)snprintf(bare, sizeof(bare), "authorization: %s", made.secret);
    (void)snprintf(joined, sizeof(joined), "authorization: Bearer%s", made.secret);
    const char *const bad[][4] = {
        {"host: localhost", NULL},
        {"host: localhost", longer, NULL},
        {"host: localhost", basic, NULL},
        {"host: localhost", bare, NULL},
        {"host: localhost", joined, NULL},
        {"host: localhost", "authorization: Bearer", NULL},
        {"host: localhost", good, good, NULL}, /* twice: whose is it? */
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(bad); i++) {
        assert_int_equal(ask(rig, bad[i]), HF_ERR_UNAUTHORIZED);
        assert_true(strlen(rig->detail) > 0);
    }
    const char *const once[] = {"host: localhost", good, NULL};
    assert_int_equal(ask(rig, once), HF_ERR_OK);
}

static void many_tokens_are_told_apart(void **state)
{
    struct rig *rig = *state;
    struct made made[40];
    for (unsigned i = 0; i < HF_ARRAY_COUNT(made); i++) {
        char principal[16];
        (void)snprintf(principal, sizeof(principal), "p%u", i);
        made[i] = create(rig, &(struct hf_token){.principal = principal, .scopes = HF_SCOPE_READ});
    }
    make_access(rig, NULL);
    for (unsigned i = 0; i < HF_ARRAY_COUNT(made); i++) {
        char principal[16];
        (void)snprintf(principal, sizeof(principal), "p%u", i);
        assert_int_equal(ask_with(rig, made[i].secret), HF_ERR_OK);
        assert_true(hf_str_equal(rig->caller.principal, hf_str_from(principal)));
    }
}

static void a_token_ends(void **state)
{
    struct rig *rig = *state;
    char until[HF_TIME_TEXT_BYTES];
    hf_time_format(START + 10 * SECOND, until);
    struct made made = create(
        rig, &(struct hf_token){.principal = "p", .scopes = HF_SCOPE_READ, .expires_at = until});
    make_access(rig, NULL);
    assert_int_equal(ask_with(rig, made.secret), HF_ERR_OK);
    wall_us = START + 10 * SECOND - 1;
    assert_int_equal(ask_with(rig, made.secret), HF_ERR_OK);
    wall_us = START + 10 * SECOND;
    assert_int_equal(ask_with(rig, made.secret), HF_ERR_UNAUTHORIZED);
    struct hf_error error = {0};
    struct made again;
    assert_int_equal(
        hf_tokens_rotate(rig->outside, rig->path, made.id, 0, again.id, again.secret, &error),
        HF_ERR_INVALID_REQUEST);
    assert_string_equal(again.secret, "");
}

struct seen {
    unsigned count;
    char replaced_by[9];
    char expires_at[64];
    char names[64];
};

static void see(void *context, const struct hf_token *token)
{
    struct seen *seen = context;
    seen->count++;
    (void)snprintf(seen->replaced_by, sizeof(seen->replaced_by), "%s",
                   token->replaced_by == NULL ? "" : token->replaced_by);
    (void)snprintf(seen->expires_at, sizeof(seen->expires_at), "%s",
                   token->expires_at == NULL ? "never" : token->expires_at);
    (void)snprintf(seen->names, sizeof(seen->names), "%s",
                   token->names == NULL ? "all" : token->names[0]);
}

static void a_rotation_leaves_a_grace(void **state)
{
    struct rig *rig = *state;
    struct hf_error error = {0};
    struct made made = create_plain(rig);
    struct made next, third;
    make_access(rig, NULL);
    assert_int_equal(
        hf_tokens_rotate(rig->outside, rig->path, made.id, 60, next.id, next.secret, &error),
        HF_ERR_OK);
    monotonic_us += SECOND;
    assert_int_equal(ask_with(rig, made.secret), HF_ERR_OK);
    assert_int_equal(ask_with(rig, next.secret), HF_ERR_OK);
    assert_true(hf_str_equal(rig->caller.principal, HF_STR("shop")));
    assert_int_equal(rig->caller.scopes, HF_SCOPE_READ | HF_SCOPE_COMMIT);
    wall_us += 60 * SECOND;
    assert_int_equal(ask_with(rig, made.secret), HF_ERR_UNAUTHORIZED);
    assert_int_equal(ask_with(rig, next.secret), HF_ERR_OK);
    assert_int_equal(
        hf_tokens_rotate(rig->outside, rig->path, made.id, 0, third.id, third.secret, &error),
        HF_ERR_INVALID_REQUEST); /* it has a successor */
    assert_non_null(strstr(error.text, next.id));
    assert_int_equal(
        hf_tokens_rotate(rig->outside, rig->path, "00000000", 0, third.id, third.secret, &error),
        HF_ERR_NOT_FOUND);
    assert_int_equal(
        hf_tokens_rotate(rig->outside, rig->path, next.id, 0, third.id, third.secret, &error),
        HF_ERR_OK); /* no grace: it ends now */
    monotonic_us += SECOND;
    assert_int_equal(ask_with(rig, next.secret), HF_ERR_UNAUTHORIZED);
    assert_int_equal(ask_with(rig, third.secret), HF_ERR_OK);
    struct seen seen = {0};
    assert_int_equal(hf_tokens_list(rig->outside, rig->path, see, &seen, &error), HF_ERR_OK);
    assert_int_equal(seen.count, 3);
    assert_string_equal(seen.expires_at, "never");
}

static void a_rotation_keeps_the_lifetime(void **state)
{
    struct rig *rig = *state;
    struct hf_error error = {0};
    struct made next;
    struct seen seen = {0};
    char until[HF_TIME_TEXT_BYTES];
    const char *const names[] = {"users:"};
    hf_time_format(START + 100 * SECOND, until);
    struct made made = create(rig, &(struct hf_token){.principal = "p",
                                                      .scopes = HF_SCOPE_READ,
                                                      .names = names,
                                                      .name_count = 1,
                                                      .expires_at = until});
    wall_us = START + 50 * SECOND;
    assert_int_equal(
        hf_tokens_rotate(rig->outside, rig->path, made.id, 1000, next.id, next.secret, &error),
        HF_ERR_OK);
    assert_int_equal(hf_tokens_list(rig->outside, rig->path, see, &seen, &error), HF_ERR_OK);
    hf_time_format(START + 150 * SECOND, until);
    assert_string_equal(seen.expires_at, until);
    assert_string_equal(seen.names, "users:");
    make_access(rig, NULL);
    wall_us = START + 100 * SECOND; /* grace never makes the old one live longer */
    assert_int_equal(ask_with(rig, made.secret), HF_ERR_UNAUTHORIZED);
    assert_int_equal(ask_with(rig, next.secret), HF_ERR_OK);
}

static void a_change_is_seen_within_a_second(void **state)
{
    struct rig *rig = *state;
    struct hf_error error = {0};
    make_access(rig, NULL);
    const char *const plain[] = {"host: localhost", NULL};
    assert_int_equal(ask(rig, plain), HF_ERR_OK); /* no file: everybody is local */
    assert_true(hf_str_equal(rig->caller.principal, HF_STR("local")));
    assert_int_equal(rig->caller.scopes, HF_SCOPES_ALL);
    struct made made = create_plain(rig);
    opens = 0;
    monotonic_us += SECOND - 1;
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(ask(rig, plain), HF_ERR_OK);
    }
    assert_int_equal(opens, 0);
    monotonic_us++;
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(ask(rig, plain), HF_ERR_UNAUTHORIZED);
    }
    assert_int_equal(opens, 1);
    assert_int_equal(ask_with(rig, made.secret), HF_ERR_OK);
    assert_int_equal(hf_tokens_revoke(rig->outside, rig->path, made.id, &error), HF_ERR_OK);
    assert_int_equal(hf_tokens_revoke(rig->outside, rig->path, made.id, &error), HF_ERR_NOT_FOUND);
    assert_int_equal(ask_with(rig, made.secret), HF_ERR_OK);
    monotonic_us += SECOND;
    assert_int_equal(ask_with(rig, made.secret), HF_ERR_UNAUTHORIZED);
    assert_int_equal(ask(rig, plain), HF_ERR_UNAUTHORIZED); /* an empty file is a file */
    assert_false(hf_access_has_tokens(rig->access));
}

static void no_tokens_is_for_loopback(void **state)
{
    struct rig *rig = *state;
    const char *const plain[] = {"host: api.example.org", NULL};
    const char *const hosts[] = {"api.example.org"};
    struct hf_access_options options = {.hosts = hosts, .host_count = 1};
    make_access(rig, &options);
    assert_int_equal(ask(rig, plain), HF_ERR_UNAUTHORIZED);
    struct hf_http_exchange unix_socket = {.local_socket = true, .arena = &rig->arena};
    assert_int_equal(hf_access_check(rig->access, &unix_socket, &rig->caller, &rig->detail),
                     HF_ERR_OK);
    options.allow_open = true;
    make_access(rig, &options);
    assert_int_equal(ask(rig, plain), HF_ERR_OK);
    struct made made = create_plain(rig);
    make_access(rig, &options);
    assert_int_equal(ask(rig, plain), HF_ERR_UNAUTHORIZED);
    assert_int_equal(hf_access_check(rig->access, &unix_socket, &rig->caller, &rig->detail),
                     HF_ERR_UNAUTHORIZED);
    assert_int_equal(ask_with(rig, made.secret), HF_ERR_OK);
}

static void a_damaged_file_lets_nobody_in(void **state)
{
    struct rig *rig = *state;
    const char *const names[] = {"users:"};
    struct made made = create(
        rig, &(struct hf_token){
                 .principal = "shop", .scopes = HF_SCOPE_READ, .names = names, .name_count = 1});
    make_access(rig, NULL);
    struct hf_str good = file_text(rig);
    char *bad = hf_arena_alloc(&rig->arena, good.len + 1);
    assert_non_null(bad);
    for (size_t i = 0; i + 1 < good.len; i++) { /* the last byte is a line end */
        memcpy(bad, good.ptr, good.len);
        bad[i] = (char)(bad[i] ^ 1);
        put_file(rig, (struct hf_str){bad, good.len});
        monotonic_us += SECOND;
        assert_int_equal(ask_with(rig, made.secret), HF_ERR_NOT_READY);
        put_file(rig, (struct hf_str){good.ptr, i});
        monotonic_us += SECOND;
        assert_int_equal(ask_with(rig, made.secret), HF_ERR_NOT_READY);
        assert_null(rig->caller.principal.ptr);
    }
    assert_int_equal(rig->complaints, 1); /* it stayed unusable all along */
    assert_non_null(strstr(rig->complaint, "tokens.json"));
    assert_false(hf_access_has_tokens(rig->access));
    struct made none;
    struct hf_error error = {0};
    struct hf_token token = {.principal = "x", .scopes = HF_SCOPE_ADMIN};
    assert_int_equal(
        hf_tokens_create(rig->outside, rig->path, &token, none.id, none.secret, &error),
        HF_ERR_CORRUPT); /* an edit would make it look whole */
    put_file(rig, good);
    monotonic_us += SECOND;
    assert_int_equal(ask_with(rig, made.secret), HF_ERR_OK);
    assert_int_equal(rig->relieved, 1);
    assert_int_equal(unlink(rig->path), 0);
    monotonic_us += SECOND;
    const char *const plain[] = {"host: localhost", NULL};
    assert_int_equal(ask(rig, plain), HF_ERR_NOT_READY); /* gone is not open */
    assert_int_equal(rig->complaints, 2);
}

static void wrong_members_are_refused(void **state)
{
    struct rig *rig = *state;
    const char *const wild[] = {"users:*"};
    const char *const empty[] = {""};
    char long_name[HF_PRINCIPAL_BYTES_MAX + 2];
    memset(long_name, 'p', sizeof(long_name));
    long_name[sizeof(long_name) - 1] = 0;
    const struct hf_token bad[] = {
        {.principal = "", .scopes = HF_SCOPE_READ},
        {.principal = "a b", .scopes = HF_SCOPE_READ},
        {.principal = "\xC3\xA4", .scopes = HF_SCOPE_READ},
        {.principal = long_name, .scopes = HF_SCOPE_READ},
        {.principal = "p", .scopes = 0},
        {.principal = "p", .scopes = 16},
        {.principal = "p", .scopes = 1, .names = wild, .name_count = 1},
        {.principal = "p", .scopes = 1, .names = empty, .name_count = 1},
        {.principal = "p", .scopes = 1, .names = wild, .name_count = 0},
        {.principal = "p", .scopes = 1, .expires_at = "tomorrow"},
        {.principal = "p", .scopes = 1, .expires_at = "2001-01-01T00:00:00Z"}, /* over */
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(bad); i++) {
        struct made made;
        struct hf_error error = {0};
        assert_int_equal(
            hf_tokens_create(rig->outside, rig->path, &bad[i], made.id, made.secret, &error),
            HF_ERR_INVALID_REQUEST);
        assert_string_equal(made.secret, "");
        assert_int_equal(access(rig->path, F_OK), -1);
    }
    static const char *const good[] = {"*", "users:", "USD/2", "USD/", "a", "~", "~7.0", "shop-a_"};
    static const char *const not_good[] = {"", "**", "a*", "/", ":", "a b", "a/b/", "~*"};
    for (size_t i = 0; i < HF_ARRAY_COUNT(good); i++) {
        assert_true(hf_name_pattern_valid(hf_str_from(good[i])));
    }
    for (size_t i = 0; i < HF_ARRAY_COUNT(not_good); i++) {
        assert_false(hf_name_pattern_valid(hf_str_from(not_good[i])));
    }
}

static void hosts_are_ours_or_refused(void **state)
{
    struct rig *rig = *state;
    const char *const hosts[] = {"API.example.org", "[2001:db8::1]", "10.0.0.5"};
    make_access(
        rig, &(struct hf_access_options){.loopback_only = true, .hosts = hosts, .host_count = 3});
    static const char *const good[] = {
        "localhost",       "localhost:7070",      "LOCALHOST:1", "127.0.0.1",
        "127.0.0.1:65535", "127.1.2.3:7070",      "[::1]",       "[::1]:7070",
        "api.example.org", "Api.Example.Org:443", "localhost:",  "[2001:db8::1]:80",
        "10.0.0.5:7070",
    };
    static const char *const foreign[] = {
        "",
        "evil.example",
        "evil.example:7070",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil.example:80:127.0.0.1",
        "127.0.0.1@evil.example",
        "user@localhost",
        "128.0.0.1",
        "127.0.0.256",
        "127.0.0",
        "127.1",
        "127.0.0.01",
        "0127.0.0.1",
        "0x7f.0.0.1",
        "2130706433",
        "0.0.0.0",
        "localhost:7070a",
        "localhost:123456",
        "localhost, evil.example",
        "localhost/",
        "[::1",
        "[::1]x",
        "[::ffff:127.0.0.1]",
        "10.0.0.50",
        "xapi.example.org",
        "api.example.org.",
        ":7070",
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(good) + HF_ARRAY_COUNT(foreign); i++) {
        bool ours = i < HF_ARRAY_COUNT(good);
        const char *host = ours ? good[i] : foreign[i - HF_ARRAY_COUNT(good)];
        char line[128];
        const char *const lines[] = {line, NULL};
        (void)snprintf(line, sizeof(line), "host: %s", host);
        enum hf_err code = ask(rig, lines);
        if (code != (ours ? HF_ERR_OK : HF_ERR_FORBIDDEN)) {
            fail_msg("Host %s: %s", host, hf_err_name(code));
        }
    }
    const char *const none[] = {"accept: */*", NULL};
    const char *const twice[] = {"host: localhost", "host: localhost", NULL};
    assert_int_equal(ask(rig, none), HF_ERR_FORBIDDEN);
    assert_int_equal(ask(rig, twice), HF_ERR_FORBIDDEN);
    struct hf_http_exchange unix_socket = {.local_socket = true, .arena = &rig->arena};
    assert_int_equal(hf_access_check(rig->access, &unix_socket, &rig->caller, &rig->detail),
                     HF_ERR_OK); /* any, or none */
}

static void pages_of_other_sites_are_refused(void **state)
{
    struct rig *rig = *state;
    const char *const origins[] = {"https://console.example.org", "http://localhost:3000"};
    make_access(rig, &(struct hf_access_options){
                         .loopback_only = true, .origins = origins, .origin_count = 2});
    static const struct {
        const char *lines[4];
        enum hf_err code;
    } cases[] = {
        {{"host: localhost", NULL}, HF_ERR_OK},
        {{"host: localhost", "origin: https://console.example.org", NULL}, HF_ERR_OK},
        {{"host: localhost", "origin: http://localhost:3000", NULL}, HF_ERR_OK},
        {{"host: localhost", "origin: http://localhost:3000", "sec-fetch-site: cross-site", NULL},
         HF_ERR_OK},
        {{"host: localhost", "origin: null", NULL}, HF_ERR_FORBIDDEN},
        {{"host: localhost", "origin: ", NULL}, HF_ERR_FORBIDDEN},
        {{"host: localhost", "origin: http://localhost", NULL}, HF_ERR_FORBIDDEN},
        {{"host: localhost", "origin: http://localhost:7070", NULL}, HF_ERR_FORBIDDEN},
        {{"host: localhost", "origin: https://console.example.org.evil.example", NULL},
         HF_ERR_FORBIDDEN},
        {{"host: localhost", "origin: https://console.example.org:444", NULL}, HF_ERR_FORBIDDEN},
        {{"host: localhost", "origin: https://console.example.org", "origin: http://evil.example",
          NULL},
         HF_ERR_FORBIDDEN},
        {{"host: localhost", "sec-fetch-site: cross-site", NULL}, HF_ERR_FORBIDDEN},
        {{"host: localhost", "sec-fetch-site: same-site", NULL}, HF_ERR_FORBIDDEN},
        {{"host: localhost", "sec-fetch-site: none", NULL}, HF_ERR_OK},
        {{"host: localhost", "sec-fetch-site: same-origin", NULL}, HF_ERR_OK},
        {{"host: localhost", "sec-fetch-site: none", "sec-fetch-site: none", NULL},
         HF_ERR_FORBIDDEN},
        {{"host: evil.example", "origin: https://console.example.org", NULL}, HF_ERR_FORBIDDEN},
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(cases); i++) {
        if (ask(rig, cases[i].lines) != cases[i].code) {
            fail_msg("case %zu: %s", i, cases[i].lines[1]);
        }
    }
    struct hf_access *none = NULL;
    static const char *const bad[] = {"*",         "null",     "https://a/",  "HTTPS://a",
                                      "a.example", "https://", "https://a b", "://a"};
    for (size_t i = 0; i < HF_ARRAY_COUNT(bad); i++) {
        struct hf_access_options options = {
            .outside = rig->outside, .origins = &bad[i], .origin_count = 1};
        assert_int_equal(hf_access_new(&options, &none, NULL), HF_ERR_INVALID_REQUEST);
        assert_null(none);
    }
    static const char *const bad_hosts[] = {"", "http://a", "a/b", "a@b", "a b"};
    for (size_t i = 0; i < HF_ARRAY_COUNT(bad_hosts); i++) {
        struct hf_access_options options = {
            .outside = rig->outside, .hosts = &bad_hosts[i], .host_count = 1};
        assert_int_equal(hf_access_new(&options, &none, NULL), HF_ERR_INVALID_REQUEST);
    }
}

static void a_preflight_gets_permission_and_no_scope(void **state)
{
    struct rig *rig = *state;
    const char *const origins[] = {"https://console.example.org"};
    (void)create_plain(rig);
    make_access(rig, &(struct hf_access_options){
                         .loopback_only = true, .origins = origins, .origin_count = 1});
    struct hf_http_header headers[] = {
        {HF_STR("host"), HF_STR("localhost:7070")},
        {HF_STR("origin"), HF_STR("https://console.example.org")},
    };
    struct hf_http_exchange exchange = {
        .method = HF_HTTP_OPTIONS, .headers = headers, .header_count = 2, .arena = &rig->arena};
    assert_int_equal(hf_access_check(rig->access, &exchange, &rig->caller, &rig->detail),
                     HF_ERR_OK);
    assert_false(hf_caller_may(&rig->caller, HF_SCOPE_READ, HF_STR_NONE));
    struct hf_str text = hf_access_cors(rig->access, &exchange);
    static const char begin[] = "Access-Control-Allow-Origin: https://console.example.org\r\n"
                                "Vary: Origin\r\n";
    assert_true(text.len > sizeof(begin));
    assert_memory_equal(text.ptr, begin, sizeof(begin) - 1);
    assert_non_null(memmem(text.ptr, text.len, "Authorization, Content-Type, Idempotency-Key", 44));
    assert_memory_equal(text.ptr + text.len - 2, "\r\n", 2);
    exchange.method = HF_HTTP_POST;
    assert_int_equal(hf_access_check(rig->access, &exchange, &rig->caller, &rig->detail),
                     HF_ERR_UNAUTHORIZED);
    text = hf_access_cors(rig->access, &exchange);
    assert_null(memmem(text.ptr, text.len, "Allow-Methods", 13));
    headers[1].value = HF_STR("https://evil.example");
    assert_int_equal(hf_access_cors(rig->access, &exchange).len, 0);
}

/* Whatever call fails: the file is the old one or the new one, and the caller knows which. */
static void a_failed_edit_leaves_the_file(void **state)
{
    struct rig *rig = *state;
    struct made made = create_plain(rig);
    struct hf_str before = file_text(rig);
    unsigned n = 0;
    for (bool done = false; !done; n++) {
        struct hf_token token = {.principal = "other", .scopes = HF_SCOPE_READ};
        struct made other;
        struct hf_error error = {0};
        calls = 0;
        fail_at = n + 1;
        enum hf_err code =
            hf_tokens_create(rig->outside, rig->path, &token, other.id, other.secret, &error);
        done = calls < fail_at;
        fail_at = 0;
        struct hf_str after = file_text(rig);
        assert_int_equal(code, done ? HF_ERR_OK : HF_ERR_IO);
        assert_int_equal(hf_str_equal(before, after), !done);
        assert_int_equal(other.secret[0] == 0, !done);
    }
    assert_true(n > 5);
    make_access(rig, NULL);
    assert_int_equal(ask_with(rig, made.secret), HF_ERR_OK);
    monotonic_us += SECOND;
    calls = 0;
    fail_at = 1; /* the file can't be opened: nobody, until it can */
    assert_int_equal(ask_with(rig, made.secret), HF_ERR_NOT_READY);
    monotonic_us += SECOND;
    assert_int_equal(ask_with(rig, made.secret), HF_ERR_OK);
}

static void short_memory_lets_nobody_in(void **state)
{
    struct rig *rig = *state;
    const char *const names[] = {"users:", "orders:"};
    struct made made = create(
        rig, &(struct hf_token){
                 .principal = "shop", .scopes = HF_SCOPE_READ, .names = names, .name_count = 2});
    struct hf_str before = file_text(rig);
    bool hit = true;
    for (uint64_t n = 1; hit; n++) {
        struct hf_access_options options = {
            .outside = rig->outside, .tokens_path = rig->path, .loopback_only = true};
        struct hf_arena kept = rig->arena;
        hf_access_free(rig->access);
        hf_alloc_fault_set(n);
        enum hf_err code = hf_access_new(&options, &rig->access, NULL);
        if (code == HF_ERR_OK) {
            hf_arena_init(&rig->arena);
            code = ask_with(rig, made.secret);
            hf_arena_release(&rig->arena);
            rig->arena = kept;
        }
        hit = hf_alloc_fault_hit();
        hf_alloc_fault_set(0);
        assert_true(hit || code == HF_ERR_OK);
        assert_true(code == HF_ERR_OK || code == HF_ERR_NO_MEMORY || code == HF_ERR_NOT_READY);
    }
    hit = true;
    for (uint64_t n = 1; hit; n++) {
        struct hf_token token = {.principal = "other", .scopes = HF_SCOPE_READ};
        struct made other;
        hf_alloc_fault_set(n);
        enum hf_err code =
            hf_tokens_create(rig->outside, rig->path, &token, other.id, other.secret, NULL);
        hit = hf_alloc_fault_hit();
        hf_alloc_fault_set(0);
        /* Short memory while the old file is read looks like damage; either way nothing is written. */
        assert_int_equal(code == HF_ERR_OK, !hf_str_equal(before, file_text(rig)));
        assert_true(hit || code == HF_ERR_OK);
    }
}

static void *create_ten(void *context)
{
    struct rig *rig = context;
    for (unsigned i = 0; i < 10; i++) {
        struct hf_token token = {.principal = "racer", .scopes = HF_SCOPE_READ};
        struct made made;
        if (hf_tokens_create(rig->outside, rig->path, &token, made.id, made.secret, NULL) !=
            HF_ERR_OK) {
            return rig;
        }
    }
    return NULL;
}

static void two_writers_lose_nothing(void **state)
{
    struct rig *rig = *state;
    struct seen seen = {0};
    struct hf_error error = {0};
    pthread_t threads[3];
    *rig->outside = rig->linux_functions; /* the counting ones are for one thread */
    for (size_t i = 0; i < HF_ARRAY_COUNT(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, create_ten, rig), 0);
    }
    for (size_t i = 0; i < HF_ARRAY_COUNT(threads); i++) {
        void *failed = NULL;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    assert_int_equal(hf_tokens_list(rig->outside, rig->path, see, &seen, &error), HF_ERR_OK);
    assert_int_equal(seen.count, 30);
}

static void scopes_and_admin(void **state)
{
    (void)state;
    struct hf_caller caller = {.principal = HF_STR("p"), .scopes = HF_SCOPE_ADMIN};
    assert_true(hf_caller_may(&caller, HF_SCOPE_READ, HF_STR("a")));
    assert_true(hf_caller_may(&caller, HF_SCOPE_OPERATE, HF_STR_NONE));
    caller.scopes = HF_SCOPE_OPERATE;
    assert_false(hf_caller_may(&caller, HF_SCOPE_COMMIT, HF_STR("a")));
    assert_true(hf_caller_may(&caller, HF_SCOPE_OPERATE, HF_STR("a")));
    const struct hf_str all[] = {HF_STR("*")};
    caller.names = all;
    caller.name_count = 1;
    assert_true(hf_caller_may(&caller, HF_SCOPE_OPERATE, HF_STR("anything:1")));
    caller.name_count = 0; /* an empty list covers nothing */
    assert_false(hf_caller_may(&caller, HF_SCOPE_OPERATE, HF_STR("anything:1")));
    char text[HF_SCOPES_TEXT_BYTES];
    hf_scopes_format(HF_SCOPES_ALL, text);
    assert_string_equal(text, "read,commit,operate,admin");
    unsigned scope;
    assert_true(hf_scope_parse(HF_STR("operate"), &scope));
    assert_int_equal(scope, HF_SCOPE_OPERATE);
    assert_false(hf_scope_parse(HF_STR("Read"), &scope));
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_secret_is_nowhere_at_rest),
        CASE(a_token_lets_its_principal_in),
        CASE(other_secrets_and_forms_do_not),
        CASE(many_tokens_are_told_apart),
        CASE(a_token_ends),
        CASE(a_rotation_leaves_a_grace),
        CASE(a_rotation_keeps_the_lifetime),
        CASE(a_change_is_seen_within_a_second),
        CASE(no_tokens_is_for_loopback),
        CASE(a_damaged_file_lets_nobody_in),
        CASE(wrong_members_are_refused),
        CASE(hosts_are_ours_or_refused),
        CASE(pages_of_other_sites_are_refused),
        CASE(a_preflight_gets_permission_and_no_scope),
        CASE(a_failed_edit_leaves_the_file),
        CASE(short_memory_lets_nobody_in),
        CASE(two_writers_lose_nothing),
        CASE(scopes_and_admin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
