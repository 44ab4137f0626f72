/* Whether the guard is really in front of the library. Replacing functions by name works only when
 * the library calls itself through its jump table and the linker exported our names; both can be
 * lost by a build option, silently. So the self-check reads the library's relocated table and
 * compares every entry; guard_probe.c then sees whether its private structures are those we know.
 */
#include "http/guard/guard_conn.h"
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <string.h>

struct replaced {
    const char *name;
    void *ours;
    unsigned slots; /* entries of the library's table that lead to ours */
};

struct inspection {
    struct replaced *replaced;
    size_t replaced_n;
    bool found;
    const char *stray; /* a name whose entry leads elsewhere */
};

static void *address_of(void (*function)(void))
{
    void *address;
    memcpy((void *)&address, (const void *)&function, sizeof(address));
    return address;
}

bool tb_guard_resolve(void)
{
    void *at;
#define X(type, name, parameters)                                                                  \
    if ((at = dlsym(RTLD_NEXT, #name)) == NULL)                                                    \
        return false;                                                                              \
    memcpy((void *)&tb_guard_original.name, (const void *)&at, sizeof(at));
    TB_GUARD_REPLACED(X)
#undef X
    return true;
}

/* A call may come before tb_guard_start (a server without a guard, a unit test). */
__attribute__((constructor)) static void resolve_at_load(void)
{
    (void)tb_guard_resolve();
}

static void check_slot(struct inspection *in, const char *name, void *const *slot)
{
    for (size_t i = 0; i < in->replaced_n; i++) {
        if (strcmp(in->replaced[i].name, name) != 0)
            continue;
        if (*slot == in->replaced[i].ours)
            in->replaced[i].slots++;
        else
            in->stray = in->replaced[i].name;
    }
}

static void read_slots(const struct dl_phdr_info *info, const ElfW(Phdr) * segment,
                       struct inspection *in)
{
    const ElfW(Dyn) *dyn = (const ElfW(Dyn) *)(info->dlpi_addr + segment->p_vaddr);
    const ElfW(Sym) *symbols = NULL;
    const char *names = NULL;
    const ElfW(Rela) * tables[2] = {NULL, NULL};
    size_t bytes[2] = {0, 0};
    for (; dyn->d_tag != DT_NULL; dyn++) {
        if (dyn->d_tag == DT_SYMTAB)
            symbols = (const ElfW(Sym) *)dyn->d_un.d_ptr;
        else if (dyn->d_tag == DT_STRTAB)
            names = (const char *)dyn->d_un.d_ptr;
        else if (dyn->d_tag == DT_JMPREL)
            tables[0] = (const ElfW(Rela) *)dyn->d_un.d_ptr;
        else if (dyn->d_tag == DT_PLTRELSZ)
            bytes[0] = dyn->d_un.d_val;
        else if (dyn->d_tag == DT_RELA)
            tables[1] = (const ElfW(Rela) *)dyn->d_un.d_ptr;
        else if (dyn->d_tag == DT_RELASZ)
            bytes[1] = dyn->d_un.d_val;
    }
    for (size_t t = 0; t < 2 && symbols != NULL && names != NULL; t++)
        for (size_t i = 0; tables[t] != NULL && i < bytes[t] / sizeof(*tables[t]); i++) {
            const ElfW(Rela) *r = &tables[t][i];
            size_t symbol = ELF64_R_SYM(r->r_info);
            if (symbol != 0)
                check_slot(in, names + symbols[symbol].st_name,
                           (void *const *)(info->dlpi_addr + r->r_offset));
        }
}

static int inspect(struct dl_phdr_info *info, size_t size, void *data)
{
    struct inspection *in = data;
    (void)size;
    if (strstr(info->dlpi_name, "/libh2o") == NULL)
        return 0;
    in->found = true;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
            read_slots(info, &info->dlpi_phdr[i], in);
    }
    return 1;
}

bool tb_guard_check(char *why, size_t why_bytes)
{
    struct replaced replaced[] = {
#define X(type, name, parameters) {#name, address_of((void (*)(void))name), 0},
        TB_GUARD_REPLACED(X)
#undef X
    };
    struct inspection in = {.replaced = replaced, .replaced_n = TB_COUNT(replaced)};
    dl_iterate_phdr(inspect, &in);
    if (!in.found) {
        snprintf(why, why_bytes, "libh2o-evloop is not loaded as a shared library");
        return false;
    }
    for (size_t i = 0; i < in.replaced_n && in.stray == NULL; i++)
        if (replaced[i].slots == 0)
            in.stray = replaced[i].name;
    if (in.stray != NULL || !tb_guard_resolve()) {
        snprintf(why, why_bytes,
                 "libh2o-evloop calls its own %s, not the guard's; link the executable so that it "
                 "exports the name",
                 in.stray != NULL ? in.stray : "functions");
        return false;
    }
    return tb_guard_probe(why, why_bytes);
}
