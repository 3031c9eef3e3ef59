#include "store/fault.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/service.h"

#define SLOW_US 200000
#define LATE_US                                                                                    \
    1600000 /* attempt_timeout_ms in store.json is 1,000, as is the naive callers' patience */
#define PATH_BYTES 512

struct fault {
    const char *name;
    enum fault_moment moment;
    unsigned pause_us;
    int status; /* to answer with; 0: the process dies, or goes on after a pause */
};

static const struct fault faults[] = {
    {"die-before", FAULT_BEFORE, 0, 0},        {"die-between", FAULT_BETWEEN, 0, 0},
    {"die-after", FAULT_AFTER, 0, 0},          {"slow", FAULT_BEFORE, SLOW_US, 0},
    {"late-before", FAULT_BEFORE, LATE_US, 0}, {"late-after", FAULT_AFTER, LATE_US, 0},
    {"500-before", FAULT_BEFORE, 0, 500},      {"500-after", FAULT_AFTER, 0, 500},
};

/* Whether "step:name" is an item of the list. */
static bool has(const struct fault_place *place, const char *name)
{
    char item[PARAMETER_BYTES_MAX + 1];
    int length = snprintf(item, sizeof(item), "%s:%s", place->step, name);
    const char *found = place->faults;
    while ((found = strstr(found, item)) != NULL) {
        bool begins = found == place->faults || found[-1] == '.';
        if (begins && (found[length] == '.' || found[length] == '\0')) {
            return true;
        }
        found += length;
    }
    return false;
}

static bool first_time(const struct fault_place *place)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof(path), "%s/%s.%s", service_settings()->deaths, place->order,
                   place->step);
    int file = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
    if (file < 0) {
        return false;
    }
    (void)close(file);
    return true;
}

static bool is_mended(void)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof(path), "%s/mended", service_settings()->deaths);
    return access(path, F_OK) == 0;
}

int fault_at(const struct fault_place *place, enum fault_moment moment)
{
    if (service_settings()->deaths == NULL) {
        return 0;
    }
    if (moment == FAULT_BEFORE && has(place, "401") && !is_mended()) {
        return 401;
    }
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        const struct fault *fault = &faults[i];
        if (fault->moment != moment || !has(place, fault->name) || !first_time(place)) {
            continue;
        }
        if (fault->pause_us > 0) {
            (void)usleep(fault->pause_us);
        } else if (fault->status == 0) {
            (void)raise(SIGKILL);
        }
        return fault->status;
    }
    return 0;
}

bool fault_refuses(const struct fault_place *place)
{
    return has(place, "422");
}

bool fault_repeats(const struct fault_place *place)
{
    return service_settings()->deaths != NULL && has(place, "twice") && first_time(place);
}
