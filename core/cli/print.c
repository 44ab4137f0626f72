/* See print.h. What is printed is made in an arena first, so that its length needs no bound. */
#include "cli/print.h"
#include "base/text.h"

enum { PRINT_BYTES = 64 * 1024 * 1024 };

static void put(FILE *to, struct tb_text *text)
{
    struct tb_str out = tb_text_end(text);
    if (out.at == NULL)
        fputs("(too long to be printed)", to);
    else
        fwrite(out.at, 1, out.n, to);
}

void tb_print_args(FILE *to, const char *format, va_list args)
{
    struct tb_arena *arena = tb_arena_new(PRINT_BYTES);
    struct tb_text text;
    char *made = NULL;
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    if (n >= 0)
        made = tb_arena_alloc(arena, (size_t)n + 1);
    if (made != NULL)
        vsnprintf(made, (size_t)n + 1, format, again);
    va_end(again);
    tb_text_init(&text, arena);
    tb_text_add_visible(&text, made == NULL ? TB_STR("(too long to be printed)") : tb_str(made),
                        true);
    put(to, &text);
    tb_arena_free(arena);
}

void tb_print(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    tb_print_args(stdout, format, args);
    va_end(args);
}

void tb_print_to(FILE *to, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    tb_print_args(to, format, args);
    va_end(args);
}

static int add_piece(const char *at, size_t n, void *arg)
{
    tb_text_add((struct tb_text *)arg, (struct tb_str){at, n});
    return 0;
}

void tb_print_value(const json_t *json, size_t flags)
{
    struct tb_arena *arena = tb_arena_new(PRINT_BYTES);
    struct tb_text made, text;
    tb_text_init(&made, arena);
    json_dump_callback(json, add_piece, &made, flags | JSON_ENCODE_ANY);
    tb_text_init(&text, arena);
    tb_text_add_document(&text, tb_text_end(&made));
    put(stdout, &text);
    tb_arena_free(arena);
}

void tb_print_json(const json_t *json, size_t flags)
{
    tb_print_value(json, flags);
    putchar('\n');
}
