/* responses_reader: what the readers of a Responses request share; for responses_*.c only. */
#ifndef SIDECAR_PROXY_API_RESPONSES_READER_H
#define SIDECAR_PROXY_API_RESPONSES_READER_H

#include "proxy/api/responses_request.h"

struct responses_reader {
	struct param_reader base;
	const struct response_store *store;
	int caller;
	bool strict_seen, deferred_seen, search_seen; /* members of tools without effect */
	char referred_id[64]; /* the response that the last reference led to */
	json_t *referred;     /* its items; NULL: there was none yet */
	json_t *open_calls;   /* object: ids of calls -> has it no output so far? */
};

static inline struct responses_reader *
responses_reader(struct param_reader *r)
{
	return (struct responses_reader *)r;
}

static inline struct responses_request *
responses_out(struct param_reader *r)
{
	return (struct responses_request *)r->out;
}

#endif
