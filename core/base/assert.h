/* Programmer errors. Assertions stay on in release: a process that has lost its invariants must end
 * before it moves money; the master starts another. Operating errors never assert. */
#ifndef TB_BASE_ASSERT_H
#define TB_BASE_ASSERT_H

/** Print the failed condition with its place to stderr and abort. */
_Noreturn void tb_assert_failed(const char *what, const char *file, int line);

#define TB_ASSERT(condition)                                                                       \
    ((condition) ? (void)0 : tb_assert_failed(#condition, __FILE__, __LINE__))

#endif
