/* Secrets: kept, read from files that only the service can read, forgotten. */
#include "base/secret.h"
#include "test.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[] = "/tmp/tb-secret-XXXXXX";

static int make_file(void **state)
{
    (void)state;
    memcpy(path + sizeof(path) - 7, "XXXXXX", 6);
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

static void fill(const char *text, size_t n, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_TRUNC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, n), n);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static void keeps_a_copy_and_forgets_it(void **state)
{
    (void)state;
    char text[] = "key\0with nul";
    struct tb_secret secret = {0};
    tb_secret_set(&secret, text, sizeof(text) - 1);
    memset(text, 'x', sizeof(text));
    assert_int_equal(secret.n, sizeof(text) - 1);
    assert_memory_equal(secret.at, "key\0with nul", sizeof(text));
    tb_secret_set(&secret, secret.at, 3); /* a part of itself */
    assert_memory_equal(secret.at, "key", 4);
    tb_secret_wipe(&secret);
    assert_null(secret.at);
    tb_secret_wipe(&secret);
}

static void reads_a_file_without_its_last_newline(void **state)
{
    (void)state;
    struct tb_secret secret = {0};
    fill("s3cret\n", 7, 0600);
    assert_null(tb_secret_read(&secret, path));
    assert_int_equal(secret.n, 6);
    assert_memory_equal(secret.at, "s3cret", 7);
    fill("a\n\n", 3, 0640);
    assert_null(tb_secret_read(&secret, path));
    assert_int_equal(secret.n, 2);
    tb_secret_wipe(&secret);
}

static void refuses_files_unfit_for_a_secret(void **state)
{
    (void)state;
    static char large[TB_SECRET_FILE_MAX + 1];
    struct tb_secret secret = {0};
    memset(large, 'x', sizeof(large));
    fill("s3cret", 6, 0604);
    assert_non_null(strstr(tb_secret_read(&secret, path), "everybody"));
    fill("", 0, 0600);
    assert_string_equal(tb_secret_read(&secret, path), "is empty");
    fill("\n", 1, 0600);
    assert_string_equal(tb_secret_read(&secret, path), "is empty");
    fill(large, sizeof(large), 0600);
    assert_string_equal(tb_secret_read(&secret, path), "is larger than 16 KiB");
    assert_string_equal(tb_secret_read(&secret, "/nonexistent/file"), "does not exist");
    assert_string_equal(tb_secret_read(&secret, "/tmp"), "is not a regular file");
    assert_null(secret.at);
    fill(large, sizeof(large) - 1, 0600);
    assert_null(tb_secret_read(&secret, path));
    assert_int_equal(secret.n, TB_SECRET_FILE_MAX);
    tb_secret_wipe(&secret);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(keeps_a_copy_and_forgets_it),
    cmocka_unit_test_setup_teardown(reads_a_file_without_its_last_newline, make_file, remove_file),
    cmocka_unit_test_setup_teardown(refuses_files_unfit_for_a_secret, make_file, remove_file),
};
TEST_GROUP(tests, NULL, NULL);
