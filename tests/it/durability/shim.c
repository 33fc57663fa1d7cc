/* A disk under test: preloaded into the daemon, it stands between it and the C library.
 *
 * Everything below SHIM_ROOT is watched. SHIM_TRACE names a file that gets a record of every change
 * and every sync, from which the test works out what a power cut leaves. SHIM_RULES names a file
 * that may appear, change and vanish at any time; each of its lines is
 *
 *     OPERATION PART-OF-PATH ERRNO        the operation fails, and RULES.log gets a line
 *     OPERATION PART-OF-PATH slow MS      the operation takes so much longer
 *     OPERATION PART-OF-PATH flip AFTER   the middle byte of what is read changes, after so many reads
 *
 * with OPERATION one of open, write, truncate, sync, rename, unlink, read. Real calls are made as
 * system calls, so that nothing here comes back to itself.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum kind { CREATE = 1, OPEN, WRITE, TRUNCATE, SYNC_FILE, SYNC_DIR, RENAME, UNLINK, MKDIR, RMDIR };

struct record {
    uint32_t kind, first_len, second_len, data_len;
    uint64_t file, offset, length, size;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char root[PATH_MAX], rules[PATH_MAX], home[PATH_MAX];
static int trace = -1;
static long reads;

__attribute__((constructor)) static void begin(void) {
    const char *text = getenv("SHIM_ROOT");
    if (text) snprintf(root, sizeof root, "%s", text);
    text = getenv("SHIM_RULES");
    if (text) snprintf(rules, sizeof rules, "%s", text);
    text = getenv("SHIM_TRACE");
    if (text) trace = syscall(SYS_openat, AT_FDCWD, text, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (syscall(SYS_getcwd, home, sizeof home) < 0) home[0] = 0;
}

/* Absolute paths; the daemon never leaves the folder it was started in. */
static const char *absolute(const char *path, char *out) {
    int length = path[0] == '/' ? snprintf(out, PATH_MAX, "%s", path) : snprintf(out, PATH_MAX, "%s/%s", home, path);
    if (length >= PATH_MAX) abort();
    return out;
}

static int watched(const char *path) {
    size_t length = strlen(root);
    return length && !strncmp(path, root, length) && (path[length] == '/' || !path[length]);
}

static int path_of(int fd, char *out) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = syscall(SYS_readlink, link, out, PATH_MAX - 1);
    if (length < 0) return 0;
    out[length] = 0;
    return watched(out);
}

/* What the rules say about an operation: 0, or -1 with errno set. */
static int ruled(const char *operation, const char *path, char *data, size_t length) {
    if (!rules[0]) return 0;
    int saved = errno;
    int fd = syscall(SYS_openat, AT_FDCWD, rules, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0) {
        errno = saved;
        return 0;
    }
    char text[4096];
    ssize_t got = syscall(SYS_read, fd, text, sizeof text - 1);
    syscall(SYS_close, fd);
    text[got > 0 ? got : 0] = 0;
    int error = 0;
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char what[32], part[256], how[32];
        long amount = 0;
        if (sscanf(line, "%31s %255s %31s %ld", what, part, how, &amount) < 3) continue;
        if (strcmp(what, operation) || !strstr(path, part)) continue;
        if (!strcmp(how, "slow")) {
            struct timespec pause = {amount / 1000, amount % 1000 * 1000000};
            syscall(SYS_nanosleep, &pause, NULL);
        } else if (!strcmp(how, "flip")) {
            if (data && length && __atomic_add_fetch(&reads, 1, __ATOMIC_RELAXED) > amount) data[length / 2] ^= 1;
        } else {
            error = atoi(how);
        }
    }
    if (error) {
        char log[PATH_MAX + 8], entry[PATH_MAX + 64];
        snprintf(log, sizeof log, "%s.log", rules);
        int length = snprintf(entry, sizeof entry, "%s %s\n", operation, path);
        fd = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (fd < 0 || syscall(SYS_write, fd, entry, length) != length) abort();
        syscall(SYS_close, fd);
    }
    errno = error ? error : saved;
    return error ? -1 : 0;
}

static int is_zero(const char *data, size_t length) {
    return length == 0 || (data[0] == 0 && !memcmp(data, data + 1, length - 1));
}

static void put(struct record record, const char *first, const char *second, const struct iovec *data, int count) {
    if (trace < 0) return;
    int saved = errno;
    struct iovec parts[40];
    record.first_len = first ? strlen(first) : 0;
    record.second_len = second ? strlen(second) : 0;
    parts[0] = (struct iovec){&record, sizeof record};
    parts[1] = (struct iovec){(void *)first, record.first_len};
    parts[2] = (struct iovec){(void *)second, record.second_len};
    int used = 3;
    for (int i = 0; i < count && used < 40; i++) {
        parts[used++] = data[i];
        record.data_len += data[i].iov_len;
    }
    if (syscall(SYS_writev, trace, parts, used) < 0) abort();
    errno = saved;
}

static uint64_t trace_position(void) {
    struct stat status;
    return trace >= 0 && syscall(SYS_fstat, trace, &status) == 0 ? (uint64_t)status.st_size : 0;
}

static int do_open(int dir, const char *path, int flags, mode_t mode) {
    char full[PATH_MAX];
    int changes = (flags & (O_CREAT | O_TRUNC)) || (flags & O_ACCMODE) != O_RDONLY;
    if (dir != AT_FDCWD || !watched(absolute(path, full)) || !changes)
        return syscall(SYS_openat, dir, path, flags, mode);
    if (ruled("open", full, NULL, 0)) return -1;
    pthread_mutex_lock(&lock);
    struct stat status;
    int existed = syscall(SYS_stat, full, &status) == 0;
    int fd = syscall(SYS_openat, dir, path, flags, mode);
    if (fd >= 0 && syscall(SYS_fstat, fd, &status) == 0 && S_ISREG(status.st_mode)) {
        struct record record = {.kind = existed ? OPEN : CREATE, .file = status.st_ino};
        put(record, full, NULL, NULL, 0);
        if (existed && (flags & O_TRUNC)) {
            record.kind = TRUNCATE;
            put(record, NULL, NULL, NULL, 0);
        }
    }
    pthread_mutex_unlock(&lock);
    return fd;
}

int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return do_open(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return do_open(AT_FDCWD, path, flags, mode);
}

int openat64(int dir, const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return do_open(dir, path, flags, mode);
}

static void note_write(int fd, uint64_t offset, const struct iovec *data, int count, size_t done) {
    struct stat status;
    if (trace < 0 || syscall(SYS_fstat, fd, &status)) return;
    struct record record = {.kind = WRITE, .file = status.st_ino, .offset = offset, .length = done, .size = status.st_size};
    int zero = 1;
    size_t whole = 0;
    for (int i = 0; i < count; i++) {
        zero = zero && is_zero(data[i].iov_base, data[i].iov_len);
        whole += data[i].iov_len;
    }
    if (whole != done) abort(); /* a short write would need its data cut; the tests have none */
    put(record, NULL, NULL, data, zero ? 0 : count);
}

ssize_t pwrite64(int fd, const void *buffer, size_t length, off64_t offset) {
    char path[PATH_MAX];
    if (!path_of(fd, path)) return syscall(SYS_pwrite64, fd, buffer, length, offset);
    if (ruled("write", path, NULL, 0)) return -1;
    pthread_mutex_lock(&lock);
    ssize_t done = syscall(SYS_pwrite64, fd, buffer, length, offset);
    struct iovec data = {(void *)buffer, length};
    if (done > 0) note_write(fd, offset, &data, 1, done);
    pthread_mutex_unlock(&lock);
    return done;
}

static ssize_t append(int fd, const struct iovec *data, int count) {
    char path[PATH_MAX];
    if (!path_of(fd, path)) return syscall(SYS_writev, fd, data, count);
    if (ruled("write", path, NULL, 0)) return -1;
    pthread_mutex_lock(&lock);
    ssize_t done = syscall(SYS_writev, fd, data, count);
    if (done > 0) note_write(fd, syscall(SYS_lseek, fd, 0, SEEK_CUR) - done, data, count, done);
    pthread_mutex_unlock(&lock);
    return done;
}

ssize_t write(int fd, const void *buffer, size_t length) {
    struct iovec data = {(void *)buffer, length};
    return append(fd, &data, 1);
}

ssize_t writev(int fd, const struct iovec *data, int count) {
    return append(fd, data, count);
}

int ftruncate64(int fd, off64_t length) {
    char path[PATH_MAX];
    if (!path_of(fd, path)) return syscall(SYS_ftruncate, fd, length);
    if (ruled("truncate", path, NULL, 0)) return -1;
    pthread_mutex_lock(&lock);
    int done = syscall(SYS_ftruncate, fd, length);
    struct stat status;
    if (!done && syscall(SYS_fstat, fd, &status) == 0)
        put((struct record){.kind = TRUNCATE, .file = status.st_ino, .length = length}, NULL, NULL, NULL, 0);
    pthread_mutex_unlock(&lock);
    return done;
}

static int reserve(int fd, int mode, off64_t offset, off64_t length) {
    char path[PATH_MAX];
    if (path_of(fd, path) && ruled("truncate", path, NULL, 0)) return -1;
    return syscall(SYS_fallocate, fd, mode, offset, length); /* seen by the size of the next write */
}

int fallocate(int fd, int mode, off_t offset, off_t length) { return reserve(fd, mode, offset, length); }
int fallocate64(int fd, int mode, off64_t offset, off64_t length) { return reserve(fd, mode, offset, length); }

static int sync_fd(int number, int fd) {
    char path[PATH_MAX];
    if (!path_of(fd, path)) return syscall(number, fd);
    if (ruled("sync", path, NULL, 0)) return -1;
    pthread_mutex_lock(&lock);
    uint64_t position = trace_position();
    pthread_mutex_unlock(&lock);
    int done = syscall(number, fd);
    struct stat status;
    if (!done && syscall(SYS_fstat, fd, &status) == 0) {
        pthread_mutex_lock(&lock);
        struct record record = {.kind = SYNC_FILE, .file = status.st_ino, .offset = position};
        if (S_ISDIR(status.st_mode)) record.kind = SYNC_DIR;
        put(record, path, NULL, NULL, 0);
        pthread_mutex_unlock(&lock);
    }
    return done;
}

int fsync(int fd) { return sync_fd(SYS_fsync, fd); }
int fdatasync(int fd) { return sync_fd(SYS_fdatasync, fd); }

int rename(const char *from, const char *to) {
    char first[PATH_MAX], second[PATH_MAX];
    if (!watched(absolute(from, first))) return syscall(SYS_rename, from, to);
    if (ruled("rename", first, NULL, 0)) return -1;
    pthread_mutex_lock(&lock);
    int done = syscall(SYS_rename, from, to);
    if (!done) put((struct record){.kind = RENAME}, first, absolute(to, second), NULL, 0);
    pthread_mutex_unlock(&lock);
    return done;
}

static int remove_name(int dir, const char *path, int flags) {
    char full[PATH_MAX];
    if (dir == AT_FDCWD || path[0] == '/') {
        absolute(path, full);
    } else {
        char folder[PATH_MAX];
        if (!path_of(dir, folder)) return syscall(SYS_unlinkat, dir, path, flags);
        if (snprintf(full, sizeof full, "%s/%s", folder, path) >= (int)sizeof full) abort();
    }
    if (!watched(full)) return syscall(SYS_unlinkat, dir, path, flags);
    if (ruled("unlink", full, NULL, 0)) return -1;
    pthread_mutex_lock(&lock);
    int done = syscall(SYS_unlinkat, dir, path, flags);
    if (!done) put((struct record){.kind = flags & AT_REMOVEDIR ? RMDIR : UNLINK}, full, NULL, NULL, 0);
    pthread_mutex_unlock(&lock);
    return done;
}

int unlink(const char *path) { return remove_name(AT_FDCWD, path, 0); }
int unlinkat(int dir, const char *path, int flags) { return remove_name(dir, path, flags); }
int rmdir(const char *path) { return remove_name(AT_FDCWD, path, AT_REMOVEDIR); }

int mkdir(const char *path, mode_t mode) {
    char full[PATH_MAX];
    if (!watched(absolute(path, full))) return syscall(SYS_mkdir, path, mode);
    pthread_mutex_lock(&lock);
    int done = syscall(SYS_mkdir, path, mode);
    if (!done) put((struct record){.kind = MKDIR}, full, NULL, NULL, 0);
    pthread_mutex_unlock(&lock);
    return done;
}

ssize_t pread64(int fd, void *buffer, size_t length, off64_t offset) {
    ssize_t done = syscall(SYS_pread64, fd, buffer, length, offset);
    char path[PATH_MAX];
    if (done > 0 && rules[0] && path_of(fd, path) && ruled("read", path, buffer, done)) return -1;
    return done;
}

ssize_t read(int fd, void *buffer, size_t length) {
    ssize_t done = syscall(SYS_read, fd, buffer, length);
    char path[PATH_MAX];
    if (done > 0 && rules[0] && path_of(fd, path) && ruled("read", path, buffer, done)) return -1;
    return done;
}
