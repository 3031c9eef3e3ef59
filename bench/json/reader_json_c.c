/*
 * json-c and jansson both export json_object_get, so that one program can't be linked with both.
 * json-c is loaded at run time, with its own names first.
 */
#include "readers.h"

#include <dlfcn.h>
#include <json-c/json.h>

#include "base/limits.h"

static struct {
    __typeof__(&json_tokener_new_ex) new_ex;
    __typeof__(&json_tokener_set_flags) set_flags;
    __typeof__(&json_tokener_parse_ex) parse_ex;
    __typeof__(&json_tokener_get_error) get_error;
    __typeof__(&json_tokener_get_parse_end) get_parse_end;
    __typeof__(&json_tokener_free) free;
    __typeof__(&json_object_put) put;
} json_c;

static void load(void *library, void *function, const char *name)
{
    void *symbol = dlsym(library, name);
    if (symbol == NULL) {
        fprintf(stderr, "json_bench: json-c has no %s\n", name);
        exit(1);
    }
    memcpy(function, &symbol, sizeof(symbol));
}

void json_c_load(void)
{
    void *library = dlopen("libjson-c.so.5", RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
    if (library == NULL) {
        fprintf(stderr, "json_bench: %s\n", dlerror());
        exit(1);
    }
    load(library, &json_c.new_ex, "json_tokener_new_ex");
    load(library, &json_c.set_flags, "json_tokener_set_flags");
    load(library, &json_c.parse_ex, "json_tokener_parse_ex");
    load(library, &json_c.get_error, "json_tokener_get_error");
    load(library, &json_c.get_parse_end, "json_tokener_get_parse_end");
    load(library, &json_c.free, "json_tokener_free");
    load(library, &json_c.put, "json_object_put");
}

bool json_c_read(struct hf_str text)
{
    struct json_tokener *tokener = json_c.new_ex(HF_JSON_DEPTH_MAX);
    if (tokener == NULL) {
        exit(1);
    }
    json_c.set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    struct json_object *value = json_c.parse_ex(tokener, text.ptr, (int)text.len);
    bool accepted = json_c.get_error(tokener) == json_tokener_success &&
                    json_c.get_parse_end(tokener) == text.len;
    json_c.put(value);
    json_c.free(tokener);
    return accepted;
}
