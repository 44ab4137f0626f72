/* Keeping and forgetting secrets. */
#include "base/secret.h"
#include "base/mem.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

void tb_secret_set(struct tb_secret *secret, const void *bytes, size_t n)
{
    unsigned char *copy = (unsigned char *)tb_mem_text(bytes, n);
    tb_secret_wipe(secret);
    *secret = (struct tb_secret){copy, n};
}

void tb_secret_wipe(struct tb_secret *secret)
{
    tb_mem_free_secret(secret->at, secret->n);
    *secret = (struct tb_secret){0};
}

static const char *unfit(int fd)
{
    struct stat about;
    if (fstat(fd, &about) != 0)
        return "cannot be examined";
    if (!S_ISREG(about.st_mode))
        return "is not a regular file";
    if ((about.st_mode & S_IRWXO) != 0)
        return "may be read or written by everybody (chmod o-rwx)";
    return NULL;
}

/* Read up to `room` bytes; why not, or NULL. */
static const char *read_all(int fd, unsigned char *bytes, size_t room, size_t *out_n)
{
    ssize_t got = 1;
    for (*out_n = 0; got != 0 && *out_n<room; *out_n += got> 0 ? (size_t)got : 0) {
        got = read(fd, bytes + *out_n, room - *out_n);
        if (got < 0 && errno != EINTR)
            return "cannot be read";
    }
    if (*out_n > 0 && *out_n < room && bytes[*out_n - 1] == '\n')
        --*out_n;
    return *out_n == 0 ? "is empty" : *out_n == room ? "is larger than 16 KiB" : NULL;
}

const char *tb_secret_read(struct tb_secret *secret, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT ? "does not exist" : "cannot be opened";
    const size_t room = TB_SECRET_FILE_MAX + 1;
    unsigned char *bytes = tb_mem(room);
    size_t n = 0;
    const char *why = unfit(fd);
    if (why == NULL)
        why = read_all(fd, bytes, room, &n);
    if (why == NULL)
        tb_secret_set(secret, bytes, n);
    close(fd);
    tb_mem_free_secret(bytes, room);
    return why;
}
