/* conversation: its memory; the content is the dialects' and codex's business. */
#include "proxy/conversation.h"

struct conversation *
conversation_new(void)
{
	return calloc(1, sizeof(struct conversation));
}

void
conversation_free(struct conversation *c)
{
	if (c == NULL)
		return;
	free(c->model);
	free(c->effort);
	free(c->summary);
	free(c->verbosity);
	free(c->service_tier);
	json_decref(c->items);
	json_decref(c->tools);
	json_decref(c->output_schema);
	free(c);
}
