/* replay: notices a text that is said again from its beginning, and swallows what was said. Pure.
 *
 * When the provider's stream breaks, codex asks it again and repeats the whole answer. What has
 * been passed on is remembered by length and hash only, so a long answer costs no memory. */
#ifndef SIDECAR_PROXY_CODEX_REPLAY_H
#define SIDECAR_PROXY_CODEX_REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zero-initialised: nothing said yet. */
struct replay {
	size_t said;        /* bytes passed on since the beginning */
	uint64_t said_hash; /* of them */
	size_t again;       /* bytes heard again since the last restart */
	uint64_t again_hash;
	bool replaying;
};

/* The text begins again. */
void replay_restart(struct replay *r);
/* Text is heard; *text and *len become the part of it that is new (*len 0: none). False: it
 * differs from what was said before. */
bool replay_hear(struct replay *r, const char **text, size_t *len);
/* False: the text ended before all that was said came again. */
bool replay_is_complete(const struct replay *r);

#endif
