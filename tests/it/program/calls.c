/*
 * What the program asks of the operating system, call by call, and what becomes of it at one of these calls.
 *
 * A test compiles this file into a library and preloads it (LD_PRELOAD), so that its functions stand before those of
 * the C library. Counted are the calls by which something leaves the program or comes in: on sockets, and on files of
 * one folder, which is the state's. What SQLite does to its mapped index is no call; the index is made anew after a
 * death, so nothing depends on it.
 *
 *   CALLS_FOLDER  the folder whose files count, without links and without a slash at its end
 *   CALLS_REPORT  a file that gets a line for each call: name, target (`socket`, or the file), bytes
 *   CALLS_DEED    what happens at the call CALLS_AT, counted from 1 over all threads:
 *       before    the process is killed (SIGKILL), and the call does not take place
 *       after     the process is killed when the call has taken place
 *       torn      a call that writes writes the first half of its bytes, then the process is killed; others: before
 *       full      from there on the folder's disk is full: the first write has room for half of its bytes, the later
 *                 ones for none (ENOSPC); what was written before stays, and files can shrink and go
 *       broken    from there on each write to the folder and each sync fails (EIO)
 *
 * The real calls are found by name, so that this works wherever a library can be preloaded. Nothing here allocates,
 * and nothing here calls a function that it counts.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* The function that would be called without us. */
#define REAL(name)                                                                                                     \
    ({                                                                                                                 \
        static __typeof__(&name) found;                                                                                \
        if (!found)                                                                                                    \
            found = (__typeof__(&name))dlsym(RTLD_NEXT, #name);                                                        \
        found;                                                                                                         \
    })

enum deed { NOTHING, BEFORE, AFTER, TORN, FULL, BROKEN };

/* What a call does: whether it asks for room on the disk, is a sync, or neither. */
enum kind { WRITES, SYNCS, ELSE };

static const char *const DEEDS[] = {"nothing", "before", "after", "torn", "full", "broken"};

static enum deed deed = NOTHING;
static long at;
static atomic_long calls;
static char folder[PATH_MAX];
static int report = -1;

__attribute__((constructor)) static void begin(void)
{
    const char *text = getenv("CALLS_FOLDER");
    if (text)
        snprintf(folder, sizeof folder, "%s", text);
    text = getenv("CALLS_AT");
    at = text ? atol(text) : 0;
    text = getenv("CALLS_DEED");
    for (int known = NOTHING; text && known <= BROKEN; known++)
        if (strcmp(text, DEEDS[known]) == 0)
            deed = (enum deed)known;
    text = getenv("CALLS_REPORT");
    if (text)
        report = open(text, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void die(void)
{
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

/* The part of a path behind the folder; none where it leads elsewhere. */
static const char *within(const char *path)
{
    size_t length = strlen(folder);
    return length && strncmp(path, folder, length) == 0 && path[length] == '/' ? path + length + 1 : NULL;
}

/* What a descriptor leads to, if it counts. */
static const char *target(int descriptor, char path[PATH_MAX])
{
    struct stat status;
    if (!folder[0] || fstat(descriptor, &status) != 0)
        return NULL;
    if (S_ISSOCK(status.st_mode))
        return "socket";
    if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode))
        return NULL;
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0)
        return NULL;
    path[length] = 0;
    return strcmp(path, folder) == 0 ? "." : within(path);
}

/* What a path leads to, if it counts; a relative one starts where the process stands. */
static const char *named(const char *path, char whole[PATH_MAX])
{
    if (path[0] == '/')
        return within(path);
    char here[PATH_MAX];
    if (!getcwd(here, sizeof here) || snprintf(whole, PATH_MAX, "%s/%s", here, path) >= PATH_MAX)
        return NULL;
    return within(whole);
}

/* One call on its way. */
struct call {
    size_t bytes; /* How many of them may be written. */
    int error;    /* Why it fails, or 0. */
    int last;     /* The process dies after it. */
};

/* Counts a call that is about to take place, and says what becomes of it. */
static struct call enter(const char *name, const char *target, enum kind kind, size_t bytes)
{
    struct call call = {bytes, 0, 0};
    if (!target)
        return call;
    int kept = errno;
    long number = atomic_fetch_add(&calls, 1) + 1;
    if (report >= 0) {
        char line[PATH_MAX + 64];
        int length = snprintf(line, sizeof line, "%s %s %zu\n", name, target, bytes);
        syscall(SYS_write, report, line, (size_t)length);
    }
    int on_disk = strcmp(target, "socket") != 0;
    int now = number == at;
    switch (deed) {
    case BEFORE:
        if (now)
            die();
        break;
    case AFTER:
        call.last = now;
        break;
    case TORN:
        if (now && (kind != WRITES || bytes < 2))
            die();
        if (now)
            call.bytes = bytes / 2;
        call.last = now;
        break;
    case FULL:
        if (on_disk && kind == WRITES && number >= at) {
            static atomic_int filled;
            if (atomic_exchange(&filled, 1) || bytes < 2)
                call.error = ENOSPC;
            else
                call.bytes = bytes / 2;
        }
        break;
    case BROKEN:
        if (on_disk && kind != ELSE && number >= at)
            call.error = EIO;
        break;
    case NOTHING:
        break;
    }
    errno = kept;
    return call;
}

static void leave(struct call call)
{
    if (call.last)
        die();
}

/* A function that works on an open file or socket. */
#define ON_DESCRIPTOR(type, name, parameters, descriptor, kind, size, arguments)                                       \
    type name parameters                                                                                               \
    {                                                                                                                  \
        char path[PATH_MAX];                                                                                           \
        struct call call = enter(#name, target(descriptor, path), kind, size);                                         \
        if (call.error) {                                                                                              \
            errno = call.error;                                                                                        \
            return -1;                                                                                                 \
        }                                                                                                              \
        type done = REAL(name) arguments;                                                                              \
        leave(call);                                                                                                   \
        return done;                                                                                                   \
    }

ON_DESCRIPTOR(ssize_t, write, (int to, const void *bytes, size_t count), to, WRITES, count, (to, bytes, call.bytes))
ON_DESCRIPTOR(ssize_t, pwrite, (int to, const void *bytes, size_t count, off_t place), to, WRITES, count,
              (to, bytes, call.bytes, place))
ON_DESCRIPTOR(ssize_t, pwrite64, (int to, const void *bytes, size_t count, off64_t place), to, WRITES, count,
              (to, bytes, call.bytes, place))
ON_DESCRIPTOR(ssize_t, send, (int to, const void *bytes, size_t count, int flags), to, WRITES, count,
              (to, bytes, call.bytes, flags))
ON_DESCRIPTOR(int, fsync, (int file), file, SYNCS, 0, (file))
ON_DESCRIPTOR(int, fdatasync, (int file), file, SYNCS, 0, (file))
ON_DESCRIPTOR(int, ftruncate, (int file, off_t length), file, ELSE, (size_t)length, (file, length))
ON_DESCRIPTOR(int, ftruncate64, (int file, off64_t length), file, ELSE, (size_t)length, (file, length))

/* Several pieces at once; of a torn one the first piece goes out. */
ssize_t writev(int to, const struct iovec *pieces, int count)
{
    char path[PATH_MAX];
    size_t bytes = 0;
    for (int piece = 0; piece < count; piece++)
        bytes += pieces[piece].iov_len;
    struct call call = enter("writev", target(to, path), WRITES, bytes);
    if (call.error) {
        errno = call.error;
        return -1;
    }
    ssize_t done = REAL(writev)(to, pieces, call.bytes < bytes ? 1 : count);
    leave(call);
    return done;
}

/* A single byte is asked for only to see whether a resting connection still stands. */
ssize_t recv(int from, void *bytes, size_t count, int flags)
{
    char path[PATH_MAX];
    struct call call = enter("recv", count > 1 ? target(from, path) : NULL, ELSE, count);
    ssize_t done = REAL(recv)(from, bytes, count, flags);
    leave(call);
    return done;
}

int unlink(const char *path)
{
    char whole[PATH_MAX];
    struct call call = enter("unlink", named(path, whole), ELSE, 0);
    int done = REAL(unlink)(path);
    leave(call);
    return done;
}

int rename(const char *from, const char *to)
{
    char whole[PATH_MAX];
    struct call call = enter("rename", named(to, whole), ELSE, 0);
    int done = REAL(rename)(from, to);
    leave(call);
    return done;
}
