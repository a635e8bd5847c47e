/* conversation: what a caller asks of the model, in words that no dialect owns. */
#ifndef SIDECAR_PROXY_CONVERSATION_H
#define SIDECAR_PROXY_CONVERSATION_H

#include <jansson.h>

#include "common/common.h"

/* Filled by a dialect in proxy/api/, read by proxy/codex/. All members owned; NULL: not given. */
struct conversation {
	char *model;     /* resolved: never NULL when submitted */
	char *effort;    /* reasoning effort */
	char *summary;   /* reasoning summary: auto, concise, detailed, none */
	char *verbosity; /* low, medium, high */
	char *service_tier;
	/* Array of Responses items: the whole history, in order. A part input_image that has a
	 * param, the path of its URL in the request, is fetched from there before codex has it
	 * (proxy/images.h). */
	json_t *items;
	/* array of {name, description, parameters}: the caller's functions; and of {name,
	 * description, tools}: namespaces with functions in them */
	json_t *tools;
	json_t *output_schema; /* JSON Schema of the answer */
};

struct conversation *conversation_new(void); /* NULL: no memory */
/* Another one that asks the same. What is JSON in it is shared: neither may change it, but for the
 * images, which are fetched for both. NULL: no memory. */
struct conversation *conversation_copy(const struct conversation *c);
void conversation_free(struct conversation *c);

#endif
