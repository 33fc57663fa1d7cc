/* Chance and time for a simulation: preloaded into the process that runs one, it answers what would
 * make two runs of one seed differ.
 *
 * Random bytes come from a generator seeded by SIMULATION_SEED, the same for every thread. The thread
 * that makes an event loop lives in a time of its own: it hardly moves while there is something to do,
 * and jumps to the end of the wait when there is not. All other threads have the system's time.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Longer than any machine runs, so that a moment of the system's time lies before. */
#define BEGIN_MONOTONIC 1000000000ULL
#define BEGIN_REAL 1700000000ULL
/* Milliseconds to wait for another thread before the simulation is taken for stuck. */
#define PATIENCE 20000

static __thread uint64_t chance;
static __thread int simulated;
static __thread uint64_t passed; /* ns */

/* For a look at what else has happened. Without it, who looks at the clock again and again until a
 * moment has come would look for ever. */
#define GLANCE 100000

static uint64_t next_chance(void) {
    if (!chance) {
        const char *seed = getenv("SIMULATION_SEED");
        chance = (seed ? strtoull(seed, NULL, 10) : 0) * 2 + 1;
    }
    uint64_t z = chance += 0x9E3779B97F4A7C15ULL;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
}

ssize_t getrandom(void *buffer, size_t length, unsigned flags) {
    (void)flags;
    for (size_t done = 0; done < length; done += 8) {
        uint64_t bytes = next_chance();
        memcpy((char *)buffer + done, &bytes, length - done < 8 ? length - done : 8);
    }
    return length;
}

int getentropy(void *buffer, size_t length) {
    getrandom(buffer, length, 0);
    return 0;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    if (!simulated || (clock != CLOCK_MONOTONIC && clock != CLOCK_REALTIME))
        return syscall(SYS_clock_gettime, clock, now);
    now->tv_sec = (clock == CLOCK_REALTIME ? BEGIN_REAL : BEGIN_MONOTONIC) + passed / 1000000000;
    now->tv_nsec = passed % 1000000000;
    return 0;
}

int epoll_create1(int flags) {
    simulated = 1;
    return syscall(SYS_epoll_create1, flags);
}

int epoll_wait(int poll, struct epoll_event *events, int most, int timeout) {
    if (simulated && timeout == 0)
        passed += GLANCE;
    if (!simulated || timeout == 0)
        return syscall(SYS_epoll_pwait, poll, events, most, timeout, NULL, 8);
    int found = syscall(SYS_epoll_pwait, poll, events, most, timeout < 0 ? PATIENCE : 0, NULL, 8);
    if (found == 0 && timeout < 0) {
        fprintf(stderr, "the simulation is stuck: nothing is left to wait for\n");
        abort();
    }
    if (found == 0)
        passed += timeout * 1000000ULL;
    return found;
}
