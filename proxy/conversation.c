/* conversation: its memory; the content is the dialects' and codex's business. */
#include "proxy/conversation.h"

#include <stdbool.h>
#include <string.h>

struct conversation *
conversation_new(void)
{
	return calloc(1, sizeof(struct conversation));
}

static bool
copy_text(char **to, const char *from)
{
	*to = from != NULL ? strdup(from) : NULL;
	return from == NULL || *to != NULL;
}

struct conversation *
conversation_copy(const struct conversation *c)
{
	struct conversation *copy = conversation_new();

	if (copy == NULL)
		return NULL;
	copy->items = json_incref(c->items);
	copy->tools = json_incref(c->tools);
	copy->output_schema = json_incref(c->output_schema);
	if (copy_text(&copy->model, c->model) && copy_text(&copy->effort, c->effort) &&
	    copy_text(&copy->summary, c->summary) && copy_text(&copy->verbosity, c->verbosity) &&
	    copy_text(&copy->service_tier, c->service_tier))
		return copy;
	conversation_free(copy);
	return NULL;
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
