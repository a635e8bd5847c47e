/* transcript: a whole conversation as one text, for an app-server that takes no items. Pure.
 *
 * Each item is a turn "System: ...", "User: ...", "Assistant: ..." or "Tool: ...", one empty line
 * between two. A line inside a turn that begins like one is broken by U+200B after the label's
 * first letter, so that no content forges a turn. */
#ifndef SIDECAR_PROXY_CODEX_TRANSCRIPT_H
#define SIDECAR_PROXY_CODEX_TRANSCRIPT_H

#include <jansson.h>

#include "common/common.h"
#include "common/err.h"

/* codex refuses more in the input of a turn; it counts Unicode characters. */
#define TRANSCRIPT_MAX_CHARACTERS 1048576

struct transcript {
	char *text; /* NUL-terminated, but NUL may be inside: len counts */
	size_t len;
	json_t *images; /* array of input parts {type:"image", url, detail}; [image 1] is the first
	                 */
};

/* items: Responses items (message, function_call, function_call_output; reasoning is left out: it
 * is readable by its provider only). 0; -EINVAL: err says which item cannot be told as text;
 * -EMSGSIZE: too long for codex; -ENOMEM. */
int transcript_build(struct transcript *out, const json_t *items, struct err *err) MUST_CHECK;
/* Frees what is in it. */
void transcript_fini(struct transcript *t);

/* The input of a turn: the text, then the images. The caller's to decref; NULL: no memory. */
json_t *transcript_input(const struct transcript *t);

#endif
