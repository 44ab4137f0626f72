/* The URL in a DPoP proof against libcurl's parser: whatever text counts as the URL of a request,
 * curl would have gone to the same scheme, host, port and path with it. */
#include "../../core/oauth/token/dpop.c"
#include "base/assert.h"
#include "base/mem.h"
#include "oauth/token/dpop.h"
#include <curl/curl.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char PATH[] = "/oauth/token";

static struct tb_config config = {.issuer = "https://bank.example",
                                  .mtls_origin = "https://mtls.bank.example:8444"};

static bool part_is(CURLU *url, CURLUPart part, unsigned flags, const char *expected)
{
    char *text = NULL;
    bool same = curl_url_get(url, part, &text, flags) == CURLUE_OK &&
                strcasecmp(text, expected) == 0;
    curl_free(text);
    return same;
}

static void check_url(const char *text)
{
    CURLU *url = curl_url();
    TB_ASSERT(url != NULL && curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK);
    TB_ASSERT(part_is(url, CURLUPART_SCHEME, 0, "https"));
    TB_ASSERT((part_is(url, CURLUPART_HOST, CURLU_URLDECODE, "bank.example") &&
               part_is(url, CURLUPART_PORT, CURLU_DEFAULT_PORT, "443")) ||
              (part_is(url, CURLUPART_HOST, CURLU_URLDECODE, "mtls.bank.example") &&
               part_is(url, CURLUPART_PORT, CURLU_DEFAULT_PORT, "8444")));
    char *path = NULL;
    TB_ASSERT(curl_url_get(url, CURLUPART_PATH, &path, CURLU_URLDECODE) == CURLUE_OK);
    TB_ASSERT(strcmp(path, PATH) == 0);
    curl_free(path);
    curl_url_cleanup(url);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    struct tb_oauth_parts parts = {.config = &config};
    tb_secret_set(&parts.master, "0123456789abcdef0123456789abcdef", 32);
    tb_oauth_open(&parts);
    tb_dpop_open(&parts.master);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tb_str text = {(const char *)data, size};
    if (!url_good(text, TB_STR(PATH)))
        return 0;
    char *copy = tb_mem_text(text.at, text.n);
    TB_ASSERT(strlen(copy) == text.n);
    check_url(copy);
    tb_mem_free(copy);
    return 0;
}
