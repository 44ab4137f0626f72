/* A handle is random; what a table keeps of it leads nobody back to it. */
#include "oauth/handle.h"
#include "base/random.h"
#include "crypto/digest.h"
#include <string.h>

_Static_assert((int)TB_HANDLE_CHARS == (int)TB_SHA256_BASE64URL, "a handle is as long as a digest");

bool tb_handle_make(struct tb_arena *arena, struct tb_handle *out)
{
    unsigned char bytes[TB_HANDLE_BYTES];
    tb_random_bytes(bytes, sizeof(bytes));
    out->text = tb_base64url(arena, TB_BYTES(bytes, sizeof(bytes)));
    explicit_bzero(bytes, sizeof(bytes));
    if (out->text.at == NULL)
        return false;
    out->digest = tb_handle_digest(arena, out->text);
    return out->digest.at != NULL;
}

struct tb_str tb_handle_digest(struct tb_arena *arena, struct tb_str text)
{
    unsigned char digest[TB_SHA256_BYTES];
    tb_sha256(&text, 1, digest);
    return tb_base64url(arena, TB_BYTES(digest, sizeof(digest)));
}
