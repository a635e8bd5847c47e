/* model_answer: what the demo model says to a request, as an HTTP answer made in advance. Pure. */
#ifndef SIDECAR_TESTS_MODEL_ANSWER_H
#define SIDECAR_TESTS_MODEL_ANSWER_H

#include <jansson.h>

#include "tests/fakes/script.h"

struct model_answer {
	int status;        /* 200: the script is a stream of server-sent events */
	bool silent;       /* not even headers, ever */
	char *body;        /* other statuses */
	char *header_name; /* one more response header; NULL: none */
	char *header_value;
	struct script script; /* ends by itself: STEP_STALL, STEP_CUT, or simply its last step */
};

/* request: the parsed body; number: makes ids differ. */
void model_answer_make(struct model_answer *a, const json_t *request, unsigned number);
void model_answer_free(struct model_answer *a);

#endif
