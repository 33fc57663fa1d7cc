/*
 * Sets glibc's malloc (mallopt(3)) before main.
 *
 * Small pieces are merged as they are freed. By default those of up to 128 bytes are kept apart and
 * merged all at once, when somebody asks for a large piece. A memory buffer of the state database that was
 * written out is some hundred thousand of them: whoever came next, as a rule the thread that applies, stood
 * still for 50 to 80 ms.
 *
 * Large pieces go back to the system as they are freed, and what is free at the end of the heap above a
 * few times that. By default the first such piece that is freed raises the limit for all that follow, up
 * to 32 MiB: large values and answers then leave holes behind, a hundred megabytes and more of them.
 *
 * In C because Rust calls mallopt only from unsafe code, which is forbidden here, and because what is set
 * before main needs no caller. Other C libraries have no such settings and need none.
 */
#include <malloc.h>

/* Above an answer of a thousand records of 256 bytes, which is made and freed too often for that. */
#define LARGE (512 << 10)

__attribute__((constructor)) static void set_malloc(void)
{
#ifdef M_MXFAST
    mallopt(M_MXFAST, 0);
    mallopt(M_MMAP_THRESHOLD, LARGE);
    mallopt(M_TRIM_THRESHOLD, 4 * LARGE);
#endif
}
