/* replay: notices a text that is said again from its beginning, and swallows what was said. */
#include "proxy/codex/replay.h"

/* FNV-1a: a chance difference is found but for one in 2^64. */
#define HASH_START 0xcbf29ce484222325ULL
#define HASH_PRIME 0x100000001b3ULL

static uint64_t
hash(uint64_t h, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)text[i]) * HASH_PRIME;
	return h;
}

void
replay_restart(struct replay *r)
{
	if (r->said == 0)
		return;
	r->replaying = true;
	r->again = 0;
	r->again_hash = HASH_START;
}

static void
say(struct replay *r, const char *text, size_t len)
{
	if (r->said == 0)
		r->said_hash = HASH_START;
	r->said_hash = hash(r->said_hash, text, len);
	r->said += len;
}

bool
replay_hear(struct replay *r, const char **text, size_t *len)
{
	size_t left = r->said - r->again;
	size_t known = *len < left ? *len : left;

	if (!r->replaying) {
		say(r, *text, *len);
		return true;
	}
	r->again_hash = hash(r->again_hash, *text, known);
	r->again += known;
	*text += known;
	*len -= known;
	if (r->again < r->said)
		return true;
	if (r->again_hash != r->said_hash)
		return false;
	r->replaying = false;
	say(r, *text, *len);
	return true;
}

bool
replay_is_complete(const struct replay *r)
{
	return !r->replaying;
}
