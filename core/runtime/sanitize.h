/* Hooks of the sanitizers for a change of stacks; nothing in a plain build. */
#ifndef TB_RUNTIME_SANITIZE_H
#define TB_RUNTIME_SANITIZE_H

#if defined(__SANITIZE_ADDRESS__)
#define TB_HAS_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define TB_HAS_TSAN 1
#endif
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TB_HAS_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define TB_HAS_TSAN 1
#endif
#endif

#ifdef TB_HAS_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#endif
#ifdef TB_HAS_TSAN
#include <sanitizer/tsan_interface.h>
#endif

/* valgrind is asked by the program that runs, not by the build. */
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define VALGRIND_STACK_REGISTER(low, high) ((void)(low), (void)(high), 0u)
#define VALGRIND_STACK_DEREGISTER(id)      ((void)(id))
#define RUNNING_ON_VALGRIND                0
#endif

/* Under these tools code is many times slower, so limits on CPU time are wider. */
#if defined(TB_HAS_ASAN) || defined(TB_HAS_TSAN)
#define TB_SLOW_TOOLS 1
#else
#define TB_SLOW_TOOLS 0
#endif

#endif
