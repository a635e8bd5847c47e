/* loop_memory: what libuv's tables grow into when there is no memory: some that is laid by. */
#include "common/loop_memory.h"

#include <malloc.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

/* The table has eight bytes for each descriptor, doubles when it grows, and is all that libuv
 * reallocates here, on the thread of its loop: this is enough for every growth of it up to 65536
 * descriptors. Pages that are never needed are never touched, and cost nothing. */
#define ROOM_BYTES ((size_t)2 << 20)
#define ALIGNMENT  _Alignof(max_align_t)

static _Alignas(max_align_t) char room[ROOM_BYTES];
static size_t used; /* never given back: there is enough for all */

/* In front of each block in the room. */
struct block {
	_Alignas(max_align_t) size_t size;
};

static bool
is_laid_by(const void *p)
{
	return (uintptr_t)p >= (uintptr_t)room && (uintptr_t)p < (uintptr_t)room + ROOM_BYTES;
}

static void *
take(size_t size)
{
	struct block *b = (struct block *)(void *)(room + used);
	size_t left = ROOM_BYTES - used;

	if (left < sizeof(*b) + ALIGNMENT || size > left - sizeof(*b) - ALIGNMENT)
		return NULL;
	b->size = size;
	used += sizeof(*b) + (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	return b + 1;
}

static size_t
size_of(void *p)
{
	return is_laid_by(p) ? ((struct block *)p - 1)->size : malloc_usable_size(p);
}

static void
give_back(void *p)
{
	if (!is_laid_by(p))
		free(p);
}

static void *
grow(void *old, size_t size)
{
	void *p = is_laid_by(old) ? malloc(size) : realloc(old, size);
	size_t kept;

	if (p != NULL && !is_laid_by(old))
		return p;
	if (p == NULL)
		p = take(size);
	if (p == NULL || old == NULL)
		return p;
	kept = size_of(old);
	memcpy(p, old, kept < size ? kept : size);
	give_back(old);
	return p;
}

void
loop_memory_init(void)
{
	(void)uv_replace_allocator(malloc, grow, calloc, give_back); /* none of them is NULL */
}
