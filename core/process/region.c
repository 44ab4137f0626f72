/* Shared memory: named regions in memory files. They have no name in the file system, so nothing is
 * left behind when the last process ends, and a new binary can take them over by their descriptors.
 */
#include "process/master_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const struct tb_region_want own[] = {
    {"slots", TB_CHILDREN_MAX * sizeof(struct tb_slot), 1, NULL},
    {"quarantine", sizeof(struct tb_quarantine), 1, NULL},
};

static struct tb_region *find_region(struct tb_master *m, const char *name)
{
    for (size_t i = 0; i < m->regions_n; i++) {
        if (strcmp(m->regions[i].name, name) == 0)
            return &m->regions[i];
    }
    return NULL;
}

static bool map(struct tb_region *r, int fd, const struct tb_region_want *want)
{
    void *at = mmap(NULL, want->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        return false;
    *r = (struct tb_region){.at = at, .bytes = want->bytes, .layout = want->layout, .fd = fd};
    snprintf(r->name, sizeof(r->name), "%s", want->name);
    return true;
}

/** Fresh memory for the region. The processes that have the old memory mapped keep it. */
static bool make(struct tb_region *r, const struct tb_region_want *want)
{
    char file[64];
    snprintf(file, sizeof(file), TB_REGION_FILE, want->name, want->layout);
    int fd = memfd_create(file, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return false;
    if (ftruncate(fd, (off_t)want->bytes) == 0 && map(r, fd, want)) {
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
        if (want->init != NULL)
            want->init(r->at, want->bytes);
        return true;
    }
    int error = errno;
    close(fd);
    errno = error;
    return false;
}

static bool want_region(struct tb_master *m, const struct tb_region_want *want, char *why,
                        size_t why_bytes)
{
    struct tb_region *r = find_region(m, want->name);
    if (r != NULL && r->bytes == want->bytes && r->layout == want->layout)
        return true;
    if (r == NULL && m->regions_n == TB_REGIONS_MAX) {
        snprintf(why, why_bytes, "more than %d regions of shared memory", TB_REGIONS_MAX);
        return false;
    }
    struct tb_region fresh;
    if (!make(&fresh, want)) {
        snprintf(why, why_bytes, "no shared memory for %s (%zu bytes): %s", want->name, want->bytes,
                 strerrordesc_np(errno));
        return false;
    }
    if (r == NULL) {
        r = &m->regions[m->regions_n++];
    } else {
        munmap(r->at, r->bytes);
        close(r->fd);
    }
    *r = fresh;
    return true;
}

bool tb_regions_make(struct tb_master *m, const struct tb_plan *plan, char *why, size_t why_bytes)
{
    for (size_t i = 0; i < TB_COUNT(own); i++) {
        if (!want_region(m, &own[i], why, why_bytes))
            return false;
    }
    m->slots = find_region(m, "slots")->at;
    m->quarantine = find_region(m, "quarantine")->at;
    if (m->quarantine->key[0] == 0)
        tb_quarantine_init(m->quarantine);
    for (size_t i = 0; i < plan->regions_n; i++) {
        if (!want_region(m, &plan->regions[i], why, why_bytes))
            return false;
    }
    return true;
}

bool tb_region_adopt(struct tb_master *m, const char *name, int fd, size_t bytes, uint32_t layout)
{
    const struct tb_region_want as_it_was = {name, bytes, layout, NULL};
    if (m->regions_n == TB_REGIONS_MAX || !map(&m->regions[m->regions_n], fd, &as_it_was))
        return false;
    m->regions_n++;
    return true;
}
