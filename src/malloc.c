/*
 * Has glibc's malloc merge small pieces as they are freed (mallopt(3), M_MXFAST), before main.
 *
 * By default it keeps those of up to 128 bytes apart and merges all of them at once, when somebody asks
 * for a large piece. A memory buffer of the state database that was written out is some hundred thousand
 * of them: whoever came next, as a rule the thread that applies, stood still for 50 to 80 ms.
 *
 * In C because Rust calls mallopt only from unsafe code, which is forbidden here, and because what is set
 * before main needs no caller. Other C libraries have no such setting and need none.
 */
#include <malloc.h>

__attribute__((constructor)) static void merge_what_is_freed(void)
{
#ifdef M_MXFAST
    mallopt(M_MXFAST, 0);
#endif
}
