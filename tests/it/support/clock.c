/* Another wall clock: preloaded into a program, it adds the seconds that the file CLOCK_OFFSET holds,
 * which may change at any time, to what the program is told. Clocks that only measure stay as they are. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long offset(void) {
    const char *path = getenv("CLOCK_OFFSET");
    char text[32] = {0};
    int saved = errno;
    int fd = path ? syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0) : -1;
    if (fd >= 0) {
        if (syscall(SYS_read, fd, text, sizeof text - 1) < 0) text[0] = 0;
        syscall(SYS_close, fd);
    }
    errno = saved;
    return atol(text);
}

int clock_gettime(clockid_t clock, struct timespec *at) {
    int done = syscall(SYS_clock_gettime, clock, at);
    if (!done && clock == CLOCK_REALTIME) at->tv_sec += offset();
    return done;
}
