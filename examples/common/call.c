#include "call.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service.h"

#define URL_BYTES 1024
#define WAIT_MS   60000L /* longer than any pause that the scenarios make */

static pthread_key_t handles; /* CURL of a thread */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static long limit_ms = WAIT_MS;

void call_limit(long milliseconds)
{
    limit_ms = milliseconds;
}

static void start(void)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK ||
        pthread_key_create(&handles, curl_easy_cleanup) != 0) {
        die("libcurl does not start");
    }
}

static CURL *handle_of_thread(void)
{
    (void)pthread_once(&once, start);
    CURL *handle = pthread_getspecific(handles);
    if (handle == NULL) {
        handle = curl_easy_init();
        if (handle == NULL || pthread_setspecific(handles, handle) != 0) {
            die("out of memory");
        }
    }
    return handle;
}

static size_t take(char *data, size_t size, size_t count, void *context)
{
    struct reply *reply = context;
    size_t used = strlen(reply->text);
    size_t room = sizeof(reply->text) - 1 - used;
    size_t taken = size * count < room ? size * count : room;
    memcpy(reply->text + used, data, taken);
    reply->text[used + taken] = '\0';
    return size * count;
}

int call(struct reply *reply, const char *method, const char *format, ...)
{
    char url[URL_BYTES];
    long status = 0;
    CURL *handle = handle_of_thread();
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(url, sizeof(url), format, arguments);
    va_end(arguments);
    reply->text[0] = '\0';
    curl_easy_reset(handle);
    (void)curl_easy_setopt(handle, CURLOPT_URL, url);
    (void)curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, method);
    (void)curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(handle, CURLOPT_NOPROXY, "*");
    (void)curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, limit_ms);
    (void)curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, take);
    (void)curl_easy_setopt(handle, CURLOPT_WRITEDATA, reply);
    if (curl_easy_perform(handle) == CURLE_OK) {
        (void)curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
    }
    reply->status = (int)status;
    return reply->status;
}

long long reply_number(const struct reply *reply, const char *name)
{
    size_t length = strlen(name);
    const char *found = reply->text;
    while ((found = strstr(found, name)) != NULL) {
        if ((found == reply->text || found[-1] == ' ') && found[length] == '=') {
            return strtoll(found + length + 1, NULL, 10);
        }
        found += length;
    }
    return -1;
}
