/* Moves the host's clock for one process, by as many seconds as CHAOS_CLOCK_SKEW says: loaded with LD_PRELOAD. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t id, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) {
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    }
    int outcome = real(id, now);
    const char *skew = getenv("CHAOS_CLOCK_SKEW");
    if (outcome == 0 && skew && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
        now->tv_sec += atol(skew);
    }
    return outcome;
}
